"""docs/cli.md says what the commands say."""

import re
from pathlib import Path

from edusec.exits import ExitCode
from edusec.manual import BEGIN, END
from tests.support.repository import ROOT

DOC = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
# argparse writes these pages, and each Python lays them out in its own way: there only the flags are compared.
ARGPARSE = re.compile(r"edusec (agent (enroll|run|status|check)|collector (init|run|person))$")


def _pages(text: str) -> dict[str, str]:
    inner = text.partition(BEGIN)[2].partition(END)[0]
    return {
        match[1]: match[2]
        for match in re.finditer(r"^#+ (edusec.*?)\n\n```text\n(.*?)\n```$", inner, re.MULTILINE | re.DOTALL)
    }


def _written() -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-P", "-m", "edusec.manual"], capture_output=True, encoding="utf-8", timeout=100, check=True
    )
    return done.stdout


def test_help_pages_are_those_of_the_commands() -> None:
    documented, real = _pages(DOC), _pages(_written())
    assert list(documented) == list(real)
    for name, page in real.items():
        if ARGPARSE.match(name):
            assert set(re.findall(r"--[a-z-]+", documented[name])) == set(re.findall(r"--[a-z-]+", page))
        else:
            assert documented[name] == page, "run: python -P -m edusec.manual docs/cli.md"


def test_every_exit_code_is_explained() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", DOC, re.MULTILINE)}
    assert codes == {int(code) for code in ExitCode}


def test_every_schema_is_named() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT / "edusec").rglob("*.py"))
    name = r"edusec\.[a-z0-9-]+/\d+"
    assert set(re.findall(f'"({name})"', code)) - set(re.findall(f"`({name})`", DOC)) == set()


def test_every_variable_is_named() -> None:
    code = (ROOT / "edusec" / "places.py").read_text(encoding="utf-8")
    assert set(re.findall(r'"(EDUSEC_[A-Z]+)"', code)) - set(re.findall(r"`(EDUSEC_[A-Z]+)`", DOC)) == set()
