"""The register: which websites, systems and networks a unit has by its own word; the denominator of every ratio."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from collector import views
from collector.errors import BadInput, NotFound
from collector.judge import mark_dirty
from collector.registry import audit
from collector.registry.cursors import read_cursor, write_cursor
from collector.registry.directory import require
from collector.registry.people import Person, Role
from collector.registry.register_files import COLUMNS, Entry, Kind, read_entry, spelling
from collector.registry.sheets import Problems, Record, read_sheet
from collector.store import tables
from wire.text import Text
from wire.types import EntryKind

if TYPE_CHECKING:
    from collector.core import Core
    from collector.store.contract import Turn

VANTAGES = 3
"""Agents that look at what a unit without an agent of its own has registered: more would only load those sites."""
FROM_WHITELIST = "whitelist"
_FIELDS = tuple(field.name for field in fields(Entry))


class Register:
    """All registered entries in memory, by unit; replaced only after a commit."""

    def __init__(self) -> None:
        """Start empty; `load` fills it from a store."""
        self._own: dict[str, dict[str, Entry]] = {}
        self._digests: dict[str, str] = {}
        self._lock = threading.Lock()
        self._watched: tuple[object, dict[str, tuple[str, ...]]] = (None, {})
        self._revision = 0

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        found: dict[str, dict[str, Entry]] = {}
        for row in connection.execute(select(*(tables.registered.c[name] for name in _FIELDS))):
            entry = _entry(*row)
            found.setdefault(entry.unit, {})[entry.id] = entry
        self._own, self._digests = {}, {}
        self.put(found)

    def put(self, entries: Mapping[str, Mapping[str, Entry]]) -> None:
        """Adopt the entries of some units that were stored, by unit and id."""
        ordered = {
            unit: dict(sorted(of_unit.items(), key=lambda item: (item[1].kind, item[1].key)))
            for unit, of_unit in entries.items()
        }
        self._digests = self._digests | {unit: _digest(of_unit.values()) for unit, of_unit in ordered.items()}
        self._own = self._own | ordered
        self._revision += 1

    def own(self, unit: str) -> tuple[Entry, ...]:
        """Give what a unit registered, by kind and address."""
        return tuple(self._own.get(unit, {}).values())

    def units(self) -> tuple[str, ...]:
        """Give the units that registered something."""
        return tuple(unit for unit, found in self._own.items() if found)

    def holds(self, unit: str, kind: Kind, key: str) -> bool:
        """Tell whether a unit registered this."""
        return Entry(unit, kind, key, "", "", "", None, "").id in self._own.get(unit, {})

    def holds_site(self, unit: str, key: str) -> bool:
        """Tell whether a unit registered a domain or URL, as a website or for a system."""
        return self.holds(unit, Kind.WEBSITE, key) or self.holds(unit, Kind.SYSTEM, key)

    def digest(self, units: Iterable[str]) -> str:
        """Give a text that changes when anything that these units registered changes."""
        return ",".join(self._digests.get(unit, "") for unit in units)

    def watched(self, core: "Core", agent: str) -> tuple[str, ...]:
        """Give the units whose websites an agent looks at: its own, and those above that have no agent themselves.

        Of the agents below such a unit the few that enrolled first look, each time the same ones.
        """
        stamp = (self._revision, core.directory.revision)
        with self._lock:
            if self._watched[0] != stamp:
                self._watched = (stamp, self._watchers(core))
            return self._watched[1].get(agent, ())

    def _watchers(self, core: "Core") -> dict[str, tuple[str, ...]]:
        units = core.directory.units
        agents = sorted(
            (record for record in list(core.directory.agents.values()) if record.revoked is None),
            key=lambda record: (record.enrolled, record.identity.id),
        )
        below: dict[str, list[str]] = {}
        for record in agents:
            for above in core.directory.chain(record.identity.unit)[:-1]:
                if self._own.get(above):
                    below.setdefault(above, []).append(record.identity.id)
        manned = {record.identity.unit for record in agents}
        watched = {record.identity.id: [record.identity.unit] for record in agents}
        for unit in sorted((unit for unit in below if unit not in manned), key=lambda code: units[code].path):
            for agent in below[unit][:VANTAGES]:
                watched[agent].append(unit)
        return {agent: tuple(found) for agent, found in watched.items()}


def import_entries(
    core: "Core", person: Person, data: bytes, filename: str, unit: str | None = None
) -> views.ImportResult:
    """Add and change entries from CSV, TSV or XLSX; raises BadFile with every fault, NotFound and Forbidden.

    A row belongs to the unit it names, else to `unit`, else to the person's own. Entries that the file does not name
    stay.
    """
    require(person, Role.OPERATOR)
    reach = core.directory.reach(person, unit)
    problems, settings = Problems(filename), core.settings
    records = read_sheet(
        data, COLUMNS, problems, filename=filename, max_bytes=settings.import_bytes, max_rows=settings.import_rows
    )
    wanted: dict[str, dict[str, Entry]] = {}
    for record in records:
        owner = _unit_of(core, record, unit or person.unit, reach, problems)
        entry = read_entry(record, owner, problems)
        if entry is not None and wanted.setdefault(entry.unit, {}).setdefault(entry.id, entry) != entry:
            text = Text(f"{entry.address} 另有不同的一行", f"{entry.address} has another row that differs")
            problems.add(record.line, "address", text)
    problems.check()
    return _adopt(core, person, wanted, problems, unit, filename)


def seed(core: "Core", person: Person, unit: str | None = None) -> views.ImportResult:
    """Register the approved domains of a subtree's whitelists that nobody registered yet; raises NotFound, Forbidden.

    Each that was taken over is named in the warnings, and keeps `whitelist` as its source. A wildcard names no site.
    """
    require(person, Role.OPERATOR)
    reach = core.directory.reach(person, unit)
    problems = Problems("whitelist")
    wanted: dict[str, dict[str, Entry]] = {}
    for code in core.whitelists.units():
        if not core.directory.units[code].path.startswith(reach):
            continue
        for approved in core.whitelists.own(code):
            if approved.kind is not EntryKind.DOMAIN or approved.value.startswith("*"):
                continue
            key = spelling(approved.value)
            if core.register.holds_site(code, key):
                continue
            entry = Entry(code, Kind.WEBSITE, key, key, "", "", None, approved.owner, FROM_WHITELIST)
            wanted.setdefault(code, {})[entry.id] = entry
            problems.warn(0, code, Text(f"已登记 {key}", f"registered {key}"))
    return _adopt(core, person, wanted, problems, unit, FROM_WHITELIST)


def list_entries(
    core: "Core",
    person: Person,
    under: str | None = None,
    kind: str = "",
    limit: int = 500,
    cursor: str | None = None,
) -> views.RegisteredPage:
    """Give a page of the register of a subtree, unit by unit; raises NotFound, BadInput."""
    if kind and kind not in set(Kind):
        raise BadInput(f"kind: must be one of {', '.join(Kind)}")
    after = read_cursor(cursor, 3) if cursor else ("", "", "")
    found = [
        ((core.directory.units[code].path, entry.kind.value, entry.key), entry)
        for code in codes_under(core, core.directory.reach(person, under))
        for entry in core.register.own(code)
        if not kind or entry.kind == kind
    ]
    page = [item for item in found if item[0] > after]
    more = len(page) > limit
    return views.RegisteredPage(
        items=tuple(view_of(core, entry) for _, entry in page[:limit]),
        cursor=write_cursor(*page[limit - 1][0]) if more else None,
    )


def remove(core: "Core", person: Person, ident: str) -> views.Registered:
    """Take an entry out of the register; raises NotFound, Forbidden."""
    require(person, Role.OPERATOR)
    entry = next(
        (entry for code in codes_under(core, person.path) for entry in core.register.own(code) if entry.id == ident),
        None,
    )
    if entry is None:
        raise NotFound(f"no registered entry {ident!r} within reach of {person.name}")
    county, now = core.directory.units[entry.unit].county, core.clock()

    def work(turn: "Turn") -> None:
        turn.run("DELETE FROM registered WHERE county = ? AND id = ?", (county, ident))
        # What fell before it was taken out is no fall of what may be registered under this address later.
        turn.run(
            "UPDATE ipv6_level SET held = confirmed WHERE county = ? AND unit = ? AND key = ?",
            (county, entry.unit, entry.key),
        )
        mark_dirty(core, turn, [entry.unit], now)
        audit.record(turn, now, person.name, "register.remove", entry.unit, {"kind": entry.kind, "key": entry.key})
        left = {found.id: found for found in stored(turn, entry.unit, county)}
        turn.after_commit(lambda: core.register.put({entry.unit: left}))

    core.store.write(work)
    core.schedule.wake()
    return view_of(core, entry)


def codes_under(core: "Core", reach: str) -> list[str]:
    """Give the units of a subtree that registered something, in the order of the tree."""
    units = core.directory.units
    return sorted(
        (code for code in core.register.units() if units[code].path.startswith(reach)),
        key=lambda code: units[code].path,
    )


def view_of(core: "Core", entry: Entry) -> views.Registered:
    """Give an entry as people see it."""
    return views.Registered(
        id=entry.id,
        unit=entry.unit,
        unit_name=core.directory.units[entry.unit].name,
        kind=entry.kind.value,
        address=entry.address,
        name=entry.name,
        system=entry.system,
        mlps_level=entry.mlps_level,
        owner=entry.owner,
        source=entry.source,
    )


def stored(turn: "Turn", unit: str, county: str) -> list[Entry]:
    """Give a unit's entries as the open transaction sees them."""
    names = ", ".join(_FIELDS)
    rows = turn.rows(f"SELECT {names} FROM registered WHERE county = ? AND unit = ?", (county, unit))  # noqa: S608
    return [_entry(*row) for row in rows]


