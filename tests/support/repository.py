"""The checkout as tests of the repository itself see it."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("edusec", "agent", "collector", "probes", "rules", "wire")


@cache
def files() -> tuple[Path, ...]:
    """Files under version control that are still there, or, in an unpacked archive, everything but what tools leave."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=30, check=False)
        known = listed.returncode == 0
    except FileNotFoundError:
        known = False
    if known:
        found = [ROOT / name for name in listed.stdout.decode("utf-8").split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not _left_by_tools(path.relative_to(ROOT))]
    return tuple(sorted(path for path in found if path.is_file()))


def _left_by_tools(path: Path) -> bool:
    hidden = path.parts[0].startswith(".") and path.parts[0] not in (".ci", ".gitignore")
    return hidden or path.parts[0] in ("build", "dist") or "__pycache__" in path.parts


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Python files under the given top-level folders with their syntax trees."""
    for path in files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders:
            yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports anywhere; `from a import b` gives both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def pyproject() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(kind: str) -> dict[str, str]:
    """Pinned version by distribution name of requirements/<kind>.txt."""
    text = (ROOT / "requirements" / f"{kind}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE))
