"""What this machine knows of its surroundings without sending: links, addresses, routes, neighbours, resolvers."""

import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

from probes.kit.machine.netlink import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    Answer,
    ask,
    dump,
    parse_attributes,
)
from probes.kit.scope.addresses import Address
from wire.types import Family

RESOLV_CONF = Path("/etc/resolv.conf")

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_NEXT_HOP = struct.Struct("=HBBi")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_OPERSTATE, _IFLA_LINKINFO, _INFO_KIND = 1, 3, 16, 18, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x08, 0x20, 0x40
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 1, 4, 5, 6, 9, 15, 18
_RT_TABLE_MAIN, _RTN_UNICAST, _RTN_LOCAL = 254, 1, 2
_RTN_DISCARDS = frozenset({6, 7, 8})
"""Blackhole, unreachable, prohibit (rtnetlink(7))."""
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO = 1, 2, 3
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_RUNNING = 0x1, 0x8, 0x10, 0x40
_OPER_UNKNOWN, _OPER_UP = 0, 6
_MAX_RESOLV_CONF = 1 << 16
_MAX_RESOLVERS = 3
"""As many as the C library asks (MAXNS in resolv.conf(5))."""


class State(StrEnum):
    """What the kernel thinks of a neighbour (RFC 4861 section 7.3.2, and ARP alike)."""

    INCOMPLETE = "incomplete"
    REACHABLE = "reachable"
    STALE = "stale"
    DELAY = "delay"
    PROBE = "probe"
    FAILED = "failed"
    NOARP = "noarp"
    PERMANENT = "permanent"
    NONE = "none"


_STATES = {
    0x01: State.INCOMPLETE,
    0x02: State.REACHABLE,
    0x04: State.STALE,
    0x08: State.DELAY,
    0x10: State.PROBE,
    0x20: State.FAILED,
    0x40: State.NOARP,
    0x80: State.PERMANENT,
}
LIVE = frozenset({State.REACHABLE, State.STALE, State.DELAY, State.PROBE, State.PERMANENT})
"""States in which the neighbour has a link-layer address that it once answered with (or that a person set)."""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface; `kind` is what the driver calls itself (`sit`, `wireguard`, ...), empty for plain hardware."""

    index: int
    name: str
    mac: str
    up: bool
    loopback: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Own:
    """One address of this machine; `usable` is False while it is tentative, deprecated or a duplicate."""

    interface: str
    address: IPv4Interface | IPv6Interface
    usable: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A way out: the interface and the next hop, which is None on the link itself; lower `metric` is preferred."""

    interface: str
    gateway: Address | None
    metric: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One line of the neighbour table; `mac` is empty while it is not resolved.

    `confirmed` is how many seconds ago the neighbour last proved to be there; None when the kernel does not say.
    """

    address: Address
    mac: str
    interface: str
    state: State
    confirmed: float | None = None


def links() -> dict[int, Link]:
    """List all interfaces by their index."""
    found = {}
    for fixed, attributes in dump(RTM_GETLINK, socket.AF_UNSPEC, _LINK.size):
        _, _, index, flags, _ = _LINK.unpack(fixed)
        name = _text(attributes.get(_IFLA_IFNAME, b""))
        state = attributes.get(_IFLA_OPERSTATE, b"\0")[0]
        # Loopback and many tunnels never say more than "unknown"; RUNNING then tells.
        up = bool(flags & _IFF_UP) and (state == _OPER_UP or (state == _OPER_UNKNOWN and bool(flags & _IFF_RUNNING)))
        kind = _text(parse_attributes(attributes.get(_IFLA_LINKINFO, b"")).get(_INFO_KIND, b""))
        mac = _mac(attributes.get(_IFLA_ADDRESS, b""))
        found[index] = Link(index, name, mac, up, bool(flags & _IFF_LOOPBACK), kind)
    return found


def own_addresses() -> tuple[Own, ...]:
    """List the addresses of this machine, of both families."""
    names = links()
    found = []
    for fixed, attributes in dump(RTM_GETADDR, socket.AF_UNSPEC, _ADDRESS.size):
        _, length, flags, _, index = _ADDRESS.unpack(fixed)
        # On a point-to-point link ADDRESS is the peer and LOCAL is this machine.
        raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
        address = _address(raw)
        if address is None or index not in names:
            continue
        wide = attributes.get(_IFA_FLAGS)
        flags = int(struct.unpack("=I", wide)[0]) if wide and len(wide) == 4 else flags
        usable = not flags & (_IFA_F_DADFAILED | _IFA_F_DEPRECATED | _IFA_F_TENTATIVE)
        found.append(Own(names[index].name, ipaddress.ip_interface(f"{address}/{length}"), usable))
    return tuple(found)


def default_routes(family: Family) -> tuple[Route, ...]:
    """List the default routes of the main table, the preferred one first."""
    names = {index: link.name for index, link in links().items()}
    af = socket.AF_INET if family == 4 else socket.AF_INET6
    found: list[Route] = []
    for fixed, attributes in dump(RTM_GETROUTE, af, _ROUTE.size):
        _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack(fixed)
        table = _number(attributes.get(_RTA_TABLE), table)
        if length == 0 and kind == _RTN_UNICAST and table == _RT_TABLE_MAIN:
            found.extend(_routes(attributes, names))
    return tuple(sorted(found, key=lambda route: route.metric))


def discarded_prefixes() -> tuple[IPv6Network, ...]:
    """List the IPv6 prefixes that this machine throws away where no longer one matches.

    A router does so with what was delegated to it (RFC 7084, WPD-5), so they tell the delegated prefixes.
    """
    found = []
    for fixed, attributes in dump(RTM_GETROUTE, socket.AF_INET6, _ROUTE.size):
        _, length, _, _, _, _, _, kind, _ = _ROUTE.unpack(fixed)
        address = _address(attributes.get(_RTA_DST, b""))
        if kind in _RTN_DISCARDS and isinstance(address, IPv6Address) and length:
            found.append(IPv6Network((address, length), strict=False))
    return tuple(dict.fromkeys(found))


def route_to(address: Address) -> Route | None:
    """Ask the kernel which way it would take to an address; None when it has none."""
    number = socket.AF_INET if address.version == 4 else socket.AF_INET6
    fixed = _ROUTE.pack(number, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    try:
        answer = ask(RTM_GETROUTE, fixed, {_RTA_DST: address.packed})
    except OSError:
        return None
    if answer is None or _ROUTE.unpack(answer.fixed)[7] not in (_RTN_UNICAST, _RTN_LOCAL):
        return None
    names = {index: link.name for index, link in links().items()}
    return next(iter(_routes(answer.attributes, names)), None)


def neighbours() -> tuple[Neighbour, ...]:
    """List the neighbour tables of both families (ARP and ND) as they are, all states and multicast included."""
    names = {index: link.name for index, link in links().items()}
    found: list[Neighbour] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for fixed, attributes in dump(RTM_GETNEIGH, family, _NEIGHBOUR.size):
            found.extend(_neighbour(Answer(fixed, attributes), names))
    return tuple(found)


def resolvers(path: Path = RESOLV_CONF) -> tuple[Address, ...]:
    """List the name servers of resolv.conf(5), at most three; empty when the file is missing or names none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_RESOLV_CONF).decode("utf-8", "replace")
    except OSError:
        return ()
    found: list[Address] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(ipaddress.ip_address(words[1]))
            except ValueError:
                continue
    return tuple(found[:_MAX_RESOLVERS])


