"""Which links to listen on, whether they may be asked, and what this machine already knows of them."""

import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from probes.kit.machine.neighbours import LIVE, Link, Neighbour, Own, Route, State
from probes.kit.machine.netlink import dump
from probes.kit.scope.addresses import Network
from probes.kit.sending.multicast import require_link
from probes.kit.sending.net import Net

_FORWARDING = (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))
_GETNEIGHTBL, _NDT_BYTES, _NDTA_THRESH3 = 66, 4, 4
_UNCOUNTED = frozenset({State.PERMANENT, State.NOARP})
MOST_LINKS = 16


def choose(links: Iterable[Link], own: Iterable[Own], routes: Sequence[Route], *, router: bool) -> tuple[str, ...]:
    """Give the links that are a LAN of this machine: Ethernet, up, with an address; of a router not the uplink."""
    addressed = {item.interface for item in own if not item.address.ip.is_link_local}
    uplinks = {route.interface for route in routes} if router else set()
    found = [
        link.name
        for link in links
        if link.up and link.mac and not link.loopback and link.name in addressed and link.name not in uplinks
    ]
    return tuple(sorted(found))[:MOST_LINKS]


def forwards() -> bool:
    """Tell whether this machine is a router for either family."""
    for file in _FORWARDING:
        try:
            if file.read_text(encoding="ascii").strip() not in ("", "0"):
                return True
        except OSError:
            continue
    return False


def prefixes_of(own: Iterable[Own], interface: str) -> tuple[Network, ...]:
    """Give the prefixes of both families on a link, the link-local ones only where there are no others."""
    found = {item.address.network for item in own if item.interface == interface}
    wider = {network for network in found if not network.is_link_local}
    return tuple(sorted(wider or found, key=str))


def require_all(net: Net, prefixes: Sequence[Network], interface: str) -> None:
    """Check that everybody on a link may be asked: every prefix of both families, whole; see `multicast.require_link`.

    Raises OutOfScope naming the first prefix that is not in scope (or the link, where it has none), or Quiet.
    """
    if not prefixes:
        raise net.count(net.scope.refusal(interface, "fe80::/64"))
    require_link(net, prefixes, None)


def table_of(neighbours: Iterable[Neighbour], interface: str) -> frozenset[tuple[str, str]]:
    """Give address and MAC of those neighbours of a link that once answered."""
    return frozenset(
        (str(item.address), item.mac)
        for item in neighbours
        if item.interface == interface and item.state in LIVE and item.mac and not item.address.is_multicast
    )


def table_use(neighbours: Iterable[Neighbour]) -> int:
    """Count the IPv6 entries that the limit counts, over all links: those that people or drivers set do not."""
    return sum(item.address.version == 6 and item.state not in _UNCOUNTED for item in neighbours)


def table_limit() -> int:
    """Ask the kernel for the hard limit of its IPv6 neighbour table (gc_thresh3, ip(7)); 0 where it does not say."""
    try:
        answers = dump(_GETNEIGHTBL, socket.AF_INET6, _NDT_BYTES)
    except OSError:
        return 0
    limits = [_number(answer.attributes) for answer in answers]
    return next((limit for limit in limits if limit), 0)


def subnets_of(own: Iterable[Own], interface: str) -> tuple[IPv4Network, ...]:
    """Give the IPv4 subnets of a link."""
    found = {item.address.network for item in own if item.interface == interface and not item.address.ip.is_link_local}
    return tuple(sorted(network for network in found if isinstance(network, IPv4Network)))


def _number(attributes: Mapping[int, bytes]) -> int:
    raw = attributes.get(_NDTA_THRESH3, b"")
    return int.from_bytes(raw, sys.byteorder) if len(raw) == 4 else 0
