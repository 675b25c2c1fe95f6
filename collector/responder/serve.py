"""The far end of bandwidth tests: a process of its own, so that bulk traffic does not disturb the taking of reports.

`python -P -m collector.responder` reads its orders as one line of JSON on standard input (see `Orders`) with the
listening sockets inherited, and ends with its parent. Protocol and tickets are in wire.bandwidth. One thread waits for
requests on all connections together; each granted test runs in a thread of its own, in which the kernel does the work
(MSG_TRUNC throws away what arrives).
"""

import contextlib
import ctypes
import os
import secrets
import selectors
import signal
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from collector.process import journal
from collector.responder import transfer
from collector.responder.slots import Slots
from wire.bandwidth import (
    HEADER_BYTES,
    SEND_BYTES,
    Direction,
    Hello,
    Reply,
    Request,
    TicketRefused,
    check_ticket,
    frame_length,
    pack,
    unpack,
)
from wire.codec import decode
from wire.errors import WireError
from wire.types import Code, Max, Range

HANDSHAKE_SECONDS = 1.0
"""Within this time a connection has shown a ticket or is closed."""
MAX_WAITING = 64
"""Connections that have not shown a ticket; the oldest makes room for a new one."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Orders:
    """What the parent decides: its own process id, the inherited sockets, the ticket secret in hex, and the caps."""

    parent: int
    sockets: Annotated[tuple[Code, ...], Max(64)]
    secret: Code
    seconds: Annotated[float, Range(0, 60)]
    tests: Annotated[int, Range(1, 64)]
    bytes_per_day: int
    log_level: Code = "info"


@dataclass(slots=True)
class _Caller:
    """A connection that has not shown a ticket yet."""

    connection: socket.socket
    address: str
    nonce: str
    deadline: float
    received: bytes = b""


class Responder:
    """Answers on inherited listening sockets until `halt` is called."""

    def __init__(
        self, listening: Sequence[socket.socket], orders: Orders, clock: Callable[[], float] = time.time
    ) -> None:
        """Take over listening sockets; they are closed at the end of `serve`."""
        self._orders, self._clock = orders, clock
        self._secret = bytes.fromhex(orders.secret)
        self._slots = Slots(orders.tests, orders.bytes_per_day, clock)
        self._once = journal.Once()
        self._listening = list(listening)
        self._callers: OrderedDict[socket.socket, _Caller] = OrderedDict()
        self._leaving = threading.BoundedSemaphore(orders.tests * 4)
        self._payload = secrets.token_bytes(SEND_BYTES)
        self._halted = (
            False  # no Event: a signal handler that sets one may interrupt who holds its lock, and wait for ever
        )
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def waker(self) -> int:
        """Where a written byte makes `serve` look whether it is to stop."""
        return self._wake_write

    def halt(self) -> None:
        """Make `serve` return soon; safe to call from a signal handler."""
        self._halted = True
        if self._wake_write >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, b"x")

    def serve(self) -> None:
        """Wait for requests on all connections together, and start the tests that are granted."""
        try:
            self._selector.register(self._wake_read, selectors.EVENT_READ)
            for door in self._listening:
                door.setblocking(False)
                self._selector.register(door, selectors.EVENT_READ)
            while not self._halted:
                for key, _ in self._selector.select(self._patience()):
                    if not isinstance(key.fileobj, socket.socket):
                        continue
                    if key.fileobj in self._listening:
                        self._accept(key.fileobj)
                    elif key.fileobj in self._callers:  # else dropped a moment ago, to make room
                        self._hear(self._callers[key.fileobj])
                self._drop_late()
        finally:
            for caller in list(self._callers.values()):
                self._drop(caller)
            self._selector.close()
            for door in self._listening:
                door.close()
            wake, self._wake_write = self._wake_write, -1  # a second signal may come while this closes
            os.close(self._wake_read)
            os.close(wake)

    def _patience(self) -> float | None:
        if not self._callers:
            return None
        return max(0.0, next(iter(self._callers.values())).deadline - time.monotonic())

    def _accept(self, door: socket.socket) -> None:
        try:
            connection, peer = door.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._once.warning("responder_accept", "accept", problem=error.strerror)
                time.sleep(0.1)
            return
        connection.setblocking(False)
        caller = _Caller(connection, peer[0], secrets.token_hex(16), time.monotonic() + HANDSHAKE_SECONDS)
        while len(self._callers) >= MAX_WAITING:
            self._drop(next(iter(self._callers.values())))
        self._callers[connection] = caller
        self._selector.register(connection, selectors.EVENT_READ)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.send(pack(Hello(caller.nonce)))  # a fresh connection always has room for it
        except OSError:
            self._drop(caller)

    def _hear(self, caller: _Caller) -> None:
        try:
            # Not a byte past the request: what follows belongs to the test.
            wanted = HEADER_BYTES - len(caller.received)
            if wanted <= 0:
                wanted = HEADER_BYTES + frame_length(caller.received[:HEADER_BYTES]) - len(caller.received)
            heard = caller.connection.recv(wanted)
            caller.received += heard
            if not heard:
                self._drop(caller)
                return
            if len(caller.received) < HEADER_BYTES:
                return
            length = frame_length(caller.received[:HEADER_BYTES])
            if len(caller.received) == HEADER_BYTES + length:
                self._grant(caller, unpack(Request, caller.received[HEADER_BYTES:]))
        except BlockingIOError:
            return
        except TicketRefused as refused:
            self._refuse(caller, Reply(False, code=refused.code, message=str(refused)))
        except WireError as fault:
            self._refuse(caller, Reply(False, code="ticket", message=str(fault)[:1024]))
        except OSError:
            self._drop(caller)

    def _grant(self, caller: _Caller, request: Request) -> None:
        claims = check_ticket(self._secret, caller.nonce, request, self._clock())
        reply = self._slots.take(claims.agent, min(request.bytes, claims.max_bytes))
        if not reply.accepted:
            self._refuse(caller, reply)
            return
        reply = Reply(True, reply.bytes, min(request.seconds, self._orders.seconds))
        self._selector.unregister(caller.connection)
        del self._callers[caller.connection]
        threading.Thread(target=self._run, args=(caller.connection, claims.agent, request, reply), daemon=True).start()

    def _refuse(self, caller: _Caller, reply: Reply) -> None:
        self._once.warning("bandwidth_refused", caller.address, code=reply.code, message=reply.message)
        with contextlib.suppress(OSError):
            caller.connection.send(pack(reply))
            caller.connection.shutdown(socket.SHUT_WR)
        self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._callers.pop(caller.connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(caller.connection)
        caller.connection.close()

    def _drop_late(self) -> None:
        now = time.monotonic()
        while self._callers and (caller := next(iter(self._callers.values()))).deadline <= now:
            self._drop(caller)

    def _run(self, connection: socket.socket, agent: str, request: Request, reply: Reply) -> None:
        start = time.monotonic()
        last_words, moved = b"", 0
        with contextlib.closing(connection):
            try:
                with contextlib.suppress(OSError):
                    connection.send(pack(reply))
                if request.direction is Direction.DOWNLOAD:
                    moved = transfer.send(connection, self._payload, reply)
                else:
                    result = transfer.receive(connection, request, reply)
                    last_words, moved = pack(result), result.bytes
            finally:
                # Before the agent can know that this test is over: its next one must not find the slot taken.
                self._slots.give_back(agent, moved)
            seconds = f"{time.monotonic() - start:.3f}"
            journal.info("bandwidth_test", agent=agent, direction=request.direction, bytes=moved, seconds=seconds)
            if self._leaving.acquire(blocking=False):
                try:
                    transfer.say_goodbye(connection, last_words)
                finally:
                    self._leaving.release()


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent ends; it may have ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the collector that started this responder is gone")


def main() -> None:
    """Run as the child of a collector."""
    orders = decode(Orders, sys.stdin.buffer.readline(65_536), 65_536)
    _end_with(orders.parent)
    journal.set_up(orders.log_level)
    listening = [socket.socket(fileno=int(number)) for number in orders.sockets]
    responder = Responder(listening, orders)
    # SIGINT reaches the whole foreground group; the collector decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: responder.halt())
    # Python hears of a signal between two of its own steps: one that comes just before the wait would not end it.
    signal.set_wakeup_fd(responder.waker, warn_on_full_buffer=False)
    responder.serve()
