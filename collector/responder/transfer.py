"""The bytes of a bandwidth test: sent from one buffer; taken with MSG_TRUNC, by which the kernel throws them away."""

import contextlib
import select
import socket
import time

from wire.bandwidth import RECEIVE_BYTES, Reply, Request, Result, Wakes

SILENCE_SECONDS = 5.0
"""A test in which nothing moves for this long is over."""
GOODBYE_SECONDS = 3.0
"""For how long what still comes is read away, so that closing does not reset the connection."""
STALL_SECONDS = 0.25
"""A receiver that waits for many bytes at once takes what there is after this long."""


def send(connection: socket.socket, payload: bytes, reply: Reply) -> int:
    """Send until a limit or until the agent goes away; give the bytes that the kernel took."""
    end = time.monotonic() + reply.seconds
    sent = 0
    view = memoryview(payload)
    waiter = select.poll()
    waiter.register(connection, select.POLLOUT)
    while sent < reply.bytes:
        patience = min(end - time.monotonic(), SILENCE_SECONDS)
        if patience <= 0 or not waiter.poll(patience * 1000):
            break
        try:
            sent += connection.send(view[: reply.bytes - sent])
        except BlockingIOError:
            continue
        except OSError:  # the agent went away; what was sent counts all the same
            break
    return sent


def receive(connection: socket.socket, request: Request, reply: Reply) -> Result:
    """Take what comes until a limit or its end; the kernel counts and throws away."""
    room = bytearray(RECEIVE_BYTES)  # MSG_TRUNC writes nothing into it, so its pages are never touched
    waiter = select.poll()
    waiter.register(connection, select.POLLIN)
    wakes = Wakes()
    started = time.monotonic()
    end = started + reply.seconds
    cpu = time.thread_time()
    first = last = steady_from = 0.0
    total = before_steady = 0
    while total < reply.bytes:
        patience = min(end - time.monotonic(), STALL_SECONDS if wakes.low > 1 else SILENCE_SECONDS)
        if patience <= 0:
            break
        if not waiter.poll(patience * 1000):
            if not wakes.stalled():
                break
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wakes.low)
            continue
        try:
            count = connection.recv_into(room, min(RECEIVE_BYTES, reply.bytes - total), socket.MSG_TRUNC)
        except BlockingIOError:
            continue
        except OSError:
            break
        if not count:
            break
        last = time.monotonic()
        first = first or last
        total += count
        if wakes.count(count, last):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wakes.low)
        if not steady_from and last - first >= request.skip:
            # Counted from the end of this piece: what lies before it is start-up.
            steady_from, before_steady = last, total
    steady = steady_from > 0 and last > steady_from
    return Result(
        bytes=total,
        seconds=last - first,
        steady_bytes=total - before_steady if steady else 0,
        steady_seconds=last - steady_from if steady else 0.0,
        cpu_seconds=min(time.thread_time() - cpu, 60.0),
    )


def say_goodbye(connection: socket.socket, last_words: bytes) -> None:
    """Say the result, end our direction and read away what still comes: closing earlier would reset the connection."""
    end = time.monotonic() + GOODBYE_SECONDS
    room = bytearray(RECEIVE_BYTES)
    with contextlib.suppress(OSError):
        connection.settimeout(GOODBYE_SECONDS)
        connection.sendall(last_words)
        connection.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv_into(room, RECEIVE_BYTES, socket.MSG_TRUNC):
                return
