"""What README and docs/ point to is there, and the commands that they show are commands that exist."""

import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from tests.support.repository import ROOT, files

_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_PAGE = re.compile(r"^#+ (edusec[a-z0-9_ -]*)\n\n```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def _pages() -> Iterator[tuple[Path, str]]:
    for path in files():
        if path.suffix == ".md":
            yield path, path.read_text(encoding="utf-8")


def _anchors(text: str) -> set[str]:
    """Anchors of headings as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def _commands(text: str) -> list[list[str]]:
    """The words of each `edusec` command in the shell blocks, without comments and what follows a pipe."""
    lines = [line for block in _SHELL.findall(text) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("edusec ")]
    return [found[: found.index("|")] if "|" in found else found for found in words]


def test_every_link_leads_somewhere() -> None:
    broken = []
    for path, text in _pages():
        for link in _LINK.findall(text):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and anchor not in _anchors(target.read_text(encoding="utf-8"))):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert broken == []


def test_every_command_that_is_shown_exists_with_its_flags() -> None:
    helps = dict(_PAGE.findall((ROOT / "docs" / "cli.md").read_text(encoding="utf-8")))
    wrong = []
    for path, text in _pages():
        for words in _commands(text):
            length = max((size for size in range(1, len(words) + 1) if " ".join(words[:size]) in helps), default=0)
            name = " ".join(words[:length])
            group, page = any(other.startswith(f"{name} ") for other in helps), helps.get(name, "")
            flags = [word.partition("=")[0] for word in words[length:] if re.match(r"--?[a-z]", word)]
            if length < 2 or group or any(not re.search(rf"(?<![\w-]){flag}(?![\w-])", page) for flag in flags):
                wrong.append(f"{path.relative_to(ROOT)}: {' '.join(words)}")
    assert wrong == []


def test_both_readmes_show_the_same_commands() -> None:
    chinese, english = (_commands((ROOT / name).read_text(encoding="utf-8")) for name in ("README.zh.md", "README.md"))
    assert len(english) > 10
    names = [[[word for word in words if word.isascii()] for words in found] for found in (chinese, english)]
    assert [words[:3] for words in names[0]] == [words[:3] for words in names[1]]


def test_files_of_the_readmes_commands_are_there() -> None:
    for name in ("README.md", "README.zh.md"):
        made: set[str] = set()
        for words in _commands((ROOT / name).read_text(encoding="utf-8")):
            for flag, word in pairwise(words):
                if word.endswith((".csv", ".xlsx", ".xml")):
                    assert flag == "-o" or word in made or (ROOT / word).is_file(), f"{name}: {' '.join(words)}"
                    made.add(word)


def test_the_map_of_the_architecture_names_what_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/.*]+(?:/|\.py|\.toml))`", text[text.index("## Where a change goes") :].split("\n## ")[0])
    names = [str(path.relative_to(ROOT)) for path in files()]
    assert len(named) > 60
    assert [name for name in named if not any(_stands_for(name, path) for path in names)] == []


def _stands_for(name: str, path: str) -> bool:
    """Whether a file is, or lies in, what the map names from some folder on; a word in capitals is any name."""
    pattern = name.replace("NAME", "*") + ("*" if name.endswith("/") else "")
    return fnmatch(path, pattern) or fnmatch(path, f"*/{pattern}")


def test_every_bench_is_in_the_handbook_of_benches() -> None:
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")))
    benches = [path for path in files() if path.parent == ROOT / "bench" and "__main__" in path.read_text("utf-8")]
    assert named == {path.name for path in benches}
