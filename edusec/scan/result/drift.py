"""What changed since earlier scans of the same targets: per host, per port and per product.

`new` is what a scan before covered and did not find; `baseline` is what none before had covered, which is no news: so
are ports of a known host that were looked at only while it was away. Another MAC at an address is a change of its host.
`vanished` is what was found before and a covering scan does not find: confirmed once so many covering scans in a row
(N of M) missed it. What the later scan did not cover is `unknown`: nobody can tell. The first scan is the baseline.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any

from edusec.scan.result.lines import DRIFT, HOST, RUN, SCHEMA, SERVICE, Line, address_order
from wire.coverage import zone_of
from wire.ports import contains, parse_ports

CONFIRM = 3
"""Covering scans that must miss something before it counts as gone."""
NEW, CHANGED, VANISHED, UNKNOWN, BASELINE = "new", "changed", "vanished", "unknown", "baseline"
FACTS = ("state", "service", "product", "version", "device")
HOST_FACTS = ("state", "mac")
"""What is compared of a service, and of a host; a fact that either scan does not know says nothing."""

Place = tuple[str, str, int]
"""Address, transport and port; a host has an empty transport and port 0."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scan found at a place; of a host also the places at which it answered, which prove that it is there."""

    facts: Mapping[str, Any]
    doors: tuple[Place, ...] = ()

    def would_show(self, place: Place, covered: "Covered") -> bool:
        """Tell whether a scan looked everywhere where this would have shown: of a host, at each of its doors."""
        return covered.has(place) and all(map(covered.has, self.doors))

    def after(self, earlier: "Seen") -> "Seen":
        """Give the same with what the earlier scan knew and this one did not, where both are about the same thing."""
        if _differs(earlier.facts, self.facts):
            return self
        known = {name: value for name, value in self.facts.items() if value}
        return replace(self, facts={**self.facts, **earlier.facts, **known})


@dataclass(frozen=True, slots=True)
class Known:
    """What was last seen at a place, by which run, and how many covering scans have missed it since."""

    found: Seen
    run: str
    seen: str
    missed: int = 0


@dataclass(slots=True)
class Picture:
    """What a row of scans of the same targets has come to know, the oldest of them first."""

    confirm: int
    known: dict[Place, Known] = field(default_factory=dict)
    covered: list[tuple["Covered", frozenset[str]]] = field(default_factory=list)
    last: str = ""

    def add(self, lines: Sequence[Line]) -> None:
        """Take the next scan in."""
        run, found, covered = _read(lines)
        for place, seen in found.items():
            before = self.known.get(place)
            self.known[place] = Known(seen.after(before.found) if before else seen, run["id"], run["started"])
        for place, known in list(self.known.items()):
            if place in found or not known.found.would_show(place, covered):
                continue
            if known.missed + 1 >= self.confirm:
                del self.known[place]  # said once, by the scan that confirmed it
            else:
                self.known[place] = replace(known, missed=known.missed + 1)
        self.covered.append((covered, frozenset(address for address, transport, _ in found if not transport)))
        self.last = run["id"]

    def ever_covered(self, place: Place, doors: Sequence[Place]) -> bool:
        """Tell whether any of the scans looked there, at a host by any of the doors that it has.

        Ports of a host that is known were looked at while it was there, or not at all.
        """
        known = bool(place[1]) and (place[0], "", 0) in self.known
        scans = (covered for covered, there in self.covered if place[0] in there or not known)
        return any(covered.has(where) for covered in scans for where in doors or (place,))


def drift(history: Iterable[Sequence[Line]], now: Sequence[Line], confirm: int = CONFIRM) -> list[Line]:
    """Compare a scan with those before it, the oldest first; nothing when there is none: it is the baseline."""
    picture = Picture(confirm)
    for lines in history:
        picture.add(lines)
    if not picture.last:
        return []
    return sorted(_changes(picture, now), key=_order)


def counted(lines: Iterable[Line]) -> dict[str, int]:
    """Count changes by their kind; vanished ones that are not confirmed yet count like the others."""
    return dict(Counter(line["change"] for line in lines if line["type"] == DRIFT))


_Part = tuple[int, str, str]
"""Family, interface of link-local addresses, transport."""


