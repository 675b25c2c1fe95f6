"""The commands of the systemd units start what they promise: ready, watched, and stopped in order."""

import contextlib
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.uplink.enrol import enrol
from tests.support.gateway import Gateway
from tests.support.processes import Processes, Running, wait_until
from tests.support.real_collector import RealCollector
from tests.support.repository import ROOT
from tests.support.units import service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


class Manager:
    """The side of systemd that a Type=notify service talks to (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._path = path
        self._said: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def start(self, process: Processes, name: str, state: Path, *more: str) -> Running:
        """Start the command of a unit with its state in another folder and more words, watched every second."""
        settings = service(name)
        words = shlex.split(settings["ExecStart"])
        home = f"/var/lib/{settings['StateDirectory']}"
        assert home in words
        program = Path(sys.executable).parent / Path(words[0]).name
        assert program.exists()
        command = [str(program), *(str(state) if word == home else word for word in words[1:]), *more]
        watched = {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": "2000000"}
        return process(command, env={**os.environ, **watched}, cwd=Path("/"))

    def heard(self, word: str, times: int = 1) -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._said += self._socket.recv(4096).decode().split("\n")
        return self._said.count(word) >= times


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def _lives_and_ends(manager: Manager, running: Running) -> None:
    def alive_and(word: str, times: int = 1) -> None:
        wait_until(lambda: manager.heard(word, times) or running.returncode is not None, word, seconds=60)
        assert manager.heard(word, times), running.stderr

    alive_and("READY=1")
    alive_and("WATCHDOG=1", times=2)
    assert running.terminate() == 0, running.stderr
    assert manager.heard("STOPPING=1")


def test_the_collector_of_its_unit(
    tmp_path: Path, manager: Manager, process: Processes, free_port: Callable[..., int]
) -> None:
    collector = RealCollector(tmp_path / "data", free_port(), process)
    collector.make()
    assert collector.log[-1].terminate() == 0
    _lives_and_ends(manager, manager.start(process, "edusec-collector.service", collector.data))


def test_the_agent_of_its_unit(
    tmp_path: Path, manager: Manager, process: Processes, free_port: Callable[..., int]
) -> None:
    collector = RealCollector(tmp_path / "data", free_port(), process)
    collector.make()
    gateway = Gateway(tmp_path, process)
    gateway.configure()  # never this machine's own configuration and scope
    enrol(gateway.state, collector.url, collector.token())
    started = manager.start(process, "edusec-agent.service", gateway.state, "--config", str(gateway.config))
    _lives_and_ends(manager, started)


def test_the_units_are_where_the_installation_says() -> None:
    text = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    for name in ("edusec-agent.service", "edusec-collector.service"):
        venv = shlex.split(service(name)["ExecStart"])[0].rpartition("/bin/")[0]
        assert f"python3 -m venv {venv}\n" in text
