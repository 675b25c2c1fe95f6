"""The agent's own metrics: what Prometheus' own checker says, and a server that nobody can hold up."""

import http.client
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.metrics.listener import CONTENT_TYPE, MAX_CLIENTS, MAX_REQUEST, Listener
from agent.metrics.stats import Stats, exposition
from agent.spool.sections import Counts
from tests.support.addresses import needs_address
from tests.support.processes import wait_until
from wire.types import RunStatus, Section, SectionKind

COUNTS = Counts(bytes=10, limit=100, sections=2, aside=1, dropped=3)


def _section(name: str, probe: str, status: RunStatus, finished: float) -> Section:
    return Section(name, probe, SectionKind.STATE, status, "", 0.0, finished)


def filled() -> Stats:
    stats = Stats(policy="abc")
    stats.ran(_section("ports", "open_ports", RunStatus.DONE, 1_800_000_000.0), 1.5, 2)
    stats.ran(_section("ports", "open_ports", RunStatus.CRASHED, 1_800_000_100.0), 0.5, 0)
    stats.ran(_section('odd "name"\\\n', "host_vitals", RunStatus.TIMED_OUT, 1_800_000_200.0), 30, 0)
    stats.attempt("accepted")
    stats.attempt("unreachable")
    stats.accepted(1_800_000_300.0, -0.25)
    return stats


def test_promtool_finds_no_fault(needs: Callable[..., str]) -> None:
    promtool = needs("promtool", package="prometheus")
    for text in (exposition(filled().samples(COUNTS)), exposition(Stats().samples(None))):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_count_is_exposed_with_its_labels_quoted() -> None:
    lines = exposition(filled().samples(COUNTS)).splitlines()
    assert 'edusec_agent_probe_runs_total{task="ports",probe="open_ports",status="done"} 1' in lines
    assert (
        'edusec_agent_probe_runs_total{task="odd \\"name\\"\\\\\\n",probe="host_vitals",status="timed_out"} 1' in lines
    )
    assert 'edusec_agent_probe_duration_seconds{task="ports"} 0.5' in lines
    assert 'edusec_agent_probe_last_success_timestamp_seconds{task="ports"} 1800000000.0' in lines
    assert "edusec_agent_spool_sections 3" in lines
    assert "edusec_agent_spool_dropped_total 3" in lines
    assert "edusec_agent_scope_refusals_total 2" in lines
    assert "edusec_agent_clock_skew_seconds -0.25" in lines
    assert 'edusec_agent_policy_info{digest="abc"} 1' in lines


def test_ever_new_names_of_tasks_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.metrics.stats._MOST_RUNS", 2)
    stats = Stats()
    for number in range(5):
        stats.ran(_section(f"t{number}", "open_ports", RunStatus.DONE, 1.0), 1.0, 0)
    lines = exposition(stats.samples(None)).splitlines()
    assert 'edusec_agent_probe_runs_total{task="t1",probe="open_ports",status="done"} 1' in lines
    assert 'edusec_agent_probe_runs_total{task="(others)",probe="(others)",status="done"} 3' in lines


def test_tasks_that_are_gone_are_forgotten_but_counters_stay() -> None:
    stats = filled()
    stats.keep(["other"])
    text = exposition(stats.samples(None))
    assert "probe_duration_seconds{" not in text
    assert "probe_runs_total{" in text


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener("127.0.0.1", 0, {"/metrics": lambda: "text \u4e2d\n", "/healthz": lambda: "ok\n"})
    try:
        yield made
    finally:
        made.close()


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request)
        found = b""
        while data := client.recv(65_536):
            found += data
        return found


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_metrics_and_health_answer_to_get_and_head(listener: Listener) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=20)
    for path, body in (("/metrics", "text \u4e2d\n"), ("/metrics?x=1", "text \u4e2d\n"), ("/healthz", "ok\n")):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read().decode(), answer.headers["Content-Type"]) == (200, body, CONTENT_TYPE)
    connection.request("HEAD", "/metrics")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "9", b"")
    connection.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\xff\n\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.0\n\n", b"200"),
        (b"GET /" + b"x" * MAX_REQUEST, b"431"),
    ],
)
def test_an_odd_request_gets_a_status(listener: Listener, request_: bytes, status: bytes) -> None:
    assert ask(listener.port, request_).split()[1] == status


@given(st.binary(max_size=300))
def test_no_request_breaks_it(data: bytes) -> None:
    listener = Listener("127.0.0.1", 0, {"/metrics": lambda: "x\n"})
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
            client.sendall(data)
        assert b" 200 " in ask(listener.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    finally:
        listener.close()


def test_slow_clients_lock_nobody_out(listener: Listener) -> None:
    slow = [socket.create_connection(("127.0.0.1", listener.port), timeout=20) for _ in range(3 * MAX_CLIENTS)]
    try:
        for client in slow:
            client.send(b"G")
        assert b" 200 " in ask(listener.port, b"GET /metrics HTTP/1.1\r\n\r\n")
        # The first were sent away to make room.
        wait_until(lambda: closed(slow[0]), "the oldest is closed")
    finally:
        for client in slow:
            client.close()


def test_an_idle_client_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.metrics.listener.CLIENT_SECONDS", 0.05)
    listener = Listener("127.0.0.1", 0, {})
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
            assert client.recv(1) == b""
    finally:
        listener.close()


def test_a_client_that_does_not_read_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.metrics.listener.CLIENT_SECONDS", 0.2)
    listener = Listener("127.0.0.1", 0, {"/metrics": lambda: "x" * (32 << 20)})
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            wait_until(lambda: not listener._clients, "it is sent away")
    finally:
        listener.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_closing_gives_up_port_and_thread(host: str) -> None:
    listener = Listener(needs_address(host), 0, {})
    thread = listener._thread
    held = socket.create_connection(listener._listening.getsockname()[:2], timeout=20)
    listener.close()
    assert not thread.is_alive()
    with held:
        wait_until(lambda: closed(held), "its client is sent away")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, listener.port), timeout=20)


def test_a_taken_port_is_an_error(listener: Listener) -> None:
    with pytest.raises(OSError, match="in use"):
        Listener("127.0.0.1", listener.port, {})
