"""docs/agent.md says what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import config
from agent.config import DEFAULT_TASKS, Config
from agent.errors import ConfigError
from agent.spool import sections
from agent.tasks import plan
from agent.uplink import reports
from wire.types import RunStatus
from wire.version import VERSION

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")


def test_every_key_is_documented_and_every_documented_key_exists(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("x = 1\n[agent]\nx = 1\n[spool]\nx = 1\n[limits]\nx = 1\n[orders]\nx = 1\n[[task]]\nx = 1\n")
    with pytest.raises(ConfigError) as raised:
        config.load(file)
    known = {
        match[1]: match[2].split(", ")
        for problem in raised.value.problems
        if (match := re.search(r": (agent|spool|limits|orders|task 1)[.:] ?x: is not known; allowed are (.*)", problem))
    }
    assert len(known) == 5
    tables = {f"{table}.{key}" for table, keys in known.items() for key in keys if table != "task 1"}
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", TEXT, re.MULTILINE)) == tables
    example = TEXT.split("[[task]]")[1].split("```")[0]
    assert re.findall(r"^(\w+) = ", example, re.MULTILINE) == known["task 1"]


def test_the_defaults_are_the_documented_ones() -> None:
    plain = Config()
    for key, value in {
        "agent.state": plain.state,
        "agent.scope": plain.scope,
        "agent.metrics": plain.metrics,
        "agent.processes": plain.processes,
        "spool.max_bytes": plain.spool_bytes,
        "limits.rate": f"{plain.limits.rate:g}",
        "limits.connections": plain.limits.connections,
        "limits.per_host": plain.limits.per_host,
        "limits.memory": plain.limits.memory,
    }.items():
        assert f"| `{key}` | `{value}` |" in TEXT
    assert f"at least {sections.MIN_BYTES}" in TEXT
    assert f"at least {plan.SHORTEST_TIMEOUT:.0f} s, at most {plan.LONGEST_TIMEOUT:.0f} s" in TEXT
    assert f"at most {reports.LONGEST_BACK_OFF:.0f} or the report interval" in TEXT
    assert [task.name for task in DEFAULT_TASKS if f"`{task.name}`" not in TEXT] == []


def test_every_status_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == {s.value for s in RunStatus} - {"unknown"}


def test_every_metric_is_documented() -> None:
    from agent.metrics.stats import METRICS

    known = (ROOT / "docs" / "interfaces.md").read_text(encoding="utf-8")
    assert [name for name, _, _ in METRICS if f"`{name}" not in known] == []


def test_the_release_is_the_packages() -> None:
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("command", ["enroll", "run", "status", "check"])
def test_every_command_has_a_help_page_in_both_languages(command: str, lang: str) -> None:
    words = [sys.executable, "-P", "-m", "agent", command, "--help", "--lang", lang]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert any("\u4e00" <= char <= "\u9fff" for char in done.stdout) == (lang == "zh")
    assert f"edusec agent {command}" in done.stdout
    assert f"agent {command}" in TEXT
