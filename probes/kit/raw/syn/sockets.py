"""The sockets of a run: all that needs CAP_NET_RAW, and the source ports."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack

from probes.kit.errors import CannotRun
from probes.kit.raw.packets.filters import syn_answers
from probes.kit.raw.packets.frames import ETHERTYPES
from probes.kit.raw.packets.ring import EVERYWHERE, SOL_PACKET, Ring

SOURCE_PORTS = 4
"""Each round of asking has a source port of its own, so that an answer tells which round it answers."""
FIRST_PORTS = range(40_000, 60_000, SOURCE_PORTS)

_QDISC_BYPASS = 20


class Sockets:
    """What a lane sends and receives with; made with CAP_NET_RAW, used without."""

    def __init__(self, interface: int, family: int, by_kernel: bool, first_port: int) -> None:
        """Open for an interface index. `by_kernel`: send IP packets that the kernel routes, for links without Ethernet.

        Loopback is such a link: what is injected into it as a frame, the kernel drops as martian. Answers are heard on
        all interfaces: routers may send them another way back.
        """
        with ExitStack() as opened:
            self.ring = Ring(EVERYWHERE, ETHERTYPES[family], syn_answers(family, first_port, SOURCE_PORTS))
            opened.callback(self.ring.close)
            if by_kernel:
                domain = socket.AF_INET if family == 4 else socket.AF_INET6
                self.sender = socket.socket(domain, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
                opened.callback(self.sender.close)
            else:
                self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
                opened.callback(self.sender.close)
                self.sender.bind((socket.if_indextoname(interface), 0))
                self.sender.setsockopt(SOL_PACKET, _QDISC_BYPASS, 1)
            self.close = opened.pop_all().close


def reserve_ports(order: Sequence[int], closing: ExitStack) -> int:
    """Hold SOURCE_PORTS ports that nothing else here uses, and give the first; FIRST_PORTS are tried by number.

    They are bound and never listen, so that no other program gets our answers: our own kernel answers each SYN-ACK with
    a reset, which frees the half-open connection at the target, and has nothing to say to a reset. No firewall rule is
    needed, so none can be left behind.
    """
    for number in order:
        with ExitStack() as taken:
            try:
                for port in range(FIRST_PORTS[number], FIRST_PORTS[number] + SOURCE_PORTS):
                    taken.enter_context(_stream_socket()).bind(("", port))
            except OSError:
                continue
            closing.push(taken.pop_all())
            return FIRST_PORTS[number]
    raise CannotRun("no source port is free on this machine; end what holds so many connections")


def _stream_socket() -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError:  # a kernel without IPv6
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return sock
