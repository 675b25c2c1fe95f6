"""The shared fixtures keep their promises: what tests start is ended, what they make is removed."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from tests.support.netns import Namespaces
from tests.support.processes import NotReady, Processes, wait_until

_SERVER = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"


def test_a_process_is_ready_when_its_port_listens(process: Processes, free_port: Callable[..., int]) -> None:
    port = free_port()
    running = process([sys.executable, "-c", _SERVER, str(port)], ready=port)
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        assert running.wait() == 0


def test_a_process_that_ends_too_early_shows_its_output(process: Processes) -> None:
    with pytest.raises(NotReady, match="no such luck"):
        process([sys.executable, "-c", "import sys; sys.exit('no such luck')"], ready="never said")


def test_children_of_a_killed_process_end_with_it(process: Processes) -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    running = process([sys.executable, "-c", code], ready=r"\d+\n")
    child = int(running.stdout)
    assert running.kill() == -9
    wait_until(lambda: _ended(child), "the child ended")


def test_close_ends_a_process_that_ignores_requests(tmp_path: Path) -> None:
    made = Processes(tmp_path)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    running = made([sys.executable, "-c", code], ready="deaf")
    made.close()
    assert running.returncode == -9


def test_namespaces_talk_over_both_families_and_are_removed(netns: Namespaces, process: Processes) -> None:
    left, right = netns(), netns()
    _, there = netns.link(left, right)
    for address in (there.v4.ip, there.v6.ip):
        with right.call(socket.create_server, (str(address), 8080), family=_family(address.version)) as server:
            client = left.call(socket.create_connection, (str(address), 8080), 10)
            with client, server.accept()[0] as accepted:
                accepted.sendall(b"hello")
                assert client.recv(5) == b"hello"
    process(["sleep", "600"], netns=right)
    netns.close()
    assert not Path("/run/netns", left.name).exists()
    assert not Path("/run/netns", right.name).exists()


def test_a_lan_joins_all_its_hosts(netns: Namespaces) -> None:
    hosts = [netns() for _ in range(3)]
    attached = netns.lan(*hosts)
    with hosts[2].call(socket.create_server, (str(attached[2].v6.ip), 53), family=socket.AF_INET6):
        for host in hosts[:2]:
            host.call(socket.create_connection, (str(attached[2].v6.ip), 53), 10).close()


def test_a_namespace_reaches_nothing_outside(netns: Namespaces) -> None:
    assert netns().run(["ip", "route"]).stdout == ""


@hypothesis.given(strategies.booleans())
def test_properties_run_with_the_shared_fixtures(value: bool) -> None:
    assert value in (True, False)


def test_tests_never_see_the_operators_settings() -> None:
    assert not [name for name in os.environ if name.startswith("EDUSEC_")]
    home = subprocess.run(
        [sys.executable, "-c", "import pathlib; print(pathlib.Path.home())"], capture_output=True, text=True, check=True
    )
    assert list(Path(home.stdout.strip()).rglob("*.db")) == []


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"  # its parent is gone; init has not reaped it yet


def _family(version: int) -> socket.AddressFamily:
    return socket.AF_INET6 if version == 6 else socket.AF_INET
