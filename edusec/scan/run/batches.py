"""Parts a scan into batches that are each done in about a minute at most: what an interruption costs is one of them.

An area is what is to be looked at: addresses, and the ports of one transport on each of them.
"""

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_network, summarize_address_range

from edusec.scan.request.ports import ranked
from edusec.scan.request.wanted import Part
from probes.kit.contract import is_first_word
from probes.kit.scope.targets import Span, parse_targets, prefixes
from wire.coverage import zone_of
from wire.ports import MAX_SPEC, expand, format_ports, merge_ranges, parse_ports
from wire.types import Body, Coverage, Section, Transport

SECONDS = 20.0
"""How long a batch should take; the first ones are sized by the rate asked for, later ones by what was measured."""
LEAST_PAIRS, MOST_PAIRS = 10_000, 4_000_000
MOST_UDP_PAIRS = 1 << 14
MANY_PORTS = 1024
"""More ports than this on one address are parted too, with fewer addresses side by side."""
_HOSTS = 256
_HOSTS_OF_MANY_PORTS = 64
_LEAST_PORTS = 256
_MOST_TARGETS = 900
"""Texts of addresses in one job; the options of a probe take 1,000."""
_GROWTH = 8
_SURE = 0.3
"""Share of the time left in which a batch is surely done: some is kept back to ask services who they are."""


