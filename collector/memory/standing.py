"""The whitelists in memory, cut up so that judging a host or a port does not walk through all entries.

The verdict itself is always that of wire.whitelist: here only the entries that can matter are picked.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from sqlalchemy import Connection, select

from collector.sightings.addresses import address, network
from collector.store import tables
from collector.store.contract import Statements
from wire.codec import encode
from wire.ports import contains, parse_ports
from wire.types import EntryKind, Transport, WhitelistEntry
from wire.whitelist import Match, Standing, match_domain, match_host, match_service, normal_mac

ANY = "*"
_COLUMNS = ("kind", "value", "owner", "reason", "approver", "expires", "ports", "transport", "id")
BITS = {4: 32, 6: 128}

Index = dict[str, list[WhitelistEntry]]
Networks = dict[tuple[int, int], dict[int, list[WhitelistEntry]]]


@dataclass(frozen=True, slots=True)
class Fragment:
    """The entries of one unit, sorted by what they can hold for."""

    entries: tuple[WhitelistEntry, ...] = ()
    digest: str = ""
    kinds: frozenset[EntryKind] = frozenset()
    macs: Index = field(default_factory=dict)
    hosts: Networks = field(default_factory=dict)
    ports: Networks = field(default_factory=dict)
    any_host: Index = field(default_factory=dict)
    domains: Index = field(default_factory=dict)


EMPTY = Fragment()


def fragment(entries: Iterable[WhitelistEntry]) -> Fragment:
    """Sort the entries of one unit."""
    kept = tuple(sorted(entries, key=lambda entry: entry.id))
    made = Fragment(
        kept,
        hashlib.sha256(b"\n".join(encode(entry) for entry in kept)).hexdigest(),
        frozenset(entry.kind for entry in kept),
    )
    for entry in kept:
        if entry.kind is EntryKind.DOMAIN:
            made.domains.setdefault(_plain_domain(entry.value), []).append(entry)
        elif entry.kind is EntryKind.HOST and (mac := normal_mac(entry.value)):
            made.macs.setdefault(mac, []).append(entry)
        elif entry.kind is EntryKind.HOST:
            _put(made.hosts, entry)
        elif entry.value == ANY:
            made.any_host.setdefault(entry.transport.value, []).append(entry)
        else:
            _put(made.ports, entry)
    return made


class Whitelists:
    """What holds for a unit: its own entries and those of every unit above it."""

    def __init__(self) -> None:
        """Start empty; `load` fills it from a store."""
        self._fragments: dict[str, Fragment] = {}

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        found: dict[str, list[WhitelistEntry]] = {}
        columns = [tables.whitelist.c[name] for name in ("unit", *_COLUMNS)]
        for unit, *row in connection.execute(select(*columns).order_by(tables.whitelist.c.id)):
            found.setdefault(unit, []).append(_entry(*row))
        self._fragments = {unit: fragment(entries) for unit, entries in found.items()}

    def put(self, entries: Mapping[str, Mapping[str, WhitelistEntry]]) -> None:
        """Adopt the entries of some units that were stored, by unit and id."""
        self._fragments |= {unit: fragment(of_unit.values()) for unit, of_unit in entries.items()}

    def own(self, unit: str) -> tuple[WhitelistEntry, ...]:
        """Give a unit's own entries."""
        return self._fragments.get(unit, EMPTY).entries

    def units(self) -> tuple[str, ...]:
        """Give the units that have entries of their own."""
        return tuple(unit for unit, found in self._fragments.items() if found.entries)

    def digest(self, chain: Iterable[str]) -> str:
        """Give a text that changes when anything that holds for the chain of units changes."""
        return ",".join(self._fragments.get(unit, EMPTY).digest for unit in chain)

    def entries(self, chain: Iterable[str]) -> tuple[WhitelistEntry, ...]:
        """Give everything that holds for the last unit of a chain."""
        return tuple(entry for unit in chain for entry in self.own(unit))

    def host(self, chain: Iterable[str], addresses: Iterable[str], macs: Iterable[str], today: date) -> Match:
        """Judge a host by all its addresses and MACs; the approval that holds longest counts."""
        parts, places = self._parts(chain), tuple(addresses)
        near = _near_host(parts, places, macs)
        # wire.whitelist takes one MAC at a time, and an asset may have several.
        found = [match_host(near, places, mac, today) for mac in (*macs, "")] if near else []
        return _longest(found) or _none(parts, EntryKind.HOST)

    def service(self, chain: Iterable[str], place: str, transport: Transport, port: int, today: date) -> Match:
        """Judge an open port."""
        parts = self._parts(chain)
        match = match_service(_near_port(parts, place, transport, port), place, transport, port, today)
        return match if match.entry else _none(parts, EntryKind.PORT)

    def domain(self, chain: Iterable[str], name: str, today: date) -> Match:
        """Judge a domain."""
        parts = self._parts(chain)
        match = match_domain(_near_domain(parts, name), name, today)
        return match if match.entry else _none(parts, EntryKind.DOMAIN)

    def names(self, chain: Iterable[str], what: str) -> bool:
        """Tell whether an entry is about this MAC or this very address, not about a prefix that holds it."""
        found = address(what)
        return any(
            what in part.macs
            if found is None
            else any(
                int(found) in hosts.get((found.version, BITS[found.version]), {}) for hosts in (part.hosts, part.ports)
            )
            for part in self._parts(chain)
        )

    def used_by_host(self, chain: Iterable[str], addresses: Iterable[str], macs: Iterable[str]) -> set[str]:
        """Give the ids of all entries that hold or held for a host."""
        return {entry.id for entry in _near_host(self._parts(chain), addresses, macs)}

    def used_by_service(self, chain: Iterable[str], place: str, transport: Transport, port: int) -> set[str]:
        """Give the ids of all entries that hold or held for a port."""
        return {entry.id for entry in _near_port(self._parts(chain), place, transport, port)}

    def _parts(self, chain: Iterable[str]) -> list[Fragment]:
        return [self._fragments[unit] for unit in chain if unit in self._fragments]


