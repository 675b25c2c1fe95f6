"""Open connections and datagram sockets of the sending layer; made by `Net` only, after its checks."""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from probes.kit.errors import PayloadRefused

if TYPE_CHECKING:  # 6 MB that a port scan does without
    import ssl

PRINTER_PORTS = frozenset({515, *range(9100, 9108)})
"""LPD and raw printing: whatever is written there comes out on paper."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds (socket(7))."""
# A 32-bit system with 64-bit time has another number for the option, and a wider timeval.
_QUARTER_SECOND = struct.pack("qq" if socket.SO_RCVTIMEO == 66 else "ll", 0, 250_000)


class Connection:
    """One TCP connection. Every call has a deadline on time.monotonic(); a passed one raises TimeoutError.

    Other troubles of the line raise OSError, TLS troubles its subclass ssl.SSLError.
    """

    __slots__ = ("_closed", "_kernel_waits", "_socket", "address", "port", "seconds")

    def __init__(
        self, sock: socket.socket, address: str, port: int, seconds: float, closed: Callable[[], None]
    ) -> None:
        """Take over a connected socket; `seconds` is the round trip of the handshake, `closed` is called once."""
        self._socket = sock
        self._closed: Callable[[], None] | None = closed
        self._kernel_waits = False
        self.address = address
        self.port = port
        self.seconds = seconds

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of a payload; raises PayloadRefused at a printer's port."""
        self._check_payload()
        self._wait_until(deadline)
        self._socket.sendall(data)

    def send_some(self, data: bytes | memoryview, deadline: float) -> int:
        """Send as much of a payload as there is room for just now, and give how much that was."""
        self._check_payload()
        self._wait_until(deadline)
        return self._socket.send(data)

    def receive(self, size: int, deadline: float) -> bytes:
        """Give what has arrived, at most `size` bytes; empty at the end of the stream."""
        self._wait_until(deadline)
        return self._socket.recv(size)

    def receive_exactly(self, size: int, deadline: float) -> bytes:
        """Give exactly `size` bytes; raises ConnectionAbortedError when the stream ends before."""
        parts = bytearray()
        while len(parts) < size:
            part = self.receive(size - len(parts), deadline)
            if not part:
                raise ConnectionAbortedError(f"the stream ended after {len(parts)} of {size} bytes")
            parts += part
        return bytes(parts)

    def discard(self, buffer: bytearray, deadline: float) -> int:
        """Let the kernel throw away what has arrived, and give how many bytes it was; 0 at the end of the stream.

        With MSG_TRUNC (tcp(7)) nothing is copied: the buffer only says how much at most, and stays as it is.
        The kernel keeps the time in steps of a quarter second, as Python's timeouts cost two more system calls each.
        """
        if not self._kernel_waits:
            self._kernel_waits = True
            self._socket.settimeout(None)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _QUARTER_SECOND)
        while time.monotonic() < deadline:
            try:
                return self._socket.recv_into(buffer, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                continue
        raise TimeoutError("timed out")

    def wake_after(self, count: int) -> None:
        """Let `discard` gather so many bytes before it returns, or what a quarter second brings (SO_RCVLOWAT)."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def start_tls(self, server_name: str, context: "ssl.SSLContext", deadline: float) -> None:
        """Go on in TLS with this server name (RFC 6066); its handshake is a payload too."""
        self._check_payload()
        self._wait_until(deadline)
        self._socket = context.wrap_socket(self._socket, server_hostname=server_name)

    def end(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close at once with a reset, which leaves no state behind on either side."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close; harmless when it is closed already."""
        self._socket.close()
        if self._closed is not None:
            self._closed()
            self._closed = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _wait_until(self, deadline: float) -> None:
        self._kernel_waits = False
        self._socket.settimeout(_left(deadline))

    def _check_payload(self) -> None:
        if self.port in PRINTER_PORTS:
            raise PayloadRefused(f"{self.address} port {self.port}")


class Datagrams:
    """A UDP socket that talks to one address and port only; the kernel drops what comes from elsewhere."""

    __slots__ = ("_pay", "_socket", "address", "port")

    def __init__(self, sock: socket.socket, address: str, port: int, pay: Callable[[], None]) -> None:
        """Take over a connected UDP socket; `pay` waits for the pace before each datagram."""
        self._socket = sock
        self._pay = pay
        self.address = address
        self.port = port

    def send(self, payload: bytes) -> None:
        """Send one datagram; raises PayloadRefused at a printer's port, OSError when it does not get out."""
        if self.port in PRINTER_PORTS:
            raise PayloadRefused(f"{self.address} port {self.port}")
        self._pay()
        self._socket.send(payload)

    def receive(self, size: int, deadline: float) -> bytes:
        """Give one datagram, cut to `size` bytes; raises TimeoutError, or OSError (ConnectionRefusedError: ICMP)."""
        self._socket.settimeout(_left(deadline))
        return self._socket.recv(size)

    def close(self) -> None:
        """Close; harmless when it is closed already."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def wait_connected(sock: socket.socket, deadline: float) -> bool:
    """Wait until a connection under way has succeeded or failed; False when the deadline passed before."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    # At the deadline, too: this process may not have run meanwhile.
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
