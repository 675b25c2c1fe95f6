"""bandwidth against the collector's own responder on shaped links, and against responders that misbehave."""

import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.bandwidth import Flow
from probes.kit.contract import CannotRun
from tests.probes.rig import LAB, NO_POLICY, Run, net_of, run
from tests.probes.servers import tcp_server, wait_for_end
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from wire.bandwidth import HEADER_BYTES, Hello, Reply, Request, Result, frame_length, make_ticket, pack, unpack
from wire.types import Outcome, Policy, Responder, SectionKind, TargetKind

SECRET = "5e" * 32
PORT = 7443
FRAME = 1514 / 1448
"""What the shaper counts for each 1,448 bytes of payload: full-size frames with TCP time stamps."""
RESPONDER = str(Path(__file__).with_name("responder.py"))


def policy(host: str, port: int = PORT, *, ttl: float = 600, agent: str = "agent-1", most: int = 1 << 36) -> Policy:
    ticket = make_ticket(bytes.fromhex(SECRET), agent, time.time() + ttl, most)
    return replace(NO_POLICY, responder=Responder(host, port, ticket))


def measure(host: str, *, given: Policy | None = None, **options: Any) -> Run:
    return run("bandwidth", options, net_of(*LAB), policy=given or policy(host))


@pytest.fixture
def line(netns: Namespaces, process: Processes) -> tuple[Namespace, str, str, Callable[[str, str], None]]:
    """An agent and a responder, and a function that shapes the line (responder's rate, agent's rate)."""
    agent, collector = netns(), netns()
    here, there = netns.link(agent, collector)
    process([sys.executable, RESPONDER, str(PORT), SECRET], netns=collector, ready=None)
    agent.call(_wait_for, str(there.v4.ip))

    def shape(down: str, up: str) -> None:
        for space, rate in ((collector, down), (agent, up)):
            words = [
                "tc",
                "qdisc",
                "add",
                "dev",
                here.interface,
                "root",
                "tbf",
                "rate",
                rate,
                "burst",
                "32kb",
                "latency",
                "50ms",
            ]
            space.run(words)

    return agent, str(there.v4.ip), str(there.v6.ip), shape


def _wait_for(host: str) -> None:
    for _ in range(200):
        attempt = net_of(*LAB).connect(host, PORT, 1)
        if attempt.connection is not None:
            attempt.connection.close()
            return
        time.sleep(0.05)
    raise AssertionError("the responder never listened")


def _rates(found: Run, overhead: float) -> tuple[float, float]:
    """Rates in bit/s on the line, down and up."""
    values: dict[str, Any] = dict(found.observations[0].values)
    return values.get("download_bps", 0) * overhead, values.get("upload_bps", 0) * overhead


def test_a_shaped_line_is_measured_to_the_shaper_s_rate(
    line: tuple[Namespace, str, str, Callable[[str, str], None]], needs: Callable[..., str]
) -> None:
    needs("tc", package="iproute2")
    agent, four, six, shape = line
    shape("40mbit", "20mbit")
    for host, overhead in ((four, FRAME), (six, 1514 / 1428)):
        truth = pytest.approx((40e6, 20e6), rel=0.03)
        for _ in range(20):  # what a busy machine holds up is not the line's rate, so a moment of calm is waited for
            found = agent.call(measure, host, seconds=2.0)
            if _rates(found, overhead) == truth:
                break
        (result,) = found.observations
        assert (result.outcome, result.target.kind, result.method) == (Outcome.MEASURED, TargetKind.AGENT, "tcp")
        values: dict[str, Any] = dict(result.values)
        assert _rates(found, overhead) == truth
        assert 0 < values["rtt_seconds"] < 1
        assert values["family"] == (6 if ":" in host else 4)
        assert values["bytes"] > 40e6 / 8
        assert found.skipped == []


def test_the_cap_of_bytes_holds(line: tuple[Namespace, str, str, Callable[[str, str], None]]) -> None:
    agent, four, _, shape = line
    shape("40mbit", "40mbit")
    found = agent.call(measure, four, max_bytes=1 << 20)
    values: dict[str, Any] = dict(found.observations[0].values)
    assert values["bytes"] <= 2 << 20
    assert values["limited_by"] in ("cap", "cpu")


def test_the_ticket_s_own_cap_holds(line: tuple[Namespace, str, str, Callable[[str, str], None]]) -> None:
    agent, four, _, _ = line
    found = agent.call(measure, four, given=policy(four, most=300_000), direction="download")
    assert found.observations[0].values["bytes"] == 300_000
    assert "upload_bps" not in found.observations[0].values


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (policy("198.18.1.2", ttl=-1), "responder_refused: expired"),
        (replace(NO_POLICY, responder=Responder("198.18.1.2", PORT, "edb1.e30.00")), "responder_refused: ticket"),
        (
            replace(NO_POLICY, responder=Responder("198.18.1.2", PORT, "nonsense")),
            "responder_failed: .*no bandwidth ticket",
        ),
        (policy("198.18.1.2", PORT + 1), "no_responder: 198.18.1.2 port 7444: closed"),
        (policy("10.0.0.1"), "out_of_scope: edusec scope add 10.0.0.1"),
        (policy("a b"), "no_responder: 'a b'"),
        (policy("collector.school.example"), "out_of_scope|not_resolved"),
        (NO_POLICY, "^no_responder$"),
    ],
)
def test_what_cannot_be_measured_says_why(
    line: tuple[Namespace, str, str, Callable[[str, str], None]], given: Policy, says: str
) -> None:
    agent, four, _, _ = line
    assert four == "198.18.1.2"
    with pytest.raises(CannotRun, match=says):
        agent.call(measure, four, given=given, timeout=1.0)


