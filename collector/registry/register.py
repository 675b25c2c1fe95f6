"""The register: which websites, systems and networks a unit has by its own word; the denominator of every ratio."""

from collections.abc import Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING

from collector import views
from collector.errors import BadInput, NotFound
from collector.judge import mark_dirty
from collector.registry import audit
from collector.registry.cursors import read_cursor, write_cursor
from collector.registry.directory import require
from collector.registry.people import Person, Role
from collector.registry.register_files import COLUMNS, Entry, Kind, read_entry, spelling
from collector.registry.registered import FIELDS, entry_of
from collector.registry.sheets import Problems, Record, read_sheet
from wire.text import Text
from wire.types import EntryKind

if TYPE_CHECKING:
    from collector.core import Core
    from collector.store.contract import Turn

FROM_WHITELIST = "whitelist"


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
    names = ", ".join(FIELDS)
    rows = turn.rows(f"SELECT {names} FROM registered WHERE county = ? AND unit = ?", (county, unit))  # noqa: S608
    return [entry_of(*row) for row in rows]


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
