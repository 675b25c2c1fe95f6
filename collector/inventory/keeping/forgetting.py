"""Forgets what nobody has seen for long: addresses that came and went, and devices known by no more than those.

Only time in which its agent went on looking counts: behind a gateway that is away nothing grows old. A device with a
maker's MAC, an agent's machine, and whatever people approved by name, merged, split or acknowledged stays, and of what
stays the last word does. The history of what is forgotten is kept as long as any (design 006).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.inventory.history import Change, note
from collector.inventory.identity.devices import (
    ADDRESS,
    AGENT,
    LOCAL_MAC,
    MAC,
    NOBODY,
    VIRTUAL_MAC,
    card_of,
    spot,
    written,
)
from collector.inventory.keeping.subjects import PRESENCE, SEEN
from collector.memory.sections import Sections
from collector.sightings.picture import HOST, SERVICE, place
from collector.store.contract import Turn

_OF_ASSET = (
    "SELECT section, key, subject, state, missed_from, confirmed, length(detail) FROM sighting "
    "WHERE county = ? AND subject = ? UNION ALL "
    "SELECT s.section, s.key, s.subject, s.state, s.missed_from, s.confirmed, length(s.detail) "
    "FROM service v JOIN sighting s ON s.county = v.county AND s.subject = v.id WHERE v.county = ? AND v.asset = ?"
)
_JOINED = "SELECT 1 FROM joined WHERE county = ? AND person <> '' AND (old = ? OR new = ?)"
_APART = "SELECT 1 FROM apart WHERE county = ? AND (one = ? OR other = ?)"
_ACKNOWLEDGED = (
    "SELECT 1 FROM alert WHERE county = ? AND state = 'acknowledged' AND (kind = 'asset' AND subject = ? OR kind = "
    "'service' AND subject IN (SELECT v.id FROM service v WHERE v.county = alert.county AND v.asset = ?))"
)

_OPEN = "SELECT 1 FROM alert WHERE county = ? AND subject = ? AND state IN ('firing', 'acknowledged') LIMIT 1"


class _Row(NamedTuple):
    section: int
    key: str
    subject: str
    state: str
    missed_from: int
    confirmed: float
    size: int


@dataclass(slots=True)
class Forgetting:
    """Looks at single assets of a county within one transaction, then `finish`es; `age` is in seconds.

    `named` tells of a unit and an address or a MAC whether an approval names it, `looked` until when each agent went on
    looking. `assets` are to be judged again, `gone` lost what is known of them: assets and services.
    """

    turn: Turn
    sections: Sections
    named: Callable[[str, str], bool]
    looked: Mapping[str, float]
    county: str
    age: float
    now: float
    assets: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    _dropped: dict[int, list[_Row]] = field(default_factory=dict)

    def look(self, asset: str) -> None:
        """Forget an asset, or those of its addresses and services, that were not seen for long; else do nothing."""
        rows = self.turn.rows(
            "SELECT unit, merged_into, name, section, confirmed FROM asset WHERE county = ? AND id = ?",
            (self.county, asset),
        )
        if not rows or rows[0][1] is not None or self._kept_by_people(asset):
            return
        ((unit, _, name, section, confirmed),) = rows
        places: dict[str, list[_Row]] = {}
        for row in map(_Row._make, self.turn.rows(_OF_ASSET, (self.county, asset, self.county, asset))):
            places.setdefault(spot(place(row.key).name, self.sections.agent_of(row.section)), []).append(row)
        named = {where for where in places if self.named(unit, written(where))}
        old = {where for where, found in places.items() if where not in named and all(map(self._is_old, found))}
        if len(old) == len(places) and (places or self._passed(section, confirmed)) and not self._lasts(unit, asset):
            self._forget(unit, asset, name, [row for found in places.values() for row in found])
            return
        old -= {self._last_word(places)}
        for where in sorted(old):
            self._leave(unit, asset, where, places[where])
        for where in sorted(places.keys() - old - named):
            self._drop(row for row in places[where] if row.key[0] == SERVICE and self._is_old(row))

    def finish(self) -> None:
        """Give back the room of what was forgotten; once, since it walks through all that is at hand of a section."""
        for section, rows in self._dropped.items():
            self.sections.forget(section, {row.key for row in rows}, sum(row.size for row in rows))
        self._dropped.clear()

    def _kept_by_people(self, asset: str) -> bool:
        return any(self.turn.rows(sql, (self.county, asset, asset)) for sql in (_JOINED, _APART, _ACKNOWLEDGED))

    def _lasts(self, unit: str, asset: str) -> bool:
        """Tell whether a device is known by more than what comes and goes, or approved by its card."""
        cards = self.turn.rows(
            "SELECT kind, value FROM evidence WHERE county = ? AND asset = ? AND kind IN (?, ?, ?, ?)",
            (self.county, asset, MAC, LOCAL_MAC, VIRTUAL_MAC, AGENT),
        )
        return any(kind in (MAC, AGENT) or self.named(unit, card_of(value)) for kind, value in cards)

    def _passed(self, section: int, since: float) -> bool:
        """Tell whether the agent of a section went on looking for long enough after a time."""
        return self.looked.get(self.sections.agent_of(section), since) - since >= self.age

    def _is_old(self, row: _Row) -> bool:
        if row.missed_from != 0 or row.state not in SEEN:
            return self._passed(row.section, row.confirmed)
        # The last word of a task that runs no more, which neither found it again nor missed it.
        state = self.sections.by_id(row.section)
        if state is None or state.confirmed is None or state.fresh(self.now):
            return False
        return self._passed(row.section, state.confirmed) and not self.turn.rows(_OPEN, (self.county, row.subject))

    def _last_word(self, places: dict[str, list[_Row]]) -> str:
        """Give where the sighting is that tells of presence (subjects.Merge.asset)."""

        def worth(item: tuple[str, _Row]) -> tuple[bool, int, float]:
            state = self.sections.by_id(item[1].section)
            fresh = state is not None and state.fresh(self.now)
            return fresh, PRESENCE.get(item[1].state, 0), item[1].confirmed

        hosts = [(where, row) for where, found in places.items() for row in found if row.key[0] == HOST]
        return max(hosts, key=worth)[0] if hosts else ""

    def _leave(self, unit: str, asset: str, where: str, rows: Iterable[_Row]) -> None:
        self._drop(rows)
        self.turn.run(
            "DELETE FROM evidence WHERE county = ? AND unit = ? AND kind = ? AND value = ? AND asset = ?",
            (self.county, unit, ADDRESS, where, asset),
        )
        self._note(unit, asset, written(where))
        self.assets.add(asset)

    def _forget(self, unit: str, asset: str, name: str, rows: Iterable[_Row]) -> None:
        """The rows stay for the history, as part of no device; those merged into it go with it."""
        found = list(rows)
        self._drop(found)
        hosts = sorted({place(row.key).name for row in found if row.key[0] == HOST})
        self._note(unit, asset, name or ", ".join(hosts[:4]))
        self.gone |= {row[0] for row in self._ids("SELECT id FROM service WHERE county = ? AND asset = ?", asset)}
        waiting = [asset]
        while waiting:
            ident = waiting.pop()
            waiting += [row[0] for row in self._ids("SELECT old FROM joined WHERE county = ? AND new = ?", ident)]
            self.turn.run("DELETE FROM joined WHERE county = ? AND new = ?", (self.county, ident))
            self.turn.run("DELETE FROM evidence WHERE county = ? AND asset = ?", (self.county, ident))
            self.turn.run("UPDATE asset SET merged_into = ? WHERE county = ? AND id = ?", (NOBODY, self.county, ident))
            self.gone.add(ident)

    def _ids(self, sql: str, asset: str) -> list[tuple[str]]:
        return [(str(row[0]),) for row in self.turn.rows(sql, (self.county, asset))]

    def _note(self, unit: str, asset: str, what: str) -> None:
        note(self.turn, Change(self.county, unit, asset, "forgotten", what, "", None), self.now)

    def _drop(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            self.turn.run(
                "DELETE FROM sighting WHERE county = ? AND section = ? AND key = ?",
                (self.county, row.section, row.key),
            )
            self._dropped.setdefault(row.section, []).append(row)
            if row.key[0] == SERVICE:
                self.gone.add(row.subject)
