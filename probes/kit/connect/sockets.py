"""The sockets of the connect engine: made, watched, read for what came of a handshake, and used again."""

import errno
import resource
import select
import socket
import struct

from probes.kit.ports.blocks import CODE_OF
from probes.kit.sending.outcomes import Settled, of_remote_errno

FAILED = select.EPOLLERR | select.EPOLLHUP
"""Events of a handshake that did not end in a connection."""
_CODE_OF_ERRNO = {number: CODE_OF[of_remote_errno(number)] for number in errno.errorcode}
_PROHIBITED, _UNREACHABLE = CODE_OF[Settled.PROHIBITED], CODE_OF[Settled.UNREACHABLE]
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_TCPI_RTT = 68

Place = tuple[str, int] | tuple[str, int, int, int]
"""What connect() takes."""


class ConnectSockets:
    """TCP sockets on one epoll, edge-triggered; who takes one hands it back to `refusal` or closes it."""

    def __init__(self) -> None:
        """See the class; no socket is made yet."""
        self._epoll = select.epoll()
        self._idle: dict[int, list[socket.SocketType]] = {int(socket.AF_INET): [], int(socket.AF_INET6): []}

    def take(self, family: int) -> socket.SocketType:
        """Give an idle socket, or a new one that never blocks; OSError where this machine has none left."""
        idle = self._idle[family]
        if idle:
            return idle.pop()
        sock = socket.SocketType(family, _STREAM)
        self._epoll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLET)
        return sock

    def poll(self, patience: float, most: int) -> list[tuple[int, int]]:
        """Give (descriptor, events) of what ended within `patience` seconds, `most` at a time."""
        return self._epoll.poll(patience, most)

    def refusal(self, sock: socket.SocketType, place: Place, events: int) -> int:
        """Give the code (`ports.blocks`) of a handshake that failed; the socket is kept for another one, or closed."""
        if events & select.EPOLLHUP:
            # The second connect() fetches the error and makes the socket new (connect(2)), which is cheaper than
            # another socket. It sends nothing; the same address is given, so that it never could elsewhere.
            number = sock.connect_ex(place)
        else:
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # Without a segment that came in this was no reset of the host but an ICMP port-unreachable: a filter's answer.
        silent = number == errno.ECONNREFUSED and sock.getsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU) == -1
        if number == errno.ECONNREFUSED and not silent and events & select.EPOLLHUP:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU, -1)
            self._idle[int(sock.family)].append(sock)
        else:
            sock.close()
        return _PROHIBITED if silent else _CODE_OF_ERRNO.get(number, _UNREACHABLE)

    def close(self) -> None:
        """Close what is idle; what was taken is for its taker to close."""
        for idle in self._idle.values():
            for sock in idle:
                sock.close()
        self._epoll.close()


def round_trip(sock: socket.SocketType) -> float:
    """Give the seconds of the handshake as the kernel measured them (tcpi_rtt of tcp_info, in microseconds)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCPI_RTT + 4)
    return int(struct.unpack_from("=I", info, _TCPI_RTT)[0]) / 1e6


def raise_descriptors(wanted: int) -> int:
    """Raise the soft limit of open files towards `wanted` as far as the hard one goes, and give what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
