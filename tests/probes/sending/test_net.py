"""The sending layer on loopback: what it lets out, what it refuses, and how connections end."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as daytime
from ipaddress import ip_address

import pytest

from probes.kit.errors import OutOfScope, PayloadRefused, Quiet, Refused
from probes.kit.scope.model import Scope
from probes.kit.sending.connection import PRINTER_PORTS, Connection
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import Settled
from probes.kit.sending.pacing import Pace, QuietHours
from tests.probes.rig import entry, net_of
from tests.support.addresses import needs_address
from tests.support.netns import Namespaces
from wire.types import Outcome


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, socket.socket]]:
    family = socket.AF_INET6 if ":" in needs_address(request.param) else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listening:
        yield request.param, listening.getsockname()[1], listening


def test_a_connection_carries_bytes_both_ways(server: tuple[str, int, socket.socket]) -> None:
    address, port, listening = server
    net = net_of()
    attempt = net.connect(address, port, 5)
    assert attempt.outcome is Outcome.OPEN
    assert attempt.connection is not None
    with attempt.connection as connection, listening.accept()[0] as peer:
        deadline = time.monotonic() + 5
        connection.send(b"hello", deadline)
        assert peer.recv(5) == b"hello"
        peer.sendall(b"abcdef")
        assert connection.receive_exactly(4, deadline) == b"abcd"
        assert connection.receive(10, deadline) == b"ef"
        peer.sendall(b"x" * 1000)
        peer.shutdown(socket.SHUT_WR)
        thrown = 0
        while got := connection.discard(bytearray(4096), deadline):
            thrown += got
        assert thrown == 1000
        connection.end()
        assert peer.recv(5) == b""
    assert net.sent == 1
    assert net.refusals == 0


def test_a_closed_port_and_a_silent_peer_are_data(
    server: tuple[str, int, socket.socket], free_port: Callable[..., int]
) -> None:
    address, port, _ = server
    attempt = net_of().connect(address, free_port(address), 5)
    assert (attempt.settled, attempt.connection) == (Settled.CLOSED, None)
    attempt = net_of().connect(address, port, 5)
    assert attempt.connection is not None
    with attempt.connection as connection, pytest.raises(TimeoutError):
        connection.receive(1, time.monotonic() + 0.05)
    with pytest.raises(TimeoutError):
        connection.receive(1, time.monotonic() - 1)


def test_waiting_changes_hands_between_kernel_and_python(server: tuple[str, int, socket.socket]) -> None:
    address, port, listening = server
    connection = net_of().connect(address, port, 5).connection
    assert connection is not None
    with connection, listening.accept()[0] as peer:
        for _ in range(2):
            peer.sendall(b"abc")
            assert connection.discard(bytearray(2), time.monotonic() + 5) == 2
            assert connection.receive(5, time.monotonic() + 5) == b"c"
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                connection.discard(bytearray(2), started + 0.3)
            assert time.monotonic() >= started + 0.3
            with pytest.raises(TimeoutError):
                connection.receive(5, time.monotonic() + 0.05)


def test_a_reset_leaves_nothing_behind(server: tuple[str, int, socket.socket]) -> None:
    address, port, listening = server
    attempt = net_of().connect(address, port, 5)
    assert attempt.connection is not None
    attempt.connection.reset()
    with listening.accept()[0] as peer, pytest.raises(ConnectionResetError):
        peer.recv(1)


@pytest.mark.parametrize(
    "stranger",
    ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "2001:db8::1", "fe80::1%lo", "224.0.0.1", "255.255.255.255"],
)
def test_strangers_are_refused_with_the_command(stranger: str) -> None:
    net = net_of()
    for send in (lambda: net.connect(stranger, 80, 1), lambda: net.datagrams(stranger, 53), lambda: net.gate(stranger)):
        with pytest.raises(OutOfScope, match="edusec scope add "):
            send()
    assert (net.refusals, net.sent) == (3, 0)


@pytest.mark.parametrize("odd", ["127.1", "0177.0.0.1", "localhost", "2130706433", "", "127.0.0.1/32"])
def test_only_plain_addresses_are_taken(odd: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        net_of("fe80::/64").connect(odd, 80, 1)


def test_ports_of_the_scope_hold_for_every_way_out() -> None:
    net = Net(Scope([entry("198.18.0.0/16", "80")]))
    with pytest.raises(OutOfScope):
        net.connect("198.18.0.1", 81, 1)
    with pytest.raises(OutOfScope):
        net.datagrams("198.18.0.1", 53)
    assert net.sent == 0
    assert net.gate("198.18.0.1").allows(80)
    assert not net.gate("198.18.0.1").allows(81)


def test_printer_ports_may_be_connected_and_never_written_to() -> None:
    assert {515, *range(9100, 9108)} == PRINTER_PORTS
    port = 9103
    with socket.create_server(("127.0.0.1", port)) as listening:
        attempt = net_of().connect("127.0.0.1", port, 5)
        assert attempt.connection is not None
        with attempt.connection as connection, listening.accept()[0] as peer:
            soon = time.monotonic() + 5
            for send in (
                lambda: connection.send(b"hello", soon),
                lambda: connection.send_some(b"hello", soon),
                lambda: connection.start_tls("printer", None, soon),  # type: ignore[arg-type]
            ):
                with pytest.raises(PayloadRefused, match="printer_port"):
                    send()
            connection.close()
            assert peer.recv(1) == b""
    with net_of().datagrams("127.0.0.1", 515) as line, pytest.raises(PayloadRefused):
        line.send(b"hello")
    with pytest.raises(PayloadRefused):
        net_of().icmp("::1", port)


def test_connections_to_one_host_are_capped(server: tuple[str, int, socket.socket]) -> None:
    address, port, _ = server
    net = net_of(per_host=2)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = net.connect(address, port, 5).connection
            assert connection is not None
            stack.callback(connection.close)
        with pytest.raises(Refused, match="2 connections per host"):
            net.connect(address, port, 5)
    again = net.connect(address, port, 5).connection
    assert again is not None
    again.close()
    again.close()  # closing twice frees one place only
    assert net._open[address] == 0


def test_quiet_hours_keep_strangers_waiting_and_this_machine_not(server: tuple[str, int, socket.socket]) -> None:
    address, port, _ = server
    always = (QuietHours(daytime(0, 0), daytime(12, 0)), QuietHours(daytime(12, 0), daytime(0, 0)))
    net = net_of("198.18.0.0/15", quiet=always)
    with pytest.raises(Quiet, match="quiet_hours: "):
        net.connect("198.18.0.1", 80, 1)
    attempt = net.connect(address, port, 5)
    assert attempt.connection is not None
    attempt.connection.close()


def test_the_day_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    clock = {"now": now.timestamp()}
    net = Net(Scope([entry("198.18.0.0/15", days=3)]), clock=lambda: clock["now"])
    gate = net.gate("198.18.0.1")
    clock["now"] += timedelta(days=4).total_seconds()
    monkeypatch.setattr("probes.kit.sending.net._TIME_CHECK_SECONDS", 0.0)
    with pytest.raises(OutOfScope):
        net.gate("198.18.0.1")
    with pytest.raises(OutOfScope):
        net.recheck(gate)


def test_a_domain_lends_its_public_addresses_only() -> None:
    net = Net(Scope([entry("www.example.edu.cn", "443"), entry("*.other.edu.cn")]))
    net.lend(
        "www.example.edu.cn",
        [ip_address("202.112.0.36"), ip_address("10.0.0.1"), ip_address("127.0.0.9"), ip_address("64:ff9b::a00:1")],
    )
    net.lend("stranger.example.com", [ip_address("202.112.0.44")])
    assert net.gate("202.112.0.36").ports == ((443, 443),)
    for refused in (("202.112.0.36", 80), ("10.0.0.1", 443), ("64:ff9b::a00:1", 443), ("202.112.0.44", 443)):
        with pytest.raises(OutOfScope):
            net.gate(*refused)


def test_the_pace_holds_for_connections_and_datagrams_beyond_this_machine() -> None:
    # 198.18/15 has no route here: nothing leaves, and each attempt is paid for all the same.
    net = Net(Scope([entry("198.18.0.0/15")]), pace=Pace(50, burst=1))
    started = time.monotonic()
    for _ in range(6):
        net._pay(net.gate("198.18.0.1"))
    assert time.monotonic() - started >= 5 / 50
    started = time.monotonic()
    for _ in range(1000):
        net._pay(net.gate("127.0.0.1"))
    assert net.sent == 1006


def test_a_port_never_connects_to_itself(netns: Namespaces) -> None:
    """Simultaneous open (RFC 9293 section 3.5): a port may open to itself although nobody listens; that is closed."""
    space = netns()
    # The kernel picks the source port among two, so that about every second handshake meets itself.
    space.sysctl("net.ipv4.ip_local_port_range", "40000 40001")
    ports_open_to_themselves = 0
    for address in ("127.0.0.1", "::1"):
        for port in (40000, 40001) * 8:
            attempt = space.call(net_of().connect, address, port, 5)
            assert attempt.settled is Settled.CLOSED
            ports_open_to_themselves += space.call(_opens_to_itself, address, port)
    assert ports_open_to_themselves > 0, "the trap did not work, so nothing was tried"


def _opens_to_itself(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return plain.connect_ex((address, port)) == 0


def test_datagrams_come_from_the_asked_only() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        server.bind(("127.0.0.1", 0))
        with net_of().datagrams("127.0.0.1", server.getsockname()[1]) as line:
            line.send(b"ping")
            _, peer = server.recvfrom(16)
            other.sendto(b"forged", peer)
            server.sendto(b"pong", peer)
            assert line.receive(16, time.monotonic() + 5) == b"pong"
            with pytest.raises(TimeoutError):
                line.receive(16, time.monotonic() + 0.05)


def test_a_timeout_is_told_as_such() -> None:
    # A backlog of zero, filled: the kernel drops further handshakes, as a filter would.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, contextlib.ExitStack() as stack:
        net = net_of()
        for _ in range(8):
            attempt = net.connect("127.0.0.1", listening.getsockname()[1], 0.2)
            if attempt.connection is None:
                break
            stack.callback(attempt.connection.close)
        assert attempt.settled is Settled.TIMEOUT
        assert attempt.outcome is Outcome.FILTERED


def test_sending_to_one_who_does_not_read_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = net_of().connect("127.0.0.1", listening.getsockname()[1], 5).connection
        assert connection is not None
        with connection, listening.accept()[0]:
            deadline = time.monotonic() + 0.3
            with pytest.raises(TimeoutError):
                _send_for_ever(connection, deadline)
            assert time.monotonic() >= deadline
            with pytest.raises(TimeoutError):
                connection.send(bytes(1 << 20), time.monotonic() + 0.1)


def _send_for_ever(connection: Connection, deadline: float) -> None:
    while True:
        assert connection.send_some(bytes(1 << 16), deadline) > 0
