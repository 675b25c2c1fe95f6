"""Which way the kernel would send: many addresses in one question (rtnetlink(7)). Nothing leaves the machine."""

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from probes.kit.machine.netlink import ERROR, RTM_GETROUTE, attribute, parse_attributes, question, receive, route_socket

_ROUTE = struct.Struct("=8BI")  # rtm_family, dst_len, src_len, tos, table, protocol, scope, type, flags
_DESTINATION, _OUT_INTERFACE, _GATEWAY, _PREFERRED_SOURCE, _VIA = 1, 4, 5, 7, 18
_UNICAST, _LOCAL = 1, 2
_AT_ONCE = 64
"""Questions under way; their answers stay far below a socket's default buffer."""


class Route(NamedTuple):
    """How the kernel would send to an address; `gateway` is None on the same link, `source` None if it has none."""

    interface: int
    gateway: bytes | None
    source: bytes | None
    local: bool


def routes(targets: Sequence[tuple[bytes, int]]) -> list[Route | None]:
    """Ask for the route of each (packed address, interface index or 0); None where there is none. Raises OSError."""
    found: list[Route | None] = []
    with route_socket() as link:
        for start in range(0, len(targets), _AT_ONCE):
            some = targets[start : start + _AT_ONCE]
            link.send(b"".join(_question(start + number, *target) for number, target in enumerate(some)))
            answers: dict[int, Route | None] = {}
            while len(answers) < len(some):
                for message in receive(link):
                    if start <= message.sequence < start + len(some):
                        answers[message.sequence] = None if message.kind == ERROR else _read(message.body)
            found.extend(answers[start + number] for number in range(len(some)))
    return found


def source_towards(address: bytes, zone: int) -> bytes | None:
    """Ask the kernel which own address it would send from; the datagram socket that asks sends nothing."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, address)
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect((text, 9) if family == socket.AF_INET else (text, 9, 0, zone))
        except OSError:
            return None
        own: str = sock.getsockname()[0]
    return socket.inet_pton(family, own.partition("%")[0])


def _question(sequence: int, address: bytes, interface: int) -> bytes:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    body = _ROUTE.pack(family, len(address) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(_DESTINATION, address)
    if interface:
        body += attribute(_OUT_INTERFACE, struct.pack("=I", interface))
    return question(RTM_GETROUTE, 0, sequence, body)


def _read(body: bytes) -> Route | None:
    kind = _ROUTE.unpack_from(body)[7]
    attributes = parse_attributes(body[_ROUTE.size :])
    interface = attributes.get(_OUT_INTERFACE)
    if kind not in (_UNICAST, _LOCAL) or interface is None:
        return None
    # RTA_VIA carries a next hop of the other family behind two bytes that name it (RFC 8950).
    gateway = attributes.get(_GATEWAY) or attributes.get(_VIA, b"")[2:] or None
    return Route(struct.unpack("=I", interface)[0], gateway, attributes.get(_PREFERRED_SOURCE), kind == _LOCAL)
