"""What systemd is told, over path and abstract sockets, and what the log says."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from agent.log import Problems, log
from agent.notify import notify, watchdog_interval


@pytest.mark.parametrize("abstract", [True, False])
def test_states_arrive(abstract: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, tempfile.TemporaryDirectory() as folder:
        name = f"edusec-test-{os.getpid()}" if abstract else f"{folder}/s"
        receiver.bind(f"\0{name}" if abstract else name)
        receiver.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        assert notify("READY=1", "STATUS=works")
        assert receiver.recv(100) == b"READY=1\nSTATUS=works"


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert not notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", None, 15), ("30000000", "1", None), ("", None, None), ("x", None, None), ("0", None, None)],
)
def test_how_often_the_watchdog_is_fed(
    usec: str, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid is None else pid)
    assert watchdog_interval() == seconds
    if pid is None:
        monkeypatch.delenv("WATCHDOG_PID")
        assert watchdog_interval() == seconds


def test_a_line_is_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log("warning", 'two\nlines and \x1b[31m "quotes"', path=Path("/a/b"), nothing=None, empty="", long="x" * 5000)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("time=20")
    assert 'level=warning message="two\\nlines and \\x1b[31m \'quotes\'" path=/a/b empty="" long=x' in line
    assert len(line) < 2300
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log("error", "x")
    assert capfd.readouterr().err == "<3>level=error message=x\n"


def test_a_problem_is_said_once_until_it_changes(capfd: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    for message in ("a", "a", "b", "b", "a"):
        problems.report("it", message, count=len(message))
    problems.clear("it")
    problems.clear("it")
    assert [line.split("message=")[1].split()[0] for line in capfd.readouterr().err.splitlines()] == [
        "a",
        "b",
        "a",
        '"works',
    ]
