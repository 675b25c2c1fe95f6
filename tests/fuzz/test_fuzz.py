"""Parsers of strangers' bytes under atheris: a bounded number of runs from fixed seeds; `make fuzz` runs far longer."""

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
TARGETS = ("conversations", "pages", "binaries", "answers", "snmp", "files", "announcements", "packets", "names")
RUNS = int(os.environ.get("FUZZ_RUNS", "2000"))
"""Inputs for each target. tests/conftest.py leaves this variable alone, since its name does not begin with EDUSEC_."""
MEMORY = 1536 << 20
"""Bytes of address space; instrumented code and libFuzzer itself take most of it."""


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris, which this platform lacks")
@pytest.mark.skipif(importlib.util.find_spec("pysnmp") is None, reason="needs pysnmp: pip install 'edusec[snmp]'")
@pytest.mark.timeout(0 if RUNS > 2000 else 600)
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_parser(target: str, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "made").mkdir()
    argv = [sys.executable, "-P", str(HARNESS), target, f"-runs={RUNS}", "-seed=7", "-max_len=4096"]
    argv += [
        "-len_control=0",
        "-timeout=20",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={tmp_path}/",
        str(tmp_path / "found"),
    ]
    # libFuzzer ends the process where it stands, so what the harness makes outlives it.
    environment = os.environ | {"TMPDIR": str(tmp_path / "made")}
    done = subprocess.run(
        argv, env=environment, preexec_fn=_limits, capture_output=True, text=True, errors="replace", check=False
    )
    left = {file.name: file.read_bytes()[:4096] for file in tmp_path.iterdir() if file.is_file()}
    assert done.returncode == 0, f"{left}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    assert f"Done {RUNS} runs" in done.stderr
