"""scripts/test: what fails twice fails, what fails once is named, and many failures get no second chance."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[1] / "scripts" / "test"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script and an interpreter where the script looks for it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(_SCRIPT, tmp_path / "scripts" / "test")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def _run(checkout: Path, *tests: str, **environment: str) -> tuple[int, list[str]]:
    (checkout / "test_made.py").write_text("from pathlib import Path\n\n" + "\n".join(tests))
    done = subprocess.run(
        [checkout / "scripts" / "test"],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.splitlines()


def _passing(name: str) -> str:
    return f"def test_{name}():\n    pass\n"


def _failing(name: str) -> str:
    return f"def test_{name}():\n    assert False\n"


def _unsteady(name: str) -> str:
    """A test that fails the first time only."""
    return f"""def test_{name}():
    seen = Path({name!r})
    if not seen.exists():
        seen.touch()
        assert False
"""


def test_what_passes_runs_once(checkout: Path) -> None:
    status, lines = _run(checkout, _passing("a"), _passing("b"))
    assert status == 0
    assert "2 passed in" in lines[-1]
    assert not [line for line in lines if "once more" in line]


def test_what_failed_once_is_named_and_counted(checkout: Path) -> None:
    status, lines = _run(checkout, _passing("a"), _unsteady("b"))
    assert status == 0
    assert lines[-1].startswith("2 passed (1 of them only at the second try) in ")
    assert lines[-3:-1] == ["== passed only at the second try, to be looked into:", "   test_made.py::test_b"]


def test_what_fails_twice_fails(checkout: Path) -> None:
    status, lines = _run(checkout, _passing("a"), _failing("b"), _unsteady("c"))
    assert status == 1
    assert "2 failed, 1 passed" in lines[-1]
    assert "== failed at the second try too" in lines


def test_a_fixture_that_fails_counts_as_a_failure(checkout: Path) -> None:
    broken = "import pytest\n\n@pytest.fixture\ndef broken():\n    assert False\n\ndef test_b(broken):\n    pass\n"
    status, lines = _run(checkout, _passing("a"), broken)
    assert status == 1
    assert "1 passed, 1 error" in lines[-1]


def test_many_failures_are_final_at_once(checkout: Path) -> None:
    status, lines = _run(checkout, *(_unsteady(f"t{number}") for number in range(4)))
    assert status == 1
    assert not [line for line in lines if "once more" in line]


def test_the_operator_may_want_no_second_chance(checkout: Path) -> None:
    status, lines = _run(checkout, _unsteady("a"), EDUSEC_TEST_RETRIES="0")
    assert status == 1
    assert not [line for line in lines if "once more" in line]


def test_a_file_that_cannot_be_read_is_final(checkout: Path) -> None:
    status, lines = _run(checkout, "raise RuntimeError\n")
    assert status == 2
    assert not [line for line in lines if "once more" in line]


def test_failures_of_an_earlier_run_are_not_asked_again(checkout: Path) -> None:
    assert _run(checkout, _failing("gone"))[0] == 1
    status, lines = _run(checkout, _unsteady("a"))
    assert status == 0
    assert lines[-1].startswith("1 passed (1 of them only at the second try) in ")