@dataclass(frozen=True, slots=True)
class Area:
    """Addresses on which the same ports of a part are to be looked at."""

    part: Part
    spans: tuple[Span, ...]
    ports: tuple[int, ...]

    @property
    def pairs(self) -> int:
        """Count the (address, port) pairs."""
        return sum(map(len, self.spans)) * len(self.ports)


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of an area for one job; `group` is the same for the pieces of the same addresses."""

    area: Area
    group: int

    @property
    def targets(self) -> tuple[str, ...]:
        """Write the addresses as a probe takes them."""
        return tuple(text for span in self.area.spans for text in _texts(span))


class Pace:
    """Sizes batches in pairs, by what the last one took and the time that is left until `end` (time.monotonic())."""

    def __init__(self, transport: Transport, rate: float, end: float) -> None:
        """Start with what the rate allows in half the time of a batch."""
        self._most = MOST_PAIRS if transport is Transport.TCP else MOST_UDP_PAIRS
        self._end, self._speed = end, rate
        self._pairs = self._within(int(rate * SECONDS / 2))

    @property
    def pairs(self) -> int:
        """How many the next batch should have: what it cannot bring to its end in time is lost."""
        left = max(0.0, self._end - time.monotonic())
        return self._within(min(self._pairs, int(self._speed * left * _SURE)))

    def took(self, pairs: int, seconds: float) -> None:
        """Learn from a batch."""
        self._speed = pairs / max(seconds, 0.01)
        self._pairs = self._within(min(int(self._speed * SECONDS), self._pairs * _GROWTH))

    def _within(self, pairs: int) -> int:
        return min(max(pairs, min(LEAST_PAIRS, self._most)), self._most)


def batches(area: Area, pace: Pace) -> Iterator[Batch]:
    """Give the batches of an area one by one, each sized when it is due.

    Ports are taken in the order in which they are likely to be open, so that the first piece of a host says most.
    """
    spans = list(area.spans)
    many = len(area.ports) > MANY_PORTS
    ports = _by_rank(area) if many else area.ports
    group = 0
    while spans:
        hosts = _HOSTS_OF_MANY_PORTS if many else max(_HOSTS, pace.pairs // len(ports) // _HOSTS * _HOSTS)
        taken, spans = _take(spans, hosts)
        count, place = sum(map(len, taken)), 0
        while place < len(ports):
            size = max(_LEAST_PORTS, pace.pairs // count) if many else len(ports)
            chunk = _writable(ports[place : place + size])
            yield Batch(replace(area, spans=tuple(taken), ports=tuple(sorted(chunk))), group)
            place += len(chunk)
        group += 1


def areas(parts: Iterable[Part], spans: Sequence[Span], coverage: Sequence[Coverage]) -> list[Area]:
    """Give what is left to look at once coverage is taken off, part by part in the order of addresses."""
    return [area for part in parts for area in _left(part, spans, coverage)]


def not_identified(parts: Iterable[Part], section: Section) -> list[Area]:
    """Give the open services of what is covered that were not asked yet who they are, in the fewest areas for that."""
    body = section.body or Body()
    return [
        Area(part, parse_targets(names), ports)
        for part in parts
        for ports, names in sorted(_fewest(_first_words(body, part.transport)).items())
    ]


def _first_words(body: Body, transport: Transport) -> dict[str, set[int]]:
    """Give the ports of each host that have but a first word, and are covered: all others are asked anyway."""
    found: dict[str, set[int]] = defaultdict(set)
    for item in body.observations:
        if is_first_word(item) and item.target.transport is transport and item.target.port is not None:
            found[item.target.name].add(item.target.port)
    left = _left(Part(transport, "0-65535", {}), parse_targets(found), body.coverage)
    for area in left:
        for span in area.spans:
            for address in span:
                found[str(address)].difference_update(area.ports)
    return {name: ports for name, ports in found.items() if ports}


def _fewest(found: Mapping[str, set[int]]) -> dict[tuple[int, ...], list[str]]:
    """Put hosts together by the ports that they share, or by single ports where those are fewer."""
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    single: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, ports in found.items():
        alike[tuple(sorted(ports))].append(name)
        for port in ports:
            single[port,].append(name)
    return min(alike, single, key=len)


def _left(part: Part, spans: Sequence[Span], coverage: Sequence[Coverage]) -> Iterator[Area]:
    wanted = expand(parse_ports(part.ports))
    covered = _covered([item for item in coverage if item.transport is part.transport], spans)
    if not covered:
        if spans:
            yield Area(part, tuple(spans), wanted)
        return
    known: dict[frozenset[str], tuple[int, ...]] = {}
    found: dict[tuple[int, ...], list[Span]] = defaultdict(list)
    for span in spans:
        for number in range(span.low, span.high + 1):
            by = frozenset(covered.get((span.family, span.zone, number), ()))
            if by not in known:
                known[by] = _minus(wanted, by)
            if known[by]:
                _append(found[known[by]], replace(span, low=number, high=number))
    for ports, left in found.items():
        yield Area(part, tuple(left), ports)


def _covered(coverage: Sequence[Coverage], spans: Sequence[Span]) -> dict[tuple[int, str, int], set[str]]:
    """Give the port sets that cover each address of the spans, by family, zone and number."""
    numbers: dict[tuple[int, str], list[int]] = defaultdict(list)
    for span in spans:
        numbers[span.family, span.zone].extend(range(span.low, span.high + 1))
    for held in numbers.values():
        held.sort()
    found: dict[tuple[int, str, int], set[str]] = defaultdict(set)
    for item in coverage:
        for prefix in item.prefixes:
            network, place = ip_network(prefix), (item.family, zone_of(prefix))
            held = numbers.get(place, [])
            for number in held[bisect_left(held, int(network[0])) : bisect_right(held, int(network[-1]))]:
                found[*place, number].add(item.ports)
    return found


def _minus(wanted: tuple[int, ...], covered: Iterable[str]) -> tuple[int, ...]:
    gone = set(expand(merge_ranges(pair for text in covered for pair in parse_ports(text))))
    return tuple(port for port in wanted if port not in gone)


def _append(spans: list[Span], span: Span) -> None:
    if spans and (spans[-1].family, spans[-1].zone, spans[-1].high + 1) == (span.family, span.zone, span.low):
        spans[-1] = replace(spans[-1], high=span.high)
    else:
        spans.append(span)


def _take(spans: Sequence[Span], count: int) -> tuple[list[Span], list[Span]]:
    """Part off the first addresses: so many at most, and not more spans than can be written."""
    taken: list[Span] = []
    texts = 0
    rest = list(spans)
    while rest and count > 0:
        span = rest[0]
        piece = replace(span, high=min(span.high, span.low + count - 1))
        texts += sum(1 for _ in _texts(piece))
        if taken and texts > _MOST_TARGETS:
            break
        taken.append(piece)
        count -= len(piece)
        rest[:1] = [replace(span, low=piece.high + 1)] if piece.high < span.high else []
    return taken, rest


def _texts(span: Span) -> Iterator[str]:
    first = span.address(span.low)
    if len(span) == 1:
        yield str(first)
    elif isinstance(first, IPv4Address):
        last = IPv4Address(span.high)
        whole = list(summarize_address_range(first, last))
        yield str(whole[0]) if len(whole) == 1 else f"{first}-{last}"
    else:
        yield from prefixes(span)


def _by_rank(area: Area) -> tuple[int, ...]:
    place = {port: rank for rank, port in enumerate(ranked(area.part.transport))}
    return tuple(sorted(area.ports, key=lambda port: (place.get(port, len(place)), port)))


def _writable(ports: tuple[int, ...]) -> tuple[int, ...]:
    """Give as many of the first ports as fit into the text of a port set."""
    while len(format_ports(ports)) > MAX_SPEC:
        ports = ports[: len(ports) * 3 // 4]
    return ports
