"""How far each website, system, network and unit has come, from what all agents that look at it found.

Written, with a line of history, when it changes. A level is two: what is confirmed, and what is possible if everything
unknown turned out well.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from collector.clock import new_id
from collector.core import Core
from collector.ipv6.results import NETWORK_PART, SELF, SITE, Key, read, states
from collector.memory.registered import Entry, Kind, spelling
from collector.store.contract import Statements
from probes.kit.ipv6.ladder import NETWORK, REQUIRED, UNCLEAR, Level, Rung, climb, lowest
from probes.kit.ipv6.model import Verdict

SYSTEM, UNIT = "system", "unit"
_UPSERT = (
    "INSERT INTO ipv6_level (county, unit, kind, key, confirmed, possible, held, verdicts, since) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (county, unit, kind, key) DO UPDATE SET "
    "confirmed = excluded.confirmed, possible = excluded.possible, held = excluded.held, "
    "verdicts = excluded.verdicts, since = excluded.since"
)
Subject = tuple[str, str, str]
"""Unit, kind, key."""


@dataclass(slots=True)
class Levels:
    """Works levels out inside one transaction; `now` is the collector's own time, `changed` what has another level."""

    core: Core
    statements: Statements
    now: float
    changed: set[Subject] = field(default_factory=set)

    def follow(self, unit: str, touched: Iterable[Key]) -> None:
        """Work out anew what results of an agent of a unit were about, for each unit that registered it."""
        units: set[str] = set()
        for kind, key in touched:
            for owner, subject in self._owners(unit, kind, key):
                self._work_out(owner, subject, key if subject == SITE else "")
                units.add(owner)
        for owner in units:
            self._sum_up(owner)

    def unit(self, code: str) -> None:
        """Work out everything that a unit registered."""
        entries = self.core.register.own(code)
        for key in dict.fromkeys(entry.key for entry in entries if entry.kind is not Kind.NETWORK):
            self._site(code, key)
        for entry in entries:
            if entry.kind is Kind.NETWORK:
                self._network(code, entry.key)
        if entries:
            self._sum_up(code)

    def _owners(self, unit: str, kind: str, key: str) -> list[tuple[str, str]]:
        chain, register = self.core.directory.chain(unit), self.core.register
        if kind == SITE:
            return [(code, SITE) for code in chain if register.holds_site(code, key)] or [(unit, SITE)]
        return [(unit, NETWORK_PART)]

    def _work_out(self, unit: str, kind: str, key: str) -> None:
        if kind == SITE:
            self._site(unit, key)
            return
        for entry in self.core.register.own(unit):
            if entry.kind is Kind.NETWORK:
                self._network(unit, entry.key)

    def _site(self, unit: str, key: str) -> None:
        directory = self.core.directory
        path = directory.units[unit].path
        verdicts = self._join(
            row
            for county in directory.counties(path)
            for row in self.statements.rows(
                "SELECT unit, section, checks FROM ipv6_result WHERE county = ? AND kind = ? AND key = ?",
                (county, SITE, key),
            )
            # Whoever stands at the unit or below it may have looked.
            if row[0] in directory.units and directory.units[row[0]].path.startswith(path)
        )
        self._put(unit, SITE, key, climb(verdicts, REQUIRED), verdicts)

    def _network(self, unit: str, key: str) -> None:
        county = self.core.directory.units[unit].county
        verdicts = self._join(
            (where, section, checks)
            for kind, name, where, section, checks in self.statements.rows(
                "SELECT kind, key, unit, section, checks FROM ipv6_result WHERE county = ? AND kind IN (?, ?) "
                "AND unit = ?",
                (county, SELF, NETWORK_PART, unit),
            )
            if kind == SELF or overlap(key, name)
        )
        self._put(unit, NETWORK_PART, key, climb(verdicts, NETWORK), verdicts)

    def _join(self, rows: Iterable[tuple[str, int, str]]) -> dict[str, Verdict]:
        """Join what several agents found: one failure fails, one success among unknowns holds."""
        verdicts: dict[str, Verdict] = {}
        for _unit, section, checks in rows:
            state = self.core.sections.by_id(section)
            if state is None or not state.fresh(self.now):
                continue
            for check, verdict in states(read(checks)).items():
                if verdicts.get(check) is not Verdict.FAIL:
                    verdicts[check] = verdict
        return verdicts

    def _sum_up(self, unit: str) -> None:
        """Work out the systems of a unit and the unit itself, each of which is as far as its weakest part."""
        entries = self.core.register.own(unit)
        if not entries:
            return
        known = self.stored(unit)
        parts = systems(entries)
        for name, keys in parts.items():
            known[SYSTEM, name] = lowest(known.get((SITE, key), UNCLEAR) for key in keys)
            self._put(unit, SYSTEM, name, known[SYSTEM, name], {})
        registered = [
            *((SITE, entry.key) for entry in entries if entry.kind is Kind.WEBSITE),
            *((NETWORK_PART, entry.key) for entry in entries if entry.kind is Kind.NETWORK),
            *((SYSTEM, name) for name in parts),
        ]
        self._put(unit, UNIT, "", lowest(known.get(part, UNCLEAR) for part in registered), {})

    def stored(self, unit: str) -> dict[Key, Level]:
        """Give the levels of a unit as the open transaction sees them."""
        county = self.core.directory.units[unit].county
        rows = self.statements.rows(
            "SELECT kind, key, confirmed, possible FROM ipv6_level WHERE county = ? AND unit = ?", (county, unit)
        )
        return {(kind, key): Level(Rung(low), Rung(high)) for kind, key, low, high in rows}

    def _put(self, unit: str, kind: str, key: str, level: Level, verdicts: Mapping[str, Verdict]) -> None:
        county = self.core.directory.units[unit].county
        rows = self.statements.rows(
            "SELECT confirmed, possible, held, verdicts, since FROM ipv6_level "
            "WHERE county = ? AND unit = ? AND kind = ? AND key = ?",
            (county, unit, kind, key),
        )
        text = json.dumps({name: verdict.value for name, verdict in sorted(verdicts.items())})
        before = Level(Rung(rows[0][0]), Rung(rows[0][1])) if rows else UNCLEAR
        held = max(rows[0][2] if rows else 0, level.confirmed)
        if rows and before == level and (held, text) == (rows[0][2], rows[0][3]):
            return
        moved = before != level
        since = self.now if moved or not rows else rows[0][4]
        low, high = int(level.confirmed), int(level.possible)
        self.statements.run(_UPSERT, (county, unit, kind, key, low, high, int(held), text, since))
        if moved:
            self.statements.run(
                "INSERT INTO ipv6_history (county, unit, kind, key, time, id, confirmed, possible) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (county, unit, kind, key, self.now, new_id(self.now), low, high),
            )
            self.changed.add((unit, kind, key))


