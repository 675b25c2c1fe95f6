"""What runs covered: the only ground for saying "absent". Pure; every text from the network is read with care."""

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from collector.sightings.addresses import Address, Network, address, network, zone
from wire.ports import parse_ports
from wire.types import Coverage, Skipped, Transport

MAX_REMEMBERED = 512
"""Entries of former coverage kept for a section; past it, whatever is found counts as covered before."""

MAX_PREFIXES = 1 << 16
"""Prefixes of all these entries together: they are read and written again with each run that covers anything else."""

Ranges = tuple[tuple[int, int], ...]
Covered = tuple[Network, str]
"""A prefix, and the interface that it is on where it is link-local: what is on another one was not looked at."""


@dataclass(frozen=True, slots=True)
class Area:
    """Coverage that can be asked: each part is prefixes, ports and transport (None where ports do not apply)."""

    parts: tuple[tuple[tuple[Covered, ...], Ranges, Transport | None], ...] = ()

    def host(self, text: str) -> bool:
        """Tell whether an address was looked at, on any port or without ports."""
        place = address(text)
        return place is not None and any(_within(held, place, zone(text)) for held, _, _ in self.parts)

    def service(self, text: str, transport: Transport, port: int) -> bool:
        """Tell whether a port of an address was looked at."""
        place = address(text)
        return place is not None and any(
            of is transport and any(low <= port <= high for low, high in ranges) and _within(held, place, zone(text))
            for held, ranges, of in self.parts
        )

    def all_ports(self, text: str, transport: Transport, ranges: Ranges) -> bool:
        """Tell whether one part holds all these ports of an address or a whole prefix; `*` asks for no address."""
        wanted = None if text == "*" else network(text)
        return any(
            of is transport
            and all(any(low <= first and last <= high for low, high in held) for first, last in ranges)
            and (text == "*" or (wanted is not None and _contains(networks, wanted)))
            for networks, held, of in self.parts
        )

    def prefix(self, text: str) -> bool:
        """Tell whether one part holds a whole prefix, or a single address."""
        wanted = network(text)
        return wanted is not None and any(_contains(networks, wanted) for networks, _, _ in self.parts)


@lru_cache(maxsize=128)
def area(entries: tuple[Coverage, ...]) -> Area:
    """Make coverage askable; what cannot be read covers nothing. Runs of one task cover the same again and again."""
    return Area(
        tuple(
            (
                tuple((found, zone(prefix)) for prefix in entry.prefixes if (found := network(prefix)) is not None),
                _ports(entry.ports),
                entry.transport,
            )
            for entry in entries
        )
    )


@lru_cache(maxsize=128)
def to_text(entries: tuple[Coverage, ...]) -> str:
    """Write coverage for the store."""
    return json.dumps(
        [[list(entry.prefixes), entry.family, entry.ports, entry.transport] for entry in entries],
        separators=(",", ":"),
    )


def from_text(text: str) -> tuple[Coverage, ...]:
    """Read coverage back."""
    return tuple(
        Coverage(tuple(prefixes), family, ports, Transport(transport) if transport else None)
        for prefixes, family, ports, transport in json.loads(text)
    )


@lru_cache(maxsize=128)
def skipped_text(skipped: tuple[Skipped, ...]) -> str:
    """Write what a run left out for the store."""
    return json.dumps([[part.what, part.reason] for part in skipped], ensure_ascii=False, separators=(",", ":"))


def remember(former: tuple[Coverage, ...], latest: tuple[Coverage, ...]) -> tuple[Coverage, ...]:
    """Add to what was ever covered; entries that are held already are left out."""
    held = set(former)
    every = (*former, *(entry for entry in dict.fromkeys(latest) if entry not in held))[:MAX_REMEMBERED]
    sizes = accumulate(len(entry.prefixes) for entry in every)
    return tuple(entry for entry, size in zip(every, sizes, strict=True) if size <= MAX_PREFIXES)


def _within(networks: tuple[Covered, ...], place: Address, link: str) -> bool:
    return any(place in held and link == on for held, on in networks)


def _contains(networks: tuple[Covered, ...], wanted: Network) -> bool:
    return any(
        held.version == wanted.version and held.prefixlen <= wanted.prefixlen and wanted.network_address in held
        for held, on in networks
        if not on
    )


def _ports(spec: str) -> Ranges:
    try:
        return parse_ports(spec)
    except ValueError:
        return ()