def _adopt(
    core: "Core",
    person: Person,
    wanted: Mapping[str, Mapping[str, Entry]],
    problems: Problems,
    unit: str | None,
    source: str,
) -> views.ImportResult:
    now = core.clock()

    def work(turn: "Turn") -> views.ImportResult:
        units = core.directory.units
        before = {code: {entry.id: entry for entry in stored(turn, code, units[code].county)} for code in wanted}
        after = {code: {**before[code], **entries} for code, entries in wanted.items()}
        for code, kept in after.items():
            if len(kept) > core.settings.registered_entries:
                most = core.settings.registered_entries
                text = Text(
                    f"{code} 共 {len(kept)} 条,最多 {most} 条", f"{code} would have {len(kept)}, at most {most}"
                )
                problems.add(0, "file", text)
        problems.check()
        added = changed = 0
        for code, entries in wanted.items():
            for entry in entries.values():
                old = before[code].get(entry.id)
                added, changed = added + (old is None), changed + (old is not None and old != entry)
                if old != entry:
                    _store(turn, units[code].county, entry, now)
        if added or changed:
            mark_dirty(core, turn, [code for code in wanted if before[code] != after[code]], now)
            detail = {"file": source[:100], "added": added, "changed": changed, "units": sorted(wanted)[:100]}
            audit.record(turn, now, person.name, "register.import", unit or person.unit or "*", detail)
            turn.after_commit(lambda: core.register.put(after))
        total = sum(map(len, wanted.values()))
        return views.ImportResult(
            added=added, changed=changed, unchanged=total - added - changed, warnings=tuple(problems.warnings)
        )

    result = core.store.write(work)
    core.schedule.wake()
    return result


