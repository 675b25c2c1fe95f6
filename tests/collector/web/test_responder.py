"""The bandwidth responder as the collector runs it: a child process on loopback, with friends and with strangers."""

import contextlib
import os
import secrets
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.process.config import Config, ResponderConfig
from collector.process.sockets import bind
from collector.responder.process import ResponderProcess
from collector.responder.serve import MAX_WAITING
from collector.responder.slots import Slots
from tests.support.processes import wait_until
from wire.bandwidth import (
    HEADER_BYTES,
    Direction,
    Hello,
    Reply,
    Result,
    frame_length,
    make_ticket,
    pack,
    prove,
    unpack,
)
from wire.endpoint import Endpoint

SECRET = secrets.token_hex(32)
PATIENCE = 60
MIB = 1 << 20


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """`start(tests=4)`: a running responder's port."""
    with contextlib.ExitStack() as stack:

        def make(**limits: object) -> int:
            sockets = bind((Endpoint("127.0.0.1", 0),))
            config = Config(data=tmp_path, responder=ResponderConfig(**limits))  # type: ignore[arg-type]
            running = ResponderProcess(config, sockets, SECRET)
            stack.callback(lambda: [door.close() for door in sockets])
            stack.callback(running.close)
            port: int = sockets[0].getsockname()[1]
            return port

        yield make


def _ticket(agent: str = "agent-1", seconds: float = 600, most: int = 1 << 30, secret: str = SECRET) -> str:
    return make_ticket(bytes.fromhex(secret), agent, time.time() + seconds, most)


def _forged(ticket: str) -> str:
    return ticket[:-1] + ("1" if ticket[-1] == "0" else "0")


def _dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def _exactly(line: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = line.recv(count - len(content))
        if not piece:
            raise EOFError
        content += piece
    return content


def _frame(line: socket.socket) -> bytes:
    return _exactly(line, frame_length(_exactly(line, HEADER_BYTES)))


def _ask(
    line: socket.socket, ticket: str, direction: Direction, wanted: int, seconds: float = 10, skip: float = 0
) -> Reply:
    hello = unpack(Hello, _frame(line))
    line.sendall(pack(prove(ticket, hello.nonce, direction, wanted, seconds, skip)))
    return unpack(Reply, _frame(line))


def _drain(line: socket.socket) -> int:
    total = 0
    while piece := line.recv(MIB):
        total += len(piece)
    return total


def _ended(line: socket.socket) -> bool:
    """Whether the other side closes, by itself, whatever it still says before."""
    try:
        _drain(line)
    except ConnectionResetError:
        return True
    return True


def test_a_download_brings_what_was_granted(start: Callable[..., int]) -> None:
    with _dial(start()) as line:
        reply = _ask(line, _ticket(), Direction.DOWNLOAD, 20 * MIB + 17)
        assert reply.accepted
        assert reply.bytes == 20 * MIB + 17
        assert _drain(line) == 20 * MIB + 17


def test_a_download_cannot_be_compressed(start: Callable[..., int]) -> None:
    import zlib

    with _dial(start()) as line:
        _ask(line, _ticket(), Direction.DOWNLOAD, MIB)
        content = _exactly(line, MIB)
    assert len(zlib.compress(content)) > MIB * 0.99


def test_an_upload_is_counted_at_the_far_end(start: Callable[..., int]) -> None:
    with _dial(start()) as line:
        assert _ask(line, _ticket(), Direction.UPLOAD, 10 * MIB).accepted
        line.sendall(bytes(3 * MIB))
        line.shutdown(socket.SHUT_WR)
        result = unpack(Result, _frame(line))
        assert result.bytes == 3 * MIB
        assert result.steady_bytes <= result.bytes
        assert _ended(line)


def test_an_upload_past_the_limit_still_gets_its_result(start: Callable[..., int]) -> None:
    with _dial(start()) as line:
        reply = _ask(line, _ticket(most=MIB), Direction.UPLOAD, 100 * MIB)
        assert reply.bytes == MIB
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(bytes(MIB + 4096))
        assert unpack(Result, _frame(line)).bytes == MIB


def test_both_directions_one_after_the_other_by_the_same_agent(start: Callable[..., int]) -> None:
    port = start(tests=1)
    for direction in (Direction.DOWNLOAD, Direction.UPLOAD) * 5:
        with _dial(port) as line:
            assert _ask(line, _ticket(), direction, MIB).accepted
            if direction is Direction.DOWNLOAD:
                assert _drain(line) == MIB
            else:
                line.sendall(bytes(MIB))
                line.shutdown(socket.SHUT_WR)
                assert unpack(Result, _frame(line)).bytes == MIB


def test_time_is_a_limit_too(start: Callable[..., int]) -> None:
    with _dial(start(max_seconds=1)) as line:
        reply = _ask(line, _ticket(), Direction.UPLOAD, 1 << 30, seconds=10)
        assert reply.seconds == 1
        line.sendall(b"x")
        # Nothing more is sent and nothing is closed: the responder ends the test.
        assert unpack(Result, _frame(line)).bytes == 1
        assert _ended(line)


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        (_ticket(secret="00" * 32), "ticket"),
        (_ticket(seconds=-1), "expired"),
        (_forged(_ticket()), "ticket"),
    ],
)
def test_a_ticket_that_does_not_hold_is_refused(start: Callable[..., int], ticket: str, code: str) -> None:
    with _dial(start()) as line:
        reply = _ask(line, ticket, Direction.DOWNLOAD, MIB)
        assert not reply.accepted
        assert reply.code == code
        assert _ended(line)


