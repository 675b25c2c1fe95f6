"""scripts/docs: what is generated is current, and a stale file fails the gate with a diff."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT


def script(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / "docs"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=root.parent)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout without a venv of its own, whose docs may be broken."""
    for folder in ("agent", "collector", "edusec", "probes", "rules", "wire", "scripts", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_docs_are_current() -> None:
    done = script(ROOT, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_table_is_shown_and_made_anew(copy: Path) -> None:
    file = copy / "docs" / "probes.md"
    current = file.read_text(encoding="utf-8")
    file.write_text(current.replace("| `max_age` | `1800.0` |", "| `max_age` | `60.0` |"), encoding="utf-8")
    done = script(copy, "--check")
    assert done.returncode == 1
    assert "-| `max_age` | `60.0` |" in done.stderr
    assert "+| `max_age` | `1800.0` |" in done.stderr
    assert "scripts/docs" in done.stderr
    assert script(copy).stdout == "docs/probes.md: written\n"
    assert file.read_text(encoding="utf-8") == current
    assert script(copy, "--check").returncode == 0


def test_text_between_the_tables_is_left_alone(copy: Path) -> None:
    file = copy / "docs" / "rules.md"
    file.write_text("My own words.\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert script(copy, "--check").returncode == 0


def test_a_lost_mark_is_an_error(copy: Path) -> None:
    file = copy / "docs" / "rules.md"
    file.write_text(file.read_text(encoding="utf-8").replace("<!-- facts: end -->", ""), encoding="utf-8")
    done = script(copy)
    assert done.returncode == 1
    assert "docs/rules.md: has the marks ['rules'], must have each of ['facts', 'rules'] once" in done.stderr
