"""scripts/setup: what makes the venv of a checkout, tried with a project that needs nothing from an index."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import Processes, Running
from tests.support.repository import ROOT

PROJECT = """
[project]
name = "tiny"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the real script and a project of one empty module."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "backend.py").write_text(BACKEND, encoding="utf-8")
    return tmp_path


def set_up(process: Processes, checkout: Path) -> Running:
    return process([checkout / "scripts" / "setup", "run"], env={**os.environ, "PYTHON": sys.executable})


def test_a_set_up_that_was_cut_short_is_done_again_and_one_that_was_not_is_left_alone(
    process: Processes, checkout: Path
) -> None:
    first = set_up(process, checkout)
    # pip can be imported before all of the venv is there.
    first.wait_ready(lambda: any((checkout / ".venv").glob("lib/python*/site-packages/pip/__init__.py")), seconds=200)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait() != 0
    assert not list((checkout / ".venv").glob(".setup-*"))

    second = set_up(process, checkout)
    assert second.wait(seconds=250) == 0, second.stderr
    assert (checkout / ".venv" / "bin" / "activate").exists()
    assert list((checkout / ".venv").glob("lib/python*/site-packages/tiny.py"))

    third = set_up(process, checkout)
    assert (third.wait(), third.stderr) == (0, "")