def test_a_proof_serves_one_connection_only(start: Callable[..., int]) -> None:
    port = start()
    with _dial(port) as first, _dial(port) as second:
        nonce = unpack(Hello, _frame(first)).nonce
        request = pack(prove(_ticket(), nonce, Direction.DOWNLOAD, MIB, 1))
        assert unpack(Hello, _frame(second)).nonce != nonce
        second.sendall(request)
        assert unpack(Reply, _frame(second)).code == "ticket"


@pytest.mark.parametrize(
    "words",
    [b"", b"\x00", b"\x00\x00", b"\xff\xff" + bytes(65535), b"\x00\x02{}", b"GET / HTTP/1.1\r\n\r\n", os.urandom(500)],
    ids=["silent", "half a header", "empty frame", "too long", "no request", "http", "noise"],
)
def test_strangers_are_sent_away(start: Callable[..., int], words: bytes) -> None:
    with _dial(start()) as line:
        with contextlib.suppress(OSError):
            line.sendall(words)
        assert _ended(line)


def test_a_drip_of_bytes_does_not_hold_the_door_open(start: Callable[..., int]) -> None:
    with _dial(start()) as line:
        unpack(Hello, _frame(line))
        drip = pack(Hello("x" * 64, "y" * 60))

        def dripped() -> bool:
            nonlocal drip
            try:
                line.sendall(drip[:1])
            except OSError:
                return True
            drip = drip[1:]
            return False

        wait_until(dripped, "the responder hung up on one byte at a time")


def test_a_crowd_of_silent_strangers_does_not_keep_an_agent_out(start: Callable[..., int]) -> None:
    port = start()
    crowd = [_dial(port) for _ in range(MAX_WAITING * 2)]
    try:
        with _dial(port) as line:
            assert _ask(line, _ticket(), Direction.DOWNLOAD, MIB).accepted
            assert _drain(line) == MIB
        for stranger in crowd:
            assert _ended(stranger)
    finally:
        for stranger in crowd:
            stranger.close()


def test_one_test_per_agent_and_so_many_in_all(start: Callable[..., int]) -> None:
    port = start(tests=2)
    with _dial(port) as one, _dial(port) as two:
        assert _ask(one, _ticket("a"), Direction.UPLOAD, MIB).accepted
        with _dial(port) as again:
            reply = _ask(again, _ticket("a"), Direction.UPLOAD, MIB)
            assert reply.code == "busy"
            assert "of this agent" in reply.message
        assert _ask(two, _ticket("b"), Direction.UPLOAD, MIB).accepted
        with _dial(port) as third:
            assert _ask(third, _ticket("c"), Direction.UPLOAD, MIB).code == "busy"
    # Both went away without a word: their slots are free again.

    def free() -> bool:
        with _dial(port) as line:
            return _ask(line, _ticket("a"), Direction.DOWNLOAD, 1).accepted

    wait_until(free, "the slot of an agent that went away")


def test_an_agent_that_does_not_read_gives_its_slot_back(start: Callable[..., int]) -> None:
    port = start(tests=1, max_seconds=1)
    with _dial(port) as stuck:
        assert _ask(stuck, _ticket("a"), Direction.DOWNLOAD, 1 << 30).accepted

        def free() -> bool:
            with _dial(port) as line:
                return _ask(line, _ticket("b"), Direction.DOWNLOAD, 1).accepted

        wait_until(free, "the slot of an agent that does not read")


def test_bytes_of_a_day_are_counted(start: Callable[..., int]) -> None:
    port = start(bytes_per_day=3 * MIB)
    for granted in (2 * MIB, MIB):
        with _dial(port) as line:
            assert _ask(line, _ticket(), Direction.DOWNLOAD, 2 * MIB).bytes == granted
            assert _drain(line) == granted
    with _dial(port) as line:
        assert _ask(line, _ticket(), Direction.DOWNLOAD, 2 * MIB).code == "quota"
    with _dial(port) as line:
        assert _ask(line, _ticket("other"), Direction.DOWNLOAD, MIB).accepted


def test_going_away_early_does_not_hide_what_was_moved(start: Callable[..., int]) -> None:
    port = start(bytes_per_day=MIB)
    with _dial(port) as line:
        assert _ask(line, _ticket(), Direction.DOWNLOAD, MIB).accepted
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        _exactly(line, MIB // 2)

    def used_up() -> bool:
        with _dial(port) as line:
            reply = _ask(line, _ticket(), Direction.DOWNLOAD, MIB)
            return reply.code == "quota" or reply.bytes <= MIB // 2

    wait_until(used_up, "what was moved before the reset counts")


def test_a_new_day_brings_a_new_quota() -> None:
    now = 1_800_000_000.0
    slots = Slots(4, 100, clock=lambda: now)
    assert slots.take("a", 80).bytes == 80
    slots.give_back("a", 80)
    assert slots.take("a", 80).bytes == 20
    slots.give_back("a", 20)
    assert slots.take("a", 80).code == "quota"
    now += 86_400
    assert slots.take("a", 80).bytes == 80


def test_a_dead_responder_is_started_again(tmp_path: Path) -> None:
    sockets = bind((Endpoint("127.0.0.1", 0),))
    running = ResponderProcess(Config(data=tmp_path), sockets, SECRET)
    try:
        offer = running.offer("agent-1")
        assert offer is not None
        assert offer.port == sockets[0].getsockname()[1]
        assert offer == running.offer("agent-1")
        child = running._child
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert running.offer("agent-1") is None
        running.look_after(time.monotonic() + 3600)
        with _dial(offer.port) as line:
            assert _ask(line, offer.ticket, Direction.DOWNLOAD, MIB).accepted
            assert _drain(line) == MIB
    finally:
        running.close()
        for door in sockets:
            door.close()