def systems(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Give the addresses of each registered system; a website that names a system counts for that too."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry.system and entry.kind is not Kind.NETWORK:
            keys = found.setdefault(entry.system, [])
            if entry.key not in keys:
                keys.append(entry.key)
    return found


def overlap(one: str, other: str) -> bool:
    """Tell whether two prefixes share addresses; what is no prefix shares none."""
    try:
        first, second = ip_network(one), ip_network(other)
    except ValueError:
        return False
    return first.version == second.version and first.overlaps(second)


def sites_of(statements: Statements, county: str, subjects: Iterable[Subject]) -> list[str]:
    """Give the ids of the inventory's sites that levels of websites are about."""
    keys: dict[str, set[str]] = {}
    for unit, kind, key in subjects:
        if kind == SITE:
            keys.setdefault(unit, set()).add(key)
    return [
        ident
        for unit, wanted in keys.items()
        for ident, name in statements.rows("SELECT id, name FROM site WHERE county = ? AND unit = ?", (county, unit))
        if spelling(name) in wanted
    ]


def moved(core: Core, levels: Iterable[Subject]) -> None:
    """Have counted and judged, in the next round, what has another level now."""
    found = set(levels)
    core.due.levels.extend({unit for unit, _, _ in found})
    core.due.systems.extend(sorted(f"{unit}:{name}" for unit, kind, name in found if kind == SYSTEM))
