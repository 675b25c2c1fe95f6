"""Lays what a section says now over what it said before. Pure: this is where absence is decided.

A sighting's `missed_from` is the number of the covering run that first missed it, 0 while it is seen or not covered.
Only a run whose coverage holds the sighting counts as a miss; `absent_after` of them in a row settle it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.sightings.coverage import Area
from collector.sightings.picture import HOST, SERVICE, Picture, Place, Seen, place, refused
from wire.types import Transport

GONE = {HOST: "absent", SERVICE: "filtered"}
"""What N covering runs in silence make of a host, and of a port: no answer is just what "filtered" says."""


class Known(NamedTuple):
    """A stored sighting, as far as comparing needs it, in the order of its columns."""

    key: str
    state: str
    detail: str
    missed_from: int


KnownRow = tuple[str, str, str, int]


class Lost(NamedTuple):
    """A sighting that this run does not confirm, and what becomes of it."""

    known: Known
    state: str
    missed_from: int


@dataclass(slots=True)
class Difference:
    """What a run changes; everything else was confirmed as it stands. `due` is the run that settles the next case."""

    fresh: dict[str, Seen] = field(default_factory=dict)
    altered: list[tuple[Known, Seen]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    due: int | None = None

    def after(self, known: list[KnownRow]) -> list[KnownRow]:
        """Give the sightings as they are once this is written."""
        if not (self.fresh or self.altered or self.lost):
            return known
        rows = {row[0]: row for row in known}
        for lost in self.lost:
            rows[lost.known.key] = lost.known._replace(state=lost.state, missed_from=lost.missed_from)
        for old, (state, detail) in self.altered:
            rows[old.key] = (old.key, state, detail, 0)
        for key, (state, detail) in self.fresh.items():
            rows[key] = (key, state, detail, 0)
        return list(rows.values())


def compare(known: Sequence[KnownRow], picture: Picture, area: Area, run: int, absent_after: int) -> Difference:
    """Find what is new, what changed, and what this covering run (number `run`) did not see."""
    seen = picture.seen
    found = Difference()
    pending: list[int] = []
    confirmed = 0
    for row in known:
        key, state, detail, missed_from = row
        new = seen.get(key)
        if new is None:
            old = Known(*row)
            now, first_missed = _missing(old, place(key), picture, area, run, absent_after)
            if first_missed and now != GONE.get(key[0]):
                pending.append(first_missed)
            if (now, first_missed) != (state, missed_from):
                found.lost.append(Lost(old, now, first_missed))
            continue
        confirmed += 1
        if new[0] != state or new[1] != detail or missed_from:
            found.altered.append((Known(*row), new))
    if confirmed < len(seen):
        keys = {row[0] for row in known}
        found.fresh = {key: new for key, new in seen.items() if key not in keys}
    found.due = min(pending) + absent_after - 1 if pending else None
    return found


def settle(known: Iterable[KnownRow], run: int, absent_after: int) -> Difference:
    """Do the same for a run that said nothing new: what it missed before it missed once more."""
    found = Difference()
    pending: list[int] = []
    for row in known:
        old = Known(*row)
        gone = GONE.get(old.key[0])
        if not old.missed_from or gone is None or old.state == gone:
            continue
        if run - old.missed_from + 1 >= absent_after:
            found.lost.append(Lost(old, gone, old.missed_from))
        else:
            pending.append(old.missed_from)
    found.due = min(pending) + absent_after - 1 if pending else None
    return found


def _missing(old: Known, what: Place, picture: Picture, area: Area, run: int, absent_after: int) -> tuple[str, int]:
    if what.kind == SERVICE and refused(picture.closed, what.name, what.port):
        return "closed", 0
    if what.kind == HOST:
        covered = area.host(what.name)
    elif what.kind == SERVICE:
        covered = area.service(what.name, Transport(what.transport), what.port)
    else:
        covered = False
    if not covered:
        return "unknown", 0
    gone, first = GONE[what.kind], old.missed_from or run
    return (gone if old.state == gone or run - first + 1 >= absent_after else old.state), first
