"""The configuration: all faults at once, each with its place and what is allowed."""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.check import check_tasks
from agent.config import (
    DEFAULT_METRICS,
    DEFAULT_TASKS,
    Config,
    OrdersConfig,
    TaskConfig,
    load,
)
from agent.errors import ConfigError
from agent.log import Problems
from agent.policy import NONE
from agent.probing.job import Limits
from agent.tasks import plan
from wire.endpoint import Endpoint
from wire.types import Task

WHOLE = """
[agent]
state = "/srv/agent"
scope = "/srv/scope.toml"
metrics = "[::1]:9000"
metrics_url = "http://gateway:9000/metrics"
report_interval = 60
processes = 2
files = ["/srv/leases", "/srv/edusec/"]

[spool]
max_bytes = 8_388_608

[limits]
rate = 100
connections = 50
per_host = 4
memory = 134_217_728
quiet_hours = ["07:30-12:00", "22:00-06:00"]

[[task]]
name = "ports"
probe = "open_ports"
interval = 600
timeout = 60.5
options = { ports = "22,80" }

[[task]]
probe = "host_vitals"
interval = 60
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert all(problem.startswith(f"{file}: ") for problem in raised.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in raised.value.problems]


def test_every_key_is_read(file: Path) -> None:
    file.write_text(WHOLE)
    assert load(file) == Config(
        file=str(file),
        state=Path("/srv/agent"),
        scope=Path("/srv/scope.toml"),
        metrics=Endpoint("::1", 9000),
        metrics_url="http://gateway:9000/metrics",
        report_interval=60,
        processes=2,
        files=("/srv/leases", "/srv/edusec/"),
        spool_bytes=8 << 20,
        limits=Limits(100, 50, 4, 128 << 20, ("07:30-12:00", "22:00-06:00")),
        tasks=(
            TaskConfig("ports", "open_ports", 600, {"ports": "22,80"}, 60.5),
            TaskConfig("host_vitals", "host_vitals", 60),
        ),
    )


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    file.write_text("")
    assert load(file) == Config(file=str(file))
    assert load(file).metrics == DEFAULT_METRICS


def test_what_orders_are_taken(file: Path) -> None:
    assert load_text(file, "").orders == OrdersConfig(accept=True, probes=("open_ports", "udp_ports", "discovery"))
    assert load_text(file, "[orders]\naccept = false\nprobes = []").orders == OrdersConfig(accept=False, probes=())
    found = faults(file, '[orders]\naccept = "yes"\nprobes = ["open_ports", "../x"]\nscope = []')
    assert [line.split(":")[0] for line in found] == ["orders.scope", "orders.accept", "orders.probes"]


def load_text(file: Path, text: str) -> Config:
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_metrics_can_be_off(file: Path) -> None:
    file.write_text('[agent]\nmetrics = "off"')
    assert load(file).metrics is None


def test_all_faults_are_told_at_once(file: Path) -> None:
    found = faults(
        file,
        """
