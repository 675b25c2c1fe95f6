"""Coverage that came in pieces, said in as few lines as it takes."""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from wire.ports import MAX_SPEC, count, format_ranges, merge_ranges, parse_ports
from wire.types import Coverage, Family, Transport

MAX_PREFIXES = 4096
"""Prefixes that one Coverage holds."""


def joined(items: Iterable[Coverage]) -> tuple[Coverage, ...]:
    """Say the same in few lines: the ports of the same prefixes together, then the prefixes of the same ports."""
    ports: dict[tuple[tuple[str, ...], Family, Transport | None], set[str]] = {}
    for item in items:
        ports.setdefault((item.prefixes, item.family, item.transport), set()).add(item.ports)
    prefixes: dict[tuple[str, Family, Transport | None], dict[str, None]] = {}
    for (covered, family, transport), texts in ports.items():
        for text in port_texts(pair for part in texts for pair in parse_ports(part)):
            prefixes.setdefault((text, family, transport), {}).update(dict.fromkeys(covered))
    return tuple(
        Coverage(whole[first : first + MAX_PREFIXES], family, text, transport)
        for (text, family, transport), found in prefixes.items()
        for whole in (_collapsed(found, family),)
        for first in range(0, len(whole), MAX_PREFIXES)
    )


def pairs_of(item: Coverage) -> int:
    """Count the (address, port) pairs."""
    return count(parse_ports(item.ports)) * sum(ip_network(prefix).num_addresses for prefix in item.prefixes)


def port_texts(ranges: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Write ranges as port sets; what does not fit into the text of one becomes several. None are the empty set."""
    text = format_ranges(merge_ranges(ranges))
    while len(text) > MAX_SPEC:
        cut = text.rindex(",", 0, MAX_SPEC + 1)
        yield text[:cut]
        text = text[cut + 1 :]
    yield text


def zone_of(text: str) -> str:
    """Give the interface that an address or prefix names (RFC 4007), "" for none: on another one it was not covered."""
    return text.partition("/")[0].partition("%")[2]


def _collapsed(found: Collection[str], family: Family) -> tuple[str, ...]:
    if family == 4:
        return tuple(map(str, collapse_addresses(map(IPv4Network, found))))
    zoned = [prefix for prefix in found if zone_of(prefix)]
    return (*map(str, collapse_addresses(IPv6Network(prefix) for prefix in found if not zone_of(prefix))), *zoned)