class Covered:
    """The coverage of one scan, ready to be asked."""

    def __init__(self, coverage: Iterable[Mapping[str, Any]]) -> None:
        """Take the coverage of a run line."""
        self._known: dict[tuple[str, str], list[tuple[tuple[int, int], ...]]] = {}
        entries: dict[_Part, list[tuple[int, int, tuple[tuple[int, int], ...]]]] = {}
        for item in coverage:
            ports = parse_ports(item["ports"])
            for prefix in item["prefixes"]:
                network = ip_network(prefix)
                key = (network.version, zone_of(prefix), item["transport"] or "")
                entries.setdefault(key, []).append((int(network[0]), int(network[-1]), ports))
        self._entries = {key: sorted(found, key=_begin) for key, found in entries.items()}
        self._widest = {key: max(high - low for low, high, _ in found) for key, found in entries.items()}

    def has(self, place: Place) -> bool:
        """Tell whether a port was looked at; a host was if any port of it was."""
        name, transport, port = place
        if transport:
            return any(contains(ports, port) for ports in self.ports(name, transport))
        return any(self.ports(name, transport) for _, _, transport in self._entries)

    def ports(self, name: str, transport: str) -> list[tuple[tuple[int, int], ...]]:
        """Give the port sets of one address, as ranges."""
        if (name, transport) not in self._known:
            address = ip_address(name.partition("%")[0])
            key, number = (address.version, zone_of(name), transport), int(address)
            found = self._entries.get(key, [])
            # Entries are sorted by their beginning; none that begins further back than the widest one can reach here.
            first = bisect_left(found, number - self._widest.get(key, 0), key=_begin)
            last = bisect_right(found, number, key=_begin)
            self._known[name, transport] = [ports for _, high, ports in found[first:last] if number <= high]
        return self._known[name, transport]


def _begin(entry: tuple[int, int, tuple[tuple[int, int], ...]]) -> int:
    return entry[0]


def _read(lines: Sequence[Line]) -> tuple[Line, dict[Place, Seen], Covered]:
    run = next(line for line in lines if line["type"] == RUN)
    found: dict[Place, Seen] = {}
    doors: dict[str, list[Place]] = {}
    for line in lines:
        if line["type"] == SERVICE and line["state"] == "open":
            place = line["address"], line["transport"], line["port"]
            found[place] = Seen({name: line[name] for name in FACTS})
            doors.setdefault(line["address"], []).append(place)
    for line in lines:
        if line["type"] == HOST and line["presence"] == "present":
            address = line["address"]
            # Without an open port it was a closed one that answered; the first one stands for all.
            closed = [(address, "tcp", low) for low, _ in parse_ports(line.get("closed") or "")[:1]]
            facts = {"state": "present", "mac": line.get("mac")}
            found[address, "", 0] = Seen(facts, tuple(doors.get(address, closed)))
    return run, found, Covered(run["coverage"])


def _changes(picture: Picture, now: Sequence[Line]) -> Iterator[Line]:
    _, found, covered = _read(now)
    for place, seen in found.items():
        known = picture.known.get(place)
        if known is None:
            change = NEW if picture.ever_covered(place, seen.doors) else BASELINE
            yield _line(change, place, None, seen.facts, picture, None)
        elif _differs(known.found.facts, seen.facts):
            yield _line(CHANGED, place, known.found.facts, seen.facts, picture, known)
    for place, known in picture.known.items():
        if place not in found:
            gone = known.found.would_show(place, covered)
            missed = known.missed + 1 if gone else known.missed
            change = VANISHED if gone else UNKNOWN
            yield _line(change, place, known.found.facts, None, picture, replace(known, missed=missed))


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(before.get(name) and after.get(name) and before[name] != after[name] for name in (*FACTS, *HOST_FACTS))


def _line(
    change: str,
    place: Place,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    picture: Picture,
    known: Known | None,
) -> Line:
    address, transport, port = place
    return {
        "schema": SCHEMA,
        "type": DRIFT,
        "change": change,
        "kind": "service" if transport else "host",
        "address": address,
        "family": ip_address(address.partition("%")[0]).version,
        "transport": transport or None,
        "port": port if transport else None,
        "before": dict(before) if before else None,
        "after": dict(after) if after else None,
        "seen": known.seen if known else None,
        "missed": known.missed if known else 0,
        "confirm": picture.confirm,
        "confirmed": change != UNKNOWN
        and (change != VANISHED or (known is not None and known.missed >= picture.confirm)),
        "against": known.run if known else picture.last,
    }


def _order(line: Line) -> tuple[Any, ...]:
    return (*address_order(line["address"]), line["transport"] or "", line["port"] or 0)