def not_hosts(own: Iterable[Own]) -> frozenset[Address]:
    """Give the network and broadcast addresses of this machine's own IPv4 links: no host can have them."""
    found: set[Address] = set()
    for item in own:
        network = item.address.network
        if network.version == 4 and network.prefixlen <= 30:
            found |= {network.network_address, network.broadcast_address}
    return frozenset(found)


def _neighbour(answer: Answer, names: Mapping[int, str]) -> Iterator[Neighbour]:
    _, index, state, _, _ = _NEIGHBOUR.unpack(answer.fixed)
    address = _address(answer.attributes.get(_NDA_DST, b""))
    if address is not None:
        mac = _mac(answer.attributes.get(_NDA_LLADDR, b""))
        ages = answer.attributes.get(_NDA_CACHEINFO, b"")
        confirmed = struct.unpack_from("=I", ages)[0] / _CLOCK_TICKS if len(ages) >= 4 else None
        yield Neighbour(address, mac, names.get(index, ""), _STATES.get(state, State.NONE), confirmed)


def _routes(attributes: Mapping[int, bytes], names: Mapping[int, str]) -> Iterator[Route]:
    metric = _number(attributes.get(_RTA_PRIORITY), 0)
    if _RTA_OIF in attributes:
        yield Route(names.get(_number(attributes[_RTA_OIF], 0), ""), _gateway(attributes), metric)
    hops = attributes.get(_RTA_MULTIPATH, b"")
    place = 0
    while place + _NEXT_HOP.size <= len(hops):
        length, _, _, index = _NEXT_HOP.unpack_from(hops, place)
        if length < _NEXT_HOP.size:
            return
        inner = parse_attributes(hops[place + _NEXT_HOP.size : place + length])
        yield Route(names.get(index, ""), _gateway(inner), metric)
        place += (length + 3) & ~3


def _gateway(attributes: Mapping[int, bytes]) -> Address | None:
    # RTA_VIA carries a next hop of the other family behind two bytes that name it (RFC 8950).
    return _address(attributes.get(_RTA_GATEWAY, b"")) or _address(attributes.get(_RTA_VIA, b"")[2:])


def _address(raw: bytes) -> Address | None:
    if len(raw) == 4:
        return IPv4Address(raw)
    return IPv6Address(raw) if len(raw) == 16 else None


def _number(raw: bytes | None, default: int) -> int:
    return int.from_bytes(raw, sys.byteorder) if raw and len(raw) == 4 else default


def _mac(raw: bytes) -> str:
    return raw.hex(":") if len(raw) == 6 and any(raw) else ""


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
