"""Addresses as people write them: single ones, prefixes such as 10.1.0.0/24, and ranges such as 10.1.0.5-20."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range

from probes.kit.scope import Address, unmapped
from wire.types import Family

MAX_ADDRESSES = 1 << 16
"""Most addresses of one run, which is also the most of one IPv6 prefix (a /112)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses from `low` to `high`, both included, of one family; `text` is how they were written."""

    family: Family
    low: int
    high: int
    text: str
    zone: str = ""

    def __len__(self) -> int:
        """Count the addresses."""
        return self.high - self.low + 1

    def __iter__(self) -> Iterator[Address]:
        """List the addresses."""
        for number in range(self.low, self.high + 1):
            yield self.address(number)

    def address(self, number: int) -> Address:
        """Give one address of the span's family by its number."""
        if self.family == 4:
            return IPv4Address(number)
        plain = IPv6Address(number)
        return IPv6Address(f"{plain}%{self.zone}") if self.zone else plain


def parse_targets(texts: Iterable[str]) -> tuple[Span, ...]:
    """Read targets, leaving out addresses that an earlier one has; raises ValueError naming the faulty one.

    Refused are unspecified and multicast addresses, more than MAX_ADDRESSES, and IPv6 prefixes that nobody can scan.
    """
    spans: list[Span] = []
    total = 0
    for text in texts:
        for span in _without(_parse(text.strip()), spans):
            spans.append(span)
            total += len(span)
        if total > MAX_ADDRESSES:
            raise ValueError(f"{text!r}: more than {MAX_ADDRESSES} addresses in all; split the task")
    return tuple(spans)


def first(spans: Iterable[Span], count: int) -> tuple[list[Span], list[Span]]:
    """Part spans into those of the first `count` addresses and those of the others."""
    kept: list[Span] = []
    left: list[Span] = []
    for span in spans:
        room = min(count, len(span))
        count -= room
        for part, low, high in ((kept, span.low, span.low + room - 1), (left, span.low + room, span.high)):
            if low <= high:
                part.append(replace(span, low=low, high=high))
    return kept, left


def prefixes(addresses: Iterable[Address]) -> tuple[str, ...]:
    """Write addresses of one family as the fewest prefixes, in order; a zone is lost."""
    numbers = sorted({int(address): address for address in addresses}.items())
    found: list[str] = []
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place][0] != numbers[place - 1][0] + 1:
            first, last = _unzoned(numbers[start][1]), _unzoned(numbers[place - 1][1])
            found.extend(str(network) for network in summarize_address_range(first, last))
            start = place
    return tuple(found)


def plain_prefixes(addresses: Iterable[Address]) -> Iterator[str]:
    """Write addresses of any family as people do: the fewest prefixes, single addresses without a length."""
    found = list(addresses)
    for version, single in ((4, "/32"), (6, "/128")):
        for prefix in prefixes(address for address in found if address.version == version):
            yield prefix.removesuffix(single)


def _parse(text: str) -> Span:
    if not text:
        raise ValueError("an empty target; write an address, a prefix or a range")
    base, dash, last = text.partition("-")
    if dash and ":" not in base:
        return _range(text, base, last)
    if "/" in text:
        return _prefix(text)
    try:
        address = unmapped(ip_address(text))
    except ValueError:
        raise ValueError(
            f"{text[:64]!r} is neither an address, a prefix such as 10.1.0.0/24, nor a range such as 10.1.0.5-20"
        ) from None
    _check(text, address)
    zone = address.scope_id or "" if isinstance(address, IPv6Address) else ""
    if isinstance(address, IPv6Address) and address.is_link_local and not zone:
        raise ValueError(f"{text!r} is link-local; add the interface, such as {text}%eth0")
    return Span(4 if address.version == 4 else 6, int(address), int(address), text, zone)


def _range(text: str, base: str, last: str) -> Span:
    try:
        first = IPv4Address(base.strip())
        tail = last.strip()
        end = IPv4Address(tail if "." in tail else f"{str(first).rpartition('.')[0]}.{tail}")
    except ValueError:
        raise ValueError(f"{text[:64]!r} is not a range such as 10.1.0.5-20 or 10.1.0.5-10.1.1.20") from None
    if end < first:
        raise ValueError(f"{text!r} runs backwards")
    if int(end) - int(first) >= MAX_ADDRESSES:
        raise ValueError(f"{text!r} has more than {MAX_ADDRESSES} addresses; split the task")
    _check(text, first)
    _check(text, end)
    return Span(4, int(first), int(end), text)


def _prefix(text: str) -> Span:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:64]!r} is not a prefix such as 10.1.0.0/24 or 2001:db8::/112") from None
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is IPv4-mapped; write the IPv4 prefix")
    if network.num_addresses > MAX_ADDRESSES:
        if network.version == 6:
            raise ValueError(
                f"{text!r} cannot be scanned: a /64 has 18 billion billion addresses; name the hosts (the neighbour"
                " table and the DNS know them) or a prefix of /112 or longer"
            )
        raise ValueError(f"{text!r} has more than {MAX_ADDRESSES} addresses; a /16 is the most, split the task")
    _check(text, network.network_address)
    return Span(4 if network.version == 4 else 6, int(network[0]), int(network[-1]), text)


def _check(text: str, address: Address) -> None:
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise ValueError(f"{text[:64]!r} is no address of a single host")


def _without(span: Span, earlier: Iterable[Span]) -> list[Span]:
    parts = [span]
    for other in earlier:
        if (other.family, other.zone) == (span.family, span.zone):
            parts = [piece for part in parts for piece in _cut(part, other)]
    return parts


def _cut(part: Span, other: Span) -> list[Span]:
    if other.high < part.low or other.low > part.high:
        return [part]
    pieces = ((part.low, other.low - 1), (other.high + 1, part.high))
    return [Span(part.family, low, high, part.text, part.zone) for low, high in pieces if low <= high]


def _unzoned(address: Address) -> Address:
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address
