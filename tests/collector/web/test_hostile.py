"""Slow, silent and many: strangers who hold connections, and agents that come through all the same."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.collector.web.door import Door, running_door
from tests.support.processes import wait_until
from wire.codec import compress, encode

IMPATIENT = """
[limits]
connections = 24
connections_per_address = 16
handshake_seconds = 2
header_seconds = 2
body_seconds = 1
answer_seconds = 1
idle_seconds = 2
failures_per_minute = 5
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """An impatient collector for tests that leave nothing behind."""
    with running_door(tmp_path_factory, IMPATIENT) as made:
        made.tries = 5
        yield made


@pytest.fixture
def own_door(make_door: Callable[..., Door]) -> Door:
    """One for tests after which it remembers strangers."""
    made = make_door(IMPATIENT)
    made.tries = 5
    return made


def _hung_up(line: socket.socket) -> bool:
    """Wait for the far side's end of a connection."""
    try:
        while line.recv(65536):
            pass
    except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
        return True
    return True


def _drips(line: socket.socket, drop: bytes) -> Callable[[], bool]:
    """Send one drop at a time, until the far side has had enough."""

    def dripped() -> bool:
        try:
            line.sendall(drop)
        except OSError:
            return True
        return False

    return dripped


def test_who_says_nothing_is_hung_up_on(door: Door) -> None:
    plain = socket.create_connection(("127.0.0.1", door.port), timeout=60)
    with plain, door.line() as greeted, door.line() as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        assert _hung_up(plain)
        assert _hung_up(greeted)
        assert _hung_up(idle)
    assert door.ask("GET", "/healthz").status == 200


def test_a_head_that_drips_is_hung_up_on(door: Door) -> None:
    with door.line() as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
        wait_until(_drips(line, b"A: b\r\n"), "the collector hung up on a head without end")
    with door.line() as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(_drips(line, b"\r\n"), "the collector hung up on empty lines without end")


def test_a_body_that_drips_is_refused(door: Door) -> None:
    gateway = door.enrol()
    head = (
        b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: 100000\r\n\r\n" % gateway.credential.encode()
    )
    with door.line() as line:
        line.sendall(head + b"x")
        assert line.recv(1000).startswith(b"HTTP/1.1 408")
        wait_until(_drips(line, b"x"), "the collector hung up")
    assert gateway.sent().sequence == 1


def test_the_rest_of_a_refused_request_is_not_read_for_ever(door: Door) -> None:
    with door.line() as line:
        line.sendall(b"POST /api/v1/units HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 4")
        wait_until(_drips(line, b"x"), "the collector hung up")


def test_trailers_without_end_are_hung_up_on(door: Door) -> None:
    with door.line() as line:
        line.sendall(
            b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
        )
        wait_until(_drips(line, b"X-Trailer: " + b"y" * 60_000 + b"\r\n"), "the collector hung up")
    assert door.ask("GET", "/healthz").status == 200


def test_a_crowd_from_one_address_leaves_when_it_does_nothing(own_door: Door) -> None:
    gateway = own_door.enrol()
    crowd = [socket.create_connection(("127.0.0.1", own_door.port), timeout=60) for _ in range(64)]
    try:
        for stranger in crowd:
            assert _hung_up(stranger)
    finally:
        for stranger in crowd:
            stranger.close()
    assert gateway.sent().sequence == 1
    assert "event=too_many_connections" in own_door.log
    assert own_door.log.count("event=too_many_connections") == 1


def test_an_agent_comes_through_a_steady_crowd(own_door: Door) -> None:
    """Strangers of another address fill their share; the agent's address has its own."""
    gateway = own_door.enrol()
    crowd = []
    try:
        for _ in range(40):
            with contextlib.suppress(OSError):
                crowd.append(
                    socket.create_connection(("127.0.0.1", own_door.port), timeout=60, source_address=("127.0.0.9", 0))
                )
        assert gateway.sent().sequence == 1
    finally:
        for stranger in crowd:
            stranger.close()


def test_who_does_not_read_the_answers_is_let_go(door: Door) -> None:
    """Answers that nobody reads pile up only so far, and only for so long."""
    door.get("/schema/openapi.json")  # large enough for this
    with door.line() as line:
        port = line.getsockname()[1]
        collector = psutil.Process(door.running.pid)

        def held() -> bool:
            return any(end.raddr[1:] == (port,) for end in collector.net_connections("tcp"))

        def let_go() -> bool:
            with contextlib.suppress(OSError):
                line.sendall(b"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 16)
            return not held()

        assert held()
        line.settimeout(0.1)
        wait_until(let_go, "the collector let go of who does not read")
    assert door.ask("GET", "/healthz").status == 200


def test_a_flood_of_requests_in_one_go_is_hung_up_on(door: Door) -> None:
    with door.line() as line:
        line.settimeout(60)
        with contextlib.suppress(OSError):
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100_000)
        assert _hung_up(line)
    assert door.ask("GET", "/healthz").status == 200


def test_failures_are_slowed_down_and_a_good_credential_passes(own_door: Door) -> None:
    gateway = own_door.enrol()
    statuses = [own_door.ask("GET", "/api/v1/units", token=f"guess-{number}").status for number in range(12)]
    assert statuses[:4] == [401] * 4
    assert statuses[-1] == 429
    heard = own_door.ask("GET", "/api/v1/units", token="guess")
    assert heard.refusal().code == "busy"
    assert 1 <= int(heard.headers["retry-after"]) <= 60
    # Hundreds of schools may share that address.
    assert gateway.sent().sequence == 1
    assert own_door.get("/api/v1/units")["items"]
    secret = own_door.token().split(".")[1]
    assert own_door.spend("x" * 43).status == 429
    assert own_door.spend(secret).status == 200
    assert own_door.log.count("event=refused_unauthorised") == 1


def test_a_report_that_arrives_in_pieces_is_taken(door: Door) -> None:
    gateway = door.enrol()
    body = compress(encode(gateway.report()))
    with door.line() as line:
        line.sendall(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Encoding: gzip\r\nConnection: close\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (gateway.credential.encode(), len(body))
        )
        step = len(body) // 5 + 1
        for start in range(0, len(body), step):
            line.sendall(body[start : start + step])
            time.sleep(0.01)
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