def test_no_time_means_no_test(line: tuple[Namespace, str, str, Callable[[str, str], None]]) -> None:
    agent, four, _, _ = line
    net = net_of(*LAB)
    with pytest.raises(CannotRun, match="deadline"):
        agent.call(run, "bandwidth", {}, net, policy=policy(four), seconds=3)
    assert net.sent == 0


def hear(connection: socket.socket) -> Request:
    header = connection.recv(HEADER_BYTES, socket.MSG_WAITALL)
    return unpack(Request, connection.recv(frame_length(header), socket.MSG_WAITALL))


def hello(connection: socket.socket) -> Request:
    connection.sendall(pack(Hello("ab" * 16)))
    return hear(connection)


def never_ending(connection: socket.socket) -> None:
    """Grant little and send much."""
    hello(connection)
    connection.sendall(pack(Reply(True, 100_000, 1.0)))
    for _ in range(10_000):
        connection.sendall(bytes(65536))


def granting(seconds: float, then: Callable[[socket.socket], object]) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        hello(connection)
        connection.sendall(pack(Reply(True, 1 << 20, seconds)))
        then(connection)

    return talk


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n"), "responder_failed: .*larger than 4096"),
        (lambda connection: connection.sendall(b"\0\0"), "responder_failed: .*empty"),
        (lambda connection: connection.sendall(b"\0\2{}"), "responder_failed: .*schema"),
        (lambda connection: connection.sendall(b"\0\5{"), "responder_failed: .*stream ended"),
        (lambda _: None, "responder_failed: .*stream ended"),
        (wait_for_end, "responder_failed: .*timed out"),
        (
            lambda connection: (
                hello(connection),
                connection.sendall(pack(Reply(False, code="busy", message="忙\x1b"))),
            ),
            "responder_refused: busy",
        ),
    ],
)
def test_responders_that_misbehave(talk: Callable[[socket.socket], None], says: str) -> None:
    seconds = 0.5 if talk is wait_for_end else 20.0
    with tcp_server(talk) as port, pytest.raises(CannotRun, match=says):
        measure("127.0.0.1", given=policy("127.0.0.1", port), direction="download", timeout=seconds)


def test_more_than_granted_is_not_taken() -> None:
    with tcp_server(never_ending) as port:
        found = measure("127.0.0.1", given=policy("127.0.0.1", port), direction="download", timeout=20.0)
    assert int(found.observations[0].values["bytes"]) < 100_000 + (1 << 20) + 1  # type: ignore[arg-type]


def test_a_responder_that_grants_and_goes_gives_no_rate() -> None:
    with tcp_server(granting(1.0, lambda _: None)) as port:
        found = measure("127.0.0.1", given=policy("127.0.0.1", port), direction="download", timeout=20.0)
    assert dict(found.observations[0].values)["limited_by"] == "unknown"
    assert "download_bps" not in found.observations[0].values


def test_a_responder_that_never_reads_ends_in_time() -> None:
    with (
        tcp_server(granting(1.0, wait_for_end)) as port,
        pytest.raises(CannotRun, match=r"responder_failed: .*timed out"),
    ):
        measure("127.0.0.1", given=policy("127.0.0.1", port), direction="upload", timeout=20.0)


def test_one_direction_that_fails_leaves_the_other() -> None:
    def talk(connection: socket.socket) -> None:
        request = hello(connection)
        if request.direction == "upload":
            connection.sendall(pack(Reply(False, code="quota", message="")))
            return
        connection.sendall(pack(Reply(True, 1 << 20, 60.0)))
        connection.sendall(bytes(1 << 20))

    with tcp_server(talk) as port:
        found = measure("127.0.0.1", given=policy("127.0.0.1", port), timeout=20.0)
    assert found.observations[0].values["bytes"] == 1 << 20
    assert [item.what for item in found.skipped] == ["upload"]
    assert found.skipped[0].reason.startswith("responder_refused: quota")


def test_impossible_results_do_not_crash() -> None:
    def lie(connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            pass
        connection.sendall(pack(Result(0, 0.0, 0, 0.0, 60.0)))

    with tcp_server(granting(1.0, lie)) as port:
        found = measure("127.0.0.1", given=policy("127.0.0.1", port), direction="upload", timeout=20.0)
    assert found.observations[0].values["limited_by"] == "unknown"


@pytest.mark.parametrize(
    ("flow", "rate", "limited_by"),
    [
        (Flow(100, 10.0, 80, 8.0, capped=False), 80.0, "line"),
        (Flow(100, 10.0, 80, 8.0, capped=True), 80.0, "line"),
        (Flow(100, 10.0, 80, 8.0, capped=False, busy=True), 80.0, "cpu"),
        (Flow(100, 1.0, 10, 0.1, capped=True), 800.0, "cap"),
        (Flow(100, 1.0, 0, 0.0, capped=False), 800.0, "unknown"),
        (Flow(0, 0.0, 0, 0.0, capped=False), None, "unknown"),
        (Flow(100, 0.0, 0, 0.0, capped=True), None, "unknown"),
    ],
)
def test_what_limited_a_flow(flow: Flow, rate: float | None, limited_by: str) -> None:
    assert (flow.rate, flow.limited_by) == (rate, limited_by)


def test_a_rate_is_a_sample_not_a_picture() -> None:
    from probes.bandwidth import PROBE

    assert PROBE.kind is SectionKind.MEASUREMENT
