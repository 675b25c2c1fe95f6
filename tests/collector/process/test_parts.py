"""Small parts of the collector's door: log lines, throttles, admission, service manager, lock, discovery."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.answers.views import ScrapeTarget
from collector.api import context
from collector.api.failures import WINDOW_SECONDS, Failures
from collector.errors import Busy
from collector.metrics.discovery import targets
from collector.process import journal
from collector.process.config import Limits
from collector.process.connections import Admission, source_of
from collector.process.lock import DataInUse, DataLock
from collector.process.notify import notify, watchdog_seconds
from wire.endpoint import Endpoint


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.text(max_size=80), st.text(max_size=700))
def test_a_log_line_is_one_line_whatever_it_holds(source: str, message: str) -> None:
    line = journal.line("refused", source=source, message=message)
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_values_cannot_pretend_to_be_other_values() -> None:
    assert journal.line("x", a='b c="d" e=\\f', g="h") == 'event=x a="b c=\\"d\\" e=\\\\f" g=h'
    assert journal.line("x", a="\x1b[31mred\nevent=y") == 'event=x a="\\x1b[31mred\\nevent=y"'


def test_a_problem_that_repeats_is_said_once_a_window() -> None:
    clock = Clock()
    once = journal.Once(window=10, limit=2, clock=clock)
    assert [once.admit("a", "x") for _ in range(3)] == [0, None, None]
    assert once.admit("a", "y") == 0
    clock.now += 10
    assert once.admit("a", "x") == 2  # how many were held back
    admitted = [once.admit("flood", str(number)) for number in range(1000)]
    assert admitted.count(0) == journal.MAX_PER_KIND  # many sources of one kind are bounded as well
    assert len(once._seen) == 2
    assert once.admit("a", "x") == 0  # the oldest were forgotten


def test_a_library_that_complains_without_end_is_calmed(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        journal.set_up("info")
        for number in range(5):
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", number)
        journal.info("listening", url="https://localhost:1")
        try:
            raise ValueError("broken")
        except ValueError as problem:
            journal.crash("internal_error", problem)
    finally:
        logging.captureWarnings(False)
        logging.getLogger().handlers[:], logging.getLogger().level = before[0], before[1]
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert 'level=warning event=log logger=uvicorn.error message="Invalid HTTP request 0"' in lines[0]
    assert "level=info event=listening url=https://localhost:1" in lines[1]
    assert 'problem="ValueError: broken" trace=' in lines[2]


def test_failures_are_counted_by_source_and_forgotten() -> None:
    clock = Clock()
    failures = Failures(per_minute=3, limit=50, clock=clock)
    for _ in range(3):
        assert failures.wait("192.0.2.1") == 0
        failures.note("192.0.2.1")
    assert failures.wait("192.0.2.1") == WINDOW_SECONDS
    assert failures.wait("192.0.2.2") == 0
    clock.now += WINDOW_SECONDS
    assert failures.wait("192.0.2.1") == 0
    failures.note("192.0.2.1")
    assert failures.wait("192.0.2.1") == 0
    for number in range(500):
        failures.note(str(number))
    assert len(failures._seen) == 50


def test_connections_are_counted_in_all_and_by_source() -> None:
    admission = Admission(Limits(connections=8, connections_per_address=3))
    leave = [admission.enter("192.0.2.1") for _ in range(3)]
    assert None not in leave
    assert admission.enter("192.0.2.1") is None
    assert leave[0] is not None
    leave[0]()
    leave[0]()  # counted out once only
    assert admission.enter("192.0.2.1") is not None
    assert admission.enter("192.0.2.1") is None
    assert [admission.enter("2001:db8::1"), admission.enter("2001:db8::2")].count(None) == 0
    assert admission.enter("2001:db8::ffff:3") is not None
    assert admission.enter("2001:db8::4") is None  # one /64 is one source
    assert admission.enter("2001:db8:1::4") is not None
    assert admission.enter("192.0.2.9") is not None
    assert admission.enter("192.0.2.10") is None  # eight in all


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_what_stands_for_one_machine(address: str, source: str) -> None:
    assert source_of(address) == source


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        assert notify("READY=1", {"NOTIFY_SOCKET": path})
        assert manager.recv(64) == b"READY=1"
    assert not notify("READY=1", {"NOTIFY_SOCKET": path})
    assert not notify("READY=1", {})
    name = f"@edusec-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:])
        assert notify("STOPPING=1", {"NOTIFY_SOCKET": name})
        assert manager.recv(64) == b"STOPPING=1"


def test_the_watchdog_is_fed_twice_as_often_as_it_asks() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 15
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "soon"}) is None
    assert watchdog_seconds({}) is None


def test_one_process_to_a_data_folder(tmp_path: Path) -> None:
    attempt = (
        "import sys, pathlib; from collector.process.lock import DataLock as L\n"
        "with L(pathlib.Path(sys.argv[1])): print('in')"
    )
    with DataLock(tmp_path):
        with pytest.raises(DataInUse, match=f"is in use by process {os.getpid()}"), DataLock(tmp_path):
            pass
        tried = subprocess.run([sys.executable, "-c", attempt, tmp_path], capture_output=True, text=True, check=False)
        assert "DataInUse" in tried.stderr
    tried = subprocess.run([sys.executable, "-c", attempt, tmp_path], capture_output=True, text=True, check=True)
    assert tried.stdout == "in\n"


def _agent(scheme: str, address: str, path: str) -> ScrapeTarget:
    return ScrapeTarget(
        scheme=scheme, address=address, path=path, agent="a1", unit="3464000123", unit_name="一中", county="640104",
        county_name="兴庆区",
    )  # fmt: skip


def test_discovery_gives_what_prometheus_can_scrape() -> None:
    own = Endpoint("2001:db8::1", 8443)
    agent, collector = targets([_agent("http", "192.0.2.7:9754", "/metrics")], own)
    assert agent == {
        "targets": ["192.0.2.7:9754"],
        "labels": {
            "__scheme__": "http",
            "__metrics_path__": "/metrics",
            "role": "agent",
            "agent": "a1",
            "unit": "3464000123",
            "unit_name": "一中",
            "county": "640104",
            "county_name": "兴庆区",
        },
    }
    assert collector["targets"] == ["[2001:db8::1]:8443"]
    assert collector["labels"]["role"] == "collector"
    assert targets([], own, "agent") == []


def test_all_who_ask_for_the_health_at_once_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def ask() -> bool:
        asked.append(1)
        await asyncio.sleep(0)
        if len(asked) == 2:
            raise Busy("no", 1.0)
        return True

    async def strangers() -> None:
        pulse = context.Pulse()
        assert await asyncio.gather(*(pulse.well(ask) for _ in range(50))) == [True] * 50
        assert len(asked) == 1
        monkeypatch.setattr(context, "PULSE_SECONDS", 0.0)
        failed = await asyncio.gather(*(pulse.well(ask) for _ in range(50)), return_exceptions=True)
        assert {type(found) for found in failed} == {Busy}
        assert await pulse.well(ask)
        assert len(asked) == 3

    asyncio.run(strangers())
