"""Which ICMPv6 errors come back for packets of our own: read off the socket's error queue, without any privilege.

Made by `Net` only. See ipv6(7) for IPV6_RECVERR, and linux/errqueue.h for what the kernel tells.
"""

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

ECHO_REPLY, PACKET_TOO_BIG, TIME_EXCEEDED, PARAMETER_PROBLEM, UNREACHABLE = 129, 2, 3, 4, 1
HEADERS = 48
"""Bytes of IPv6 and ICMPv6 (or UDP) before the payload."""
UNKNOWN_OPTION = bytes((0, 0, 0x9E, 4, 0, 0, 0, 0))
"""A destination option for experiments (RFC 4727) that must be answered by Parameter Problem (RFC 8200, 4.2)."""

_ECHO_REQUEST = 128
_MTU_DISCOVER, _RECVERR, _DONTFRAG, _PROBE = 23, 25, 62, 3
_DSTOPTS, _UNICAST_HOPS = 59, 16
_ERROR = struct.Struct("=IBBBBII")
_OFFENDER = struct.Struct("=HHI16s")
_ORIGIN_ICMP6 = 3
_MAX_STRAYS = 32


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back: an ICMPv6 message, who sent it, and of Packet Too Big the size that would have fitted."""

    type: int
    code: int
    sender: IPv6Address | None
    mtu: int
    seconds: float


class IcmpLine:
    """A socket for one address whose packets are never fragmented and whose errors are kept.

    With a port it sends UDP, without one echo requests. Each packet waits for the pace (`pay`).
    """

    def __init__(self, sock: socket.socket, address: str, port: int | None, pay: Callable[[], None]) -> None:
        """Take over a connected socket; raises OSError when the system lacks the options."""
        self._socket, self._echo, self._pay = sock, port is None, pay
        self._number = 0
        self.address = address
        sock.setblocking(False)
        for option, value in ((_RECVERR, 1), (_MTU_DISCOVER, _PROBE), (_DONTFRAG, 1)):
            sock.setsockopt(socket.IPPROTO_IPV6, option, value)

    def send(self, size: int = 64, *, hops: int | None = None, options: bytes = b"") -> None:
        """Send one packet of `size` bytes with its IPv6 header (without `options`), that dies after so many hops.

        Raises OSError when it does not get out, PermissionError for options without CAP_NET_RAW.
        """
        self._socket.setsockopt(socket.IPPROTO_IPV6, _UNICAST_HOPS, -1 if hops is None else hops)
        if options:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _DSTOPTS, options)
        self._number = (self._number + 1) & 0xFFFF
        payload = bytes(max(0, size - HEADERS))
        if self._echo:
            payload = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, 0, self._number) + payload
        self._drain()  # a late error of the packet before would fail this one
        self._pay()
        self._socket.send(payload)

    def receive(self, deadline: float) -> Returned | None:
        """Give the reply or error that comes for the packet sent last; None when nothing does until the deadline."""
        started = time.monotonic()
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        for _ in range(_MAX_STRAYS):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return None
            found = self._error(started) or self._reply(started)
            if found is not None:
                return found
        return None

    def close(self) -> None:
        """Close; harmless when it is closed already."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _error(self, started: float) -> Returned | None:
        try:
            _, notes, _, _ = self._socket.recvmsg(64, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        for level, kind, data in notes:
            if level == socket.IPPROTO_IPV6 and kind == _RECVERR and len(data) >= _ERROR.size:
                _, origin, icmp_type, code, _, info, _ = _ERROR.unpack_from(data)
                if origin != _ORIGIN_ICMP6:
                    continue
                sender = None
                if len(data) >= _ERROR.size + _OFFENDER.size:
                    sender = IPv6Address(_OFFENDER.unpack_from(data, _ERROR.size)[3])
                return Returned(icmp_type, code, sender, info, time.monotonic() - started)
        return None

    def _reply(self, started: float) -> Returned | None:
        try:
            data = self._socket.recv(65_536)
        except OSError:  # the pending error that the queue told already
            return None
        if not self._echo:
            return None
        if len(data) < 8 or data[0] != ECHO_REPLY or int.from_bytes(data[6:8], "big") != self._number:
            return None
        return Returned(ECHO_REPLY, data[1], IPv6Address(self.address), 0, time.monotonic() - started)

    def _drain(self) -> None:
        for _ in range(_MAX_STRAYS):
            try:
                self._socket.recvmsg(64, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
        for _ in range(_MAX_STRAYS):
            try:
                self._socket.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                continue
