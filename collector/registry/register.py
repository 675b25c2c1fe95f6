"""The register: which websites, systems and networks a unit has by its own word; the denominator of every ratio."""

from dataclasses import astuple

from collector.answers import views
from collector.answers.cursors import read_cursor, write_cursor
from collector.answers.said import one_of, out_of_reach
from collector.core import Core
from collector.errors import BadInput, NotFound
from collector.judging.judge import mark_dirty
from collector.memory.directory import Node, require
from collector.memory.people import Person, Role
from collector.memory.registered import FIELDS, Entry, Kind, entry_of, spelling
from collector.registry import entries
from collector.registry.register_files import COLUMNS, read_entry
from collector.sheets.reading import Problems
from collector.store import audit
from collector.store.contract import Turn
from wire.text import Text
from wire.types import EntryKind

FROM_WHITELIST = "whitelist"


def import_entries(
    core: Core, person: Person, data: bytes, filename: str, unit: str | None = None
) -> views.ImportResult:
    """Add and change entries, see `entries.import_table`."""
    return entries.import_table(core, person, REGISTER, data, filename, unit)


def seed(core: Core, person: Person, unit: str | None = None) -> views.ImportResult:
    """Register the approved domains of a subtree's whitelists that nobody registered yet; raises NotFound, Forbidden.

    Each that was taken over is named in the warnings, and keeps `whitelist` as its source. A wildcard names no site.
    """
    require(person, Role.OPERATOR)
    reach = core.directory.reach(person, unit)
    problems = Problems("whitelist")
    wanted: dict[str, dict[str, Entry]] = {}
    for code in core.directory.within(core.whitelists.units(), reach):
        for approved in core.whitelists.own(code):
            if approved.kind is not EntryKind.DOMAIN or approved.value.startswith("*"):
                continue
            key = spelling(approved.value)
            if core.register.holds_site(code, key):
                continue
            entry = Entry(code, Kind.WEBSITE, key, key, "", "", None, approved.owner, FROM_WHITELIST)
            wanted.setdefault(code, {})[entry.id] = entry
            problems.warn(0, code, Text(f"已登记 {key}", f"registered {key}"))
    return entries.adopt(core, person, REGISTER, wanted, problems, unit, FROM_WHITELIST)


def list_entries(
    core: Core,
    person: Person,
    under: str | None = None,
    kind: str = "",
    limit: int = 500,
    cursor: str | None = None,
) -> views.RegisteredPage:
    """Give a page of the register of a subtree, unit by unit; raises NotFound, BadInput."""
    if kind and kind not in set(Kind):
        raise BadInput(one_of("kind", Kind))
    after = read_cursor(cursor, 3) if cursor else ("", "", "")
    found = [
        ((core.directory.units[code].path, entry.kind.value, entry.key), entry)
        for code in core.directory.within(core.register.units(), core.directory.reach(person, under))
        for entry in core.register.own(code)
        if not kind or entry.kind == kind
    ]
    page = [item for item in found if item[0] > after]
    more = len(page) > limit
    return views.RegisteredPage(
        items=tuple(view_of(core, entry) for _, entry in page[:limit]),
        cursor=write_cursor(*page[limit - 1][0]) if more else None,
    )


def remove(core: Core, person: Person, ident: str) -> views.Registered:
    """Take an entry out of the register; raises NotFound, Forbidden."""
    require(person, Role.OPERATOR)
    mine = core.directory.within(core.register.units(), person.path)
    entry = next((entry for code in mine for entry in core.register.own(code) if entry.id == ident), None)
    if entry is None:
        raise NotFound(out_of_reach(Text("登记项", "registered entry"), ident, person.name))
    unit, now = core.directory.units[entry.unit], core.clock()

    def work(turn: Turn) -> None:
        turn.run("DELETE FROM registered WHERE county = ? AND id = ?", (unit.county, ident))
        # What fell before it was taken out is no fall of what may be registered under this address later.
        turn.run(
            "UPDATE ipv6_level SET held = confirmed WHERE county = ? AND unit = ? AND key = ?",
            (unit.county, entry.unit, entry.key),
        )
        mark_dirty(core, turn, [entry.unit], now)
        audit.record(turn, now, person.name, "register.remove", entry.unit, {"kind": entry.kind, "key": entry.key})
        left = {found.id: found for found in _stored(turn, unit)}
        turn.after_commit(lambda: core.register.put({entry.unit: left}))

    core.store.write(work)
    core.due.wake()
    return view_of(core, entry)


def view_of(core: Core, entry: Entry) -> views.Registered:
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


def _stored(turn: Turn, unit: Node) -> list[Entry]:
    """Give a unit's entries as the open transaction sees them."""
    names = ", ".join(FIELDS)
    rows = turn.rows(f"SELECT {names} FROM registered WHERE county = ? AND unit = ?", (unit.county, unit.code))  # noqa: S608
    return [entry_of(*row) for row in rows]


def _check_size(core: Core, _turn: Turn, after: entries.ByUnit[Entry], problems: Problems) -> None:
    limit = core.settings.registered_entries
    for code, kept in after.items():
        if len(kept) > limit:
            text = Text(f"{code} 共 {len(kept)} 条，最多 {limit} 条", f"{code} would have {len(kept)}, at most {limit}")
            problems.add(0, "file", text)


def _store(turn: Turn, unit: Node, entry: Entry, now: float) -> None:
    turn.run(
        "INSERT INTO registered (county, id, unit, kind, key, address, name, system, mlps_level, owner, source, added, "
        "changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (county, id) DO UPDATE SET "
        "address = excluded.address, name = excluded.name, system = excluded.system, "
        "mlps_level = excluded.mlps_level, owner = excluded.owner, source = excluded.source, "
        "changed = excluded.changed",
        (unit.county, entry.id, *(str(part) if isinstance(part, Kind) else part for part in astuple(entry)), now, now),
    )


def _put(core: Core, after: entries.ByUnit[Entry]) -> None:
    core.register.put(after)


REGISTER = entries.ListKind(
    name="register",
    label="address",
    columns=COLUMNS,
    read=read_entry,
    check=_check_size,
    stored=_stored,
    store=_store,
    put=_put,
)
