"""The sockets of one link; made with CAP_NET_RAW, used without."""

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Interface, IPv6Interface

from probes.kit.errors import CannotRun
from probes.kit.machine.neighbours import Own
from probes.kit.raw.helper.privilege import NOT_ALLOWED
from probes.kit.raw.link.answers import LINK_SNAP, link_answers
from probes.kit.raw.packets.filters import arp_replies, only_at
from probes.kit.raw.packets.frames import ETHERTYPES
from probes.kit.raw.packets.ring import SOL_PACKET, attach_filter

_ARP = 0x0806
_STATISTICS, _OUTGOING = 6, 4
RECEIVE_BUFFER = 4 << 20
_AT_ONCE = 2048
_FULL = frozenset({errno.ENOBUFS, errno.EAGAIN})


class QueueFull(Exception):
    """The interface takes no more just now."""


class LinkSockets:
    """One socket to send frames on a link, and one for the answers of each family."""

    def __init__(self, name: str, own: tuple[Own, ...]) -> None:
        """Open for an interface; raises CannotRun without the privilege, OSError when there is no such interface."""
        self.name = name
        self.index = socket.if_nametoindex(name)
        self.v4 = [item.address for item in own if item.interface == name and isinstance(item.address, IPv4Interface)]
        self.v6 = [
            item.address
            for item in own
            if item.interface == name and isinstance(item.address, IPv6Interface) and item.usable
        ]
        self.own = {four.ip.packed for four in self.v4} | {six.ip.packed for six in self.v6}
        self.dropped = 0
        with ExitStack() as opened:
            try:
                self.sender = opened.enter_context(_packet_socket(socket.SOCK_RAW))
            except PermissionError:
                raise CannotRun(NOT_ALLOWED) from None
            self.sender.bind((name, 0))
            self.hardware: bytes = self.sender.getsockname()[4]
            self.arp = opened.enter_context(_answers(name, _ARP, arp_replies()))
            self.six = opened.enter_context(_answers(name, ETHERTYPES[6], link_answers()))
            self.close = opened.pop_all().close

    def source_for(self, target: bytes) -> bytes | None:
        """Give our address of this link to ask with: one of the target's own prefix, else any, else None."""
        if len(target) == 4:
            near = [item for item in self.v4 if _holds(item, target)] or self.v4
            return near[0].ip.packed if near else bytes(4)  # an ARP probe (RFC 5227) needs no address
        near6 = [item for item in self.v6 if _holds(item, target)] or self.v6
        return near6[0].ip.packed if near6 else None

    def send(self, frame: bytes) -> None:
        """Send a frame; raises QueueFull, or OSError when the link is down."""
        try:
            self.sender.send(frame)
        except OSError as error:
            if error.errno in _FULL:
                raise QueueFull from None
            raise

    def count_dropped(self) -> int:
        """Ask the kernel how many answers found a full buffer, and add them to `dropped`."""
        for sock in (self.arp, self.six):
            # struct tpacket_stats: tp_packets, tp_drops
            self.dropped += struct.unpack("=II", sock.getsockopt(SOL_PACKET, _STATISTICS, 8))[1]
        return self.dropped


def arrived(sock: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Give the packets that are there, each with its sender's hardware address; a bounded number at a time."""
    for _ in range(_AT_ONCE):
        try:
            packet, (_, _, kind, _, hardware) = sock.recvfrom(LINK_SNAP)
        except BlockingIOError:
            return
        except OSError:  # the link went down
            return
        if kind != _OUTGOING:
            yield packet, hardware


def _packet_socket(kind: int) -> socket.socket:
    return socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)


def _answers(name: str, protocol: int, program: bytes) -> socket.socket:
    sock = _packet_socket(socket.SOCK_DGRAM)
    try:
        attach_filter(sock, only_at(socket.if_nametoindex(name), program))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind((name, protocol))
    except OSError:
        sock.close()
        raise
    return sock


def _holds(own: IPv4Interface | IPv6Interface, target: bytes) -> bool:
    width = own.max_prefixlen - own.network.prefixlen
    return int(own.ip) >> width == int.from_bytes(target, "big") >> width
