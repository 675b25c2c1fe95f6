"""The end of a collector: asked for or not, nothing that was acknowledged is lost."""

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector.web.door import Door, Gateway, collector_command, ports, sample, start_collector
from tests.support.processes import Processes, wait_until
from wire.codec import decode
from wire.orders import Orders
from wire.types import Answer


class Senders:
    """Agents that send one sample after the other and remember what was acknowledged."""

    def __init__(self, gateways: list[Gateway]) -> None:
        """Start one thread for each."""
        self.acknowledged: dict[str, set[float]] = {gateway.agent: set() for gateway in gateways}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(gateway,)) for gateway in gateways]
        for thread in self._threads:
            thread.start()

    def count(self) -> int:
        """How many were acknowledged so far."""
        return sum(map(len, self.acknowledged.values()))

    def close(self) -> None:
        """Stop all."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, gateway: Gateway) -> None:
        line = gateway.door.connection()
        try:
            while not self._stop.is_set():
                value = float(gateway.sequence + 1)
                try:
                    heard = gateway.send(gateway.report(sample(value)), line)
                except (OSError, http.client.HTTPException):
                    return
                if heard.status == 200:
                    assert decode(Answer, heard.body).sequence == value
                    self.acknowledged[gateway.agent].add(value)
        finally:
            line.close()


def _kept(door: Door) -> dict[str, set[float]]:
    kept: dict[str, set[float]] = {}
    for item in door.get("/api/v1/measurements?probe=bandwidth&limit=10000")["items"]:
        values = kept.setdefault(item["agent"], set())
        assert item["values"]["download_bps"] not in values, "kept twice"
        values.add(item["values"]["download_bps"])
    return kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_acknowledged_report_is_lost(make_door: Callable[..., Door], number: signal.Signals) -> None:
    door = make_door("[limits]\nshutdown_seconds = 300")
    gateways = [door.enrol() for _ in range(6)]
    senders = Senders(gateways)
    held = [_held(gateway) for gateway in gateways]
    try:
        wait_until(lambda: senders.count() > 40, "reports flow")
        door.running.send(number)
        status = door.running.wait()
    finally:
        senders.close()
        for line in held:
            line.close()
    assert status == (-signal.SIGKILL if number is signal.SIGKILL else 0), door.log
    assert "Traceback" not in door.log
    assert "trace=" not in door.log
    assert "graceful" not in door.log
    door.restart()
    kept = _kept(door)
    for agent, values in senders.acknowledged.items():
        assert values <= kept[agent]
    for gateway in gateways:  # what was not acknowledged may be there once, and is answered as a duplicate
        assert gateway.send(gateway.report(sample(1.5))).status == 200


def test_a_report_on_its_way_is_refused_or_taken_in_good_time(make_door: Callable[..., Door]) -> None:
    door = make_door("[limits]\nshutdown_seconds = 300")
    gateway = door.enrol()
    head = (
        b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n" % gateway.credential.encode()
    )
    with door.line() as half, door.line() as idle, door.line() as silent:
        half.sendall(head + b"half of it")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        assert door.running.terminate() == 0
        content = half.recv(1000)
        assert content.startswith(b"HTTP/1.1 503")
        assert b"retry-after:" in content.lower()
        for line in (idle, silent):
            assert _ended(line)
    assert not (door.data / "addresses").exists()
    assert "event=stopping" in door.log
    assert "trace=" not in door.log


def test_the_responder_ends_with_a_collector_that_is_killed(make_door: Callable[..., Door]) -> None:
    door = make_door()
    children = _children(door.running.pid)
    assert len(children) == 1
    door.running.send(signal.SIGKILL)
    door.running.wait()
    wait_until(lambda: not Path(f"/proc/{children[0]}").exists(), "the responder ended too")
    door.restart()


def test_a_responder_that_dies_is_started_again(make_door: Callable[..., Door]) -> None:
    door = make_door()
    gateway = door.enrol()
    policy = gateway.sent().policy
    assert policy is not None
    assert policy.responder is not None
    (child,) = _children(door.running.pid)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: _children(door.running.pid) not in ([], [child]), "another responder")
    with socket.create_connection(("127.0.0.1", policy.responder.port), timeout=60) as line:
        assert len(line.recv(2)) == 2


def test_only_one_collector_to_a_folder(make_door: Callable[..., Door]) -> None:
    door = make_door()
    second = subprocess.run(
        collector_command("run", "--data", door.data), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 2
    assert f"is in use by process {door.running.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert door.ask("GET", "/healthz").status == 200


def test_the_service_manager_hears_of_every_step(make_door: Callable[..., Door], tmp_path: Path) -> None:
    door = make_door()
    assert door.running.terminate() == 0
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(path))
        env = os.environ | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        running = door.processes(collector_command("run", "--data", door.data), env=env, ready=r"edusec collector: ")
        heard = [manager.recv(100) for _ in range(3)]
        assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        running.send(signal.SIGTERM)
        while heard[-1] != b"STOPPING=1":
            heard.append(manager.recv(100))
        assert running.wait() == 0


def test_the_documented_backup_of_a_running_collector_restores(
    make_door: Callable[..., Door], process: Processes, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^(python3 -c .*sqlite3.*)$", text, re.MULTILINE)
    words = shlex.split(line)
    door = make_door()
    gateway = door.enrol()
    gateway.sent(sample(1.0))
    gateway.sent(ports(22))
    subprocess.run([sys.executable, *words[1:]], cwd=door.data, check=True, timeout=60)
    door.running.kill()
    copy = tmp_path / "restored"
    copy.mkdir(mode=0o700)
    for path in door.data.iterdir():
        if not path.name.startswith(("collector.db", "backup.db", "lock", "addresses")):
            shutil.copy2(path, copy)
    shutil.copy2(door.data / "backup.db", copy / "collector.db")
    restored = Door(copy, start_collector(process, copy), process)
    gateway.door = restored
    assert _kept(restored) == {gateway.agent: {1.0}}
    assert gateway.sent(sample(3.0)).sequence == 3


def _held(gateway: Gateway) -> ssl.SSLSocket:
    """Ask for orders on a line whose end is up to the collector; returns once the question is held."""
    auth = f"Authorization: Bearer {gateway.credential}"
    since = decode(Orders, gateway.door.ask("GET", "/api/v1/orders", token=gateway.credential).body).revision
    line = gateway.door.line()
    line.sendall(f"GET /api/v1/orders?wait=300&since={since} HTTP/1.1\r\nHost: x\r\n{auth}\r\n\r\n".encode())
    assert line.recv(1000).startswith(b"HTTP/1.1 200")
    return line


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _ended(line: ssl.SSLSocket) -> bool:
    try:
        while line.recv(65536):
            pass
    except (ConnectionResetError, ssl.SSLError):
        return True
    return True
