"""The commands of docs/scanning.md, run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from edusec.exits import ExitCode
from tests.edusec.run_cli import edusec
from tests.support.repository import ROOT

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "scanning.md").read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def test_every_command_of_the_handbook_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert COMMANDS
    for line in COMMANDS:
        program, *words = shlex.split(line)
        assert program == "edusec"
        done = edusec(*words)
        assert done.returncode in (ExitCode.CLEAN, ExitCode.FINDINGS), f"{line}: {done.stderr}"