def stored_entries(statements: Statements, unit: str) -> list[WhitelistEntry]:
    """Give a unit's own entries as the open transaction sees them."""
    return [
        _entry(*row)
        for row in statements.rows(f"SELECT {', '.join(_COLUMNS)} FROM whitelist WHERE unit = ?", (unit,))  # noqa: S608
    ]


def _entry(
    kind: str,
    value: str,
    owner: str,
    reason: str,
    approver: str,
    expires: str | None,
    ports: str,
    transport: str,
    ident: str,
) -> WhitelistEntry:
    until = date.fromisoformat(expires) if expires else None
    return WhitelistEntry(EntryKind(kind), value, owner, reason, approver, until, ports, Transport(transport), ident)


def _none(parts: list[Fragment], kind: EntryKind) -> Match:
    return Match(Standing.UNLISTED if any(kind in part.kinds for part in parts) else Standing.NO_LIST)


def _longest(found: list[Match]) -> Match | None:
    matching = [match for match in found if match.entry is not None]
    return max(matching, key=lambda match: match.entry.expires or date.max if match.entry else date.min, default=None)


def _near_host(parts: list[Fragment], addresses: Iterable[str], macs: Iterable[str]) -> list[WhitelistEntry]:
    near = [entry for part in parts for mac in macs for entry in part.macs.get(normal_mac(mac), ())]
    return near + [entry for part in parts for place in addresses for entry in _near(part.hosts, place)]


def _near_port(parts: list[Fragment], place: str, transport: Transport, port: int) -> list[WhitelistEntry]:
    near = [entry for part in parts for entry in part.any_host.get(transport.value, ())]
    near += [entry for part in parts for entry in _near(part.ports, place)]
    return [entry for entry in near if entry.transport is transport and contains(_ranges(entry.ports), port)]


def _near_domain(parts: list[Fragment], name: str) -> list[WhitelistEntry]:
    wanted = _plain_domain(name)
    labels = wanted.split(".")
    keys = [wanted, *("*." + ".".join(labels[index:]) for index in range(1, len(labels)))]
    return [entry for part in parts for key in keys for entry in part.domains.get(key, ())]


@lru_cache(maxsize=4096)
def _ranges(spec: str) -> tuple[tuple[int, int], ...]:
    return parse_ports(spec)


def _plain_domain(name: str) -> str:
    return name.rstrip(".").lower()


def _put(networks: Networks, entry: WhitelistEntry) -> None:
    found = network(entry.value)
    if found is not None:  # else it holds for nothing, as in wire.whitelist
        of_size = networks.setdefault((found.version, found.prefixlen), {})
        of_size.setdefault(int(found.network_address), []).append(entry)


def _near(networks: Networks, place: str) -> Iterable[WhitelistEntry]:
    found = address(place)
    if found is None:
        return
    number = int(found)
    for (version, length), of_size in networks.items():
        if version == found.version:
            gap = BITS[version] - length
            yield from of_size.get(number >> gap << gap, ())