colour = "red"
[agent]
state = "relative"
metrics = "localhost:9917"
metrics_url = 5
report_interval = 0
processes = 99
files = ["/etc/../srv/"]
pace = 1
[spool]
max_bytes = 1000
[limits]
rate = true
memory = 1.5
quiet_hours = ["7-8", 5]
[[task]]
name = "-x"
probe = "open_ports"
interval = 0.1
[[task]]
options = 5
[[task]]
name = "same"
probe = "a"
interval = 60
options = { when = 2026-11-22, many = [1, 2] }
[[task]]
name = "same"
probe = "b"
interval = 60
colour = 1
""",
    )
    assert [
        fault.split(": ")[0] if not fault.startswith("task") else ": ".join(fault.split(": ")[:2]) for fault in found
    ] == [
        "colour",
        "agent.pace",
        "agent.state",
        "agent.metrics",
        "agent.metrics_url",
        "agent.report_interval",
        "agent.processes",
        "agent.files",
        "spool.max_bytes",
        "limits.rate",
        "limits.memory",
        "limits.quiet_hours",
        "limits.quiet_hours",
        "task 1: name",
        "task 1: interval",
        "task 2: probe",
        "task 2: interval",
        "task 2: options",
        "task 3: options.when",
        "task 3: options.many",
        "task 4: colour",
        "task 4: name",
    ]
    assert "allowed are agent, spool, limits, orders, task" in found[0]
    assert "a whole number from 4194304" in found[8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[agent", "not TOML"),
        ("agent = 5", "must be a table"),
        ("task = 5", "written as [[task]]"),
        ("[[task]]\n" * 65, "at most 64 tasks"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("# " + "x" * (1 << 20), "larger than"),
    ],
)
def test_what_is_no_configuration(file: Path, text: str, said: str) -> None:
    assert any(said in fault for fault in faults(file, text))


def test_text_that_is_not_utf_8(file: Path) -> None:
    file.write_bytes(b'[agent]\nmetrics_url = "\xff"')
    with pytest.raises(ConfigError, match="line 2 is not UTF-8"):
        load(file)


def test_a_file_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="directory"):
        load(tmp_path)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda x: st.lists(x, max_size=4))
)
def test_no_value_breaks_the_reading(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    plain = json.dumps(value, ensure_ascii=True).replace("null", '""')
    path = tmp_path_factory.mktemp("config") / "agent.toml"
    keys = (
        "agent.state",
        "agent.metrics",
        "agent.processes",
        "limits.quiet_hours",
        "limits.rate",
        "spool.max_bytes",
        "task",
    )
    for key in keys:
        path.write_text(f"{key} = {plain}", encoding="utf-8")
        with contextlib.suppress(ConfigError):
            load(path)


def test_options_are_held_against_their_probes(file: Path) -> None:
    file.write_text(
        '[[task]]\nname = "a"\nprobe = "open_ports"\ninterval = 60\noptions = { prots = "22" }\n'
        '[[task]]\nname = "b"\nprobe = "nothing"\ninterval = 60\n'
        '[[task]]\nname = "c"\nprobe = "open_ports"\ninterval = 60\n'
    )
    with pytest.raises(ConfigError) as raised:
        check_tasks(load(file))
    assert [problem.removeprefix(f"{file}: ").split(": ")[:2] for problem in raised.value.problems] == [
        ["task 1", "options"],
        ["task 2", "probe"],
    ]
    assert "'prots' is not an option" in raised.value.problems[0]


def test_the_default_tasks_fit_their_probes() -> None:
    check_tasks(Config(file="defaults", tasks=DEFAULT_TASKS))


def test_check_on_the_command_line(file: Path) -> None:
    file.write_text("[agent]\ncolour = 1")
    done = _check(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"edusec agent: {file}: agent.colour: is not known")
    file.write_text("")
    assert _check(file).stdout == f"no fault found: {file}\n"


def _check(file: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-P", "-m", "agent", "check", "--config", str(file)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_which_tasks_run() -> None:
    local = TaskConfig("ports", "open_ports", 60)
    handed = replace(
        NONE, tasks=(Task("ports", "open_ports", 900), Task("names", "ipv6_reachability", 900, {"a": "b"}))
    )
    assert tuple(plan.effective(Config(), NONE).values()) == DEFAULT_TASKS
    assert plan.effective(Config(tasks=(local,)), NONE) == {"ports": local}
    both = plan.effective(Config(tasks=(local,)), handed)
    assert (both["ports"], both["names"].options) == (local, {"a": "b"})
    assert plan.effective(Config(), handed)["ports"].interval == 900


@pytest.mark.parametrize(
    ("interval", "configured", "seconds"), [(60, None, 48), (1, None, 30), (86400, None, 3600), (60, 5, 5)]
)
def test_how_long_a_run_may_take(interval: float, configured: float | None, seconds: float) -> None:
    assert plan.timeout(TaskConfig("a", "b", interval, timeout=configured)) == seconds


def test_a_scope_counts_at_once_and_a_broken_one_narrows(tmp_path: Path) -> None:
    problems = Problems()
    place = tmp_path / "scope.toml"
    keeper = plan.ScopeKeeper(place, problems)
    own = keeper.current().entries
    assert [entry.value for entry in own] == ["127.0.0.0/8", "::1/128"]
    text = '[[entry]]\nvalue = "198.51.100.0/24"\nauthoriser = "a"\nreason = "b"\nuntil = 2027-01-01\n'
    place.write_text(text)
    place.chmod(0o600)
    assert [entry.value for entry in keeper.current().entries][2:] == ["198.51.100.0/24"]
    place.write_text(text + "[[entry")
    assert keeper.current().entries == own
    assert "not TOML" in problems.current()["scope"]
    place.write_text(text)
    assert len(keeper.current().entries) == 3
    assert problems.current() == {}
    place.unlink()
    assert keeper.current().entries == own
