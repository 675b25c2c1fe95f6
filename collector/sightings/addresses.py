"""Addresses as agents write them, read the same way everywhere, and each only once while it keeps coming."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAPPED_BITS = 96
LOCAL_BIT = 0x02


@lru_cache(maxsize=65_536)
def address(text: str) -> Address | None:
    """Read an address without its zone; an IPv4 address written as IPv6 is the IPv4 address. None for a name."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=8_192)
def zone(text: str) -> str:
    """Give the interface that a link-local address (RFC 4007) or prefix names, in its agent's words; else ""."""
    place, _, name = text.partition("/")[0].partition("%")
    found = address(place) if name else None
    return name if found is not None and found.version == 6 and found.is_link_local else ""


def plain(name: str) -> str:
    """Write an address in one spelling, a link-local one with its interface; a name that is none stays as it is."""
    found = address(name)
    if found is None:
        return name
    link = zone(name)
    return f"{found}%{link}" if link else str(found)


@lru_cache(maxsize=8_192)
def network(text: str) -> Network | None:
    """Read a prefix, or a single address as a prefix of one; None for anything else."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(found, IPv6Network) and found.prefixlen >= MAPPED_BITS and found.network_address.ipv4_mapped:
        return IPv4Network((found.network_address.ipv4_mapped, found.prefixlen - MAPPED_BITS))
    return found


def current_addresses(hosts: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """Choose from (name, state, missed from) of sightings the addresses that hold now, or else those that held last.

    IPv4 first, in the order of numbers, link-local ones with their interface; names that are no address, and "any
    address", are left out.
    """
    known = list(hosts)
    seen = [name for name, state, missed in known if state == "present" and not missed]
    latest = seen or [name for name, state, _ in known if state == "present"] or [name for name, _, _ in known]
    found = {plain(name): place for name in latest if (place := address(name)) is not None and not place.is_unspecified}
    return tuple(sorted(found, key=lambda text: (found[text].version, int(found[text]), text)))


def is_local_mac(mac: str) -> bool:
    """Tell whether a normal MAC is locally administered (IEEE 802: second-lowest bit of the first octet)."""
    return bool(int(mac[:2], 16) & LOCAL_BIT)