def _store(turn: "Turn", county: str, entry: Entry, now: float) -> None:
    turn.run(
        "INSERT INTO registered (county, id, unit, kind, key, address, name, system, mlps_level, owner, source, added, "
        "changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (county, id) DO UPDATE SET "
        "address = excluded.address, name = excluded.name, system = excluded.system, "
        "mlps_level = excluded.mlps_level, owner = excluded.owner, source = excluded.source, "
        "changed = excluded.changed",
        (county, entry.id, *(str(part) if isinstance(part, Kind) else part for part in astuple(entry)), now, now),
    )


def _entry(
    unit: str, kind: str, key: str, address: str, name: str, system: str, level: int | None, owner: str, source: str
) -> Entry:
    return Entry(unit, Kind(kind), key, address, name, system, level, owner, source)


def _digest(entries: Iterable[Entry]) -> str:
    return hashlib.sha256(repr([(entry.kind.value, entry.address) for entry in entries]).encode()).hexdigest()


def _unit_of(core: "Core", record: Record, default: str | None, reach: str, problems: Problems) -> str | None:
    code = record.values.get("unit", "") or default
    if not code:
        problems.add(record.line, "unit", Text("必须填写单位编码", "must name a unit"))
        return None
    node = core.directory.units.get(code)
    if node is None or not node.path.startswith(reach):
        problems.add(record.line, "unit", Text(f"单位 {code} 不在范围内", f"unit {code} is not within reach"))
        return None
    return code
