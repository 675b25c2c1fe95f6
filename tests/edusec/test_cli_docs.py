"""docs/cli.md explains every exit code, schema and variable; its help pages are checked by scripts/docs."""

import re
from pathlib import Path

from edusec.exits import ExitCode
from tests.support.repository import ROOT

DOC = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_exit_code_is_explained() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", DOC, re.MULTILINE)}
    assert codes == {int(code) for code in ExitCode}


def test_every_schema_is_named() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT / "edusec").rglob("*.py"))
    name = r"edusec\.[a-z0-9-]+/\d+"
    assert set(re.findall(f'"({name})"', code)) - set(re.findall(f"`({name})`", DOC)) == set()


def test_every_variable_is_named() -> None:
    code = (ROOT / "edusec" / "local" / "places.py").read_text(encoding="utf-8")
    assert set(re.findall(r'"(EDUSEC_[A-Z]+)"', code)) - set(re.findall(r"`(EDUSEC_[A-Z]+)`", DOC)) == set()
