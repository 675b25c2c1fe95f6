"""Addresses as people write them: single ones, prefixes such as 10.1.0.0/24, and ranges such as 10.1.0.5-20."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range

from probes.kit.scope.addresses import Address, unmapped
from wire.coverage import port_texts
from wire.text import TextError
from wire.types import Coverage, Family, Transport

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
    taken: dict[tuple[Family, str], list[tuple[int, int]]] = defaultdict(list)
    total = 0
    for text in texts:
        span = _parse(text.strip())
        for low, high in _take(taken[span.family, span.zone], span.low, span.high):
            spans.append(replace(span, low=low, high=high))
            total += high - low + 1
        if total > MAX_ADDRESSES:
            raise TextError(
                f"{text!r}：地址总数超过 {MAX_ADDRESSES}，请拆分任务",
                f"{text!r}: more than {MAX_ADDRESSES} addresses in all; split the task",
            )
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
    """Write addresses of one family as the fewest prefixes, in order; those with a zone one by one at the end."""
    here = set(addresses)
    zoned = sorted((address for address in here if isinstance(address, IPv6Address) and address.scope_id), key=str)
    numbers = sorted((int(address), address) for address in here.difference(zoned))
    found: list[str] = []
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place][0] != numbers[place - 1][0] + 1:
            first, last = numbers[start][1], numbers[place - 1][1]
            found.extend(str(network) for network in summarize_address_range(first, last))
            start = place
    return (*found, *(f"{address}/128" for address in zoned))


def plain_prefixes(addresses: Iterable[Address]) -> Iterator[str]:
    """Write addresses of any family as scopes do: the fewest prefixes, single addresses without a length, no zones."""
    found = [IPv6Address(int(address)) if isinstance(address, IPv6Address) else address for address in addresses]
    for version, single in ((4, "/32"), (6, "/128")):
        for prefix in prefixes(address for address in found if address.version == version):
            yield prefix.removesuffix(single)


def covered(transport: Transport, ports: Iterable[int], addresses: Collection[Address]) -> Iterator[Coverage]:
    """Write ports of addresses of one family as coverage; none of either give none."""
    family: Family = 4 if all(address.version == 4 for address in addresses) else 6
    for text in filter(None, port_texts((port, port) for port in ports)) if addresses else ():
        yield Coverage(prefixes(addresses), family, text, transport)


def _parse(text: str) -> Span:
    if not text:
        raise TextError("目标为空，须为地址、网段或范围", "an empty target; write an address, a prefix or a range")
    base, dash, last = text.partition("-")
    if dash and ":" not in base:
        return _range(text, base, last)
    if "/" in text:
        return _prefix(text)
    try:
        address = unmapped(ip_address(text))
    except ValueError:
        raise TextError(
            f"{text[:64]!r} 不是地址、10.1.0.0/24 这样的网段或 10.1.0.5-20 这样的范围",
            f"{text[:64]!r} is neither an address, a prefix such as 10.1.0.0/24, nor a range such as 10.1.0.5-20",
        ) from None
    _check(text, address)
    zone = address.scope_id or "" if isinstance(address, IPv6Address) else ""
    if isinstance(address, IPv6Address) and address.is_link_local and not zone:
        raise TextError(
            f"{text!r} 是链路本地地址，请加上接口，如 {text}%eth0",
            f"{text!r} is link-local; add the interface, such as {text}%eth0",
        )
    return Span(4 if address.version == 4 else 6, int(address), int(address), text, zone)


def _range(text: str, base: str, last: str) -> Span:
    try:
        first = IPv4Address(base.strip())
        tail = last.strip()
        end = IPv4Address(tail if "." in tail else f"{str(first).rpartition('.')[0]}.{tail}")
    except ValueError:
        raise TextError(
            f"{text[:64]!r} 不是 10.1.0.5-20 或 10.1.0.5-10.1.1.20 这样的范围",
            f"{text[:64]!r} is not a range such as 10.1.0.5-20 or 10.1.0.5-10.1.1.20",
        ) from None
    if end < first:
        raise TextError(f"{text!r} 前后颠倒", f"{text!r} runs backwards")
    if int(end) - int(first) >= MAX_ADDRESSES:
        raise TextError(
            f"{text!r} 超过 {MAX_ADDRESSES} 个地址，请拆分任务",
            f"{text!r} has more than {MAX_ADDRESSES} addresses; split the task",
        )
    _check(text, first)
    _check(text, end)
    return Span(4, int(first), int(end), text)


def _prefix(text: str) -> Span:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise TextError(
            f"{text[:64]!r} 不是 10.1.0.0/24 或 2001:db8::/112 这样的网段",
            f"{text[:64]!r} is not a prefix such as 10.1.0.0/24 or 2001:db8::/112",
        ) from None
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise TextError(f"{text!r} 是 IPv4 映射地址，请写 IPv4 网段", f"{text!r} is IPv4-mapped; write the IPv4 prefix")
    if network.num_addresses > MAX_ADDRESSES:
        if network.version == 6:
            raise TextError(
                f"{text!r} 无法逐个扫描：一个 /64 有 1800 多亿亿个地址；请指明主机（邻居表和 DNS 知道），"
                "或用 /112 及更小的网段",
                f"{text!r} cannot be scanned: a /64 has 18 billion billion addresses; name the hosts (the neighbour"
                " table and the DNS know them) or a prefix of /112 or longer",
            )
        raise TextError(
            f"{text!r} 超过 {MAX_ADDRESSES} 个地址，最大为 /16，请拆分任务",
            f"{text!r} has more than {MAX_ADDRESSES} addresses; a /16 is the most, split the task",
        )
    _check(text, network.network_address)
    return Span(4 if network.version == 4 else 6, int(network[0]), int(network[-1]), text)


def _check(text: str, address: Address) -> None:
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise TextError(f"{text[:64]!r} 不是单个主机的地址", f"{text[:64]!r} is no address of a single host")


def _take(taken: list[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """Add a range to disjoint ones in order, and give the parts of it that none of them had."""
    at = bisect_left(taken, (low,))
    if at and taken[at - 1][1] >= low:
        at -= 1
    fresh: list[tuple[int, int]] = []
    end, place = at, low
    while end < len(taken) and taken[end][0] <= high:
        if place < taken[end][0]:
            fresh.append((place, taken[end][0] - 1))
        place = taken[end][1] + 1
        end += 1
    if place <= high:
        fresh.append((place, high))
    if end > at:
        low, high = min(low, taken[at][0]), max(high, taken[end - 1][1])
    taken[at:end] = [(low, high)]
    return fresh
