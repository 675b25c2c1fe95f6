"""Whitelists of domains, hosts and ports: import, export, and the review that keeps approvals from growing old."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from collector import views
from collector.clock import day, moment
from collector.errors import BadInput
from collector.judge import mark_dirty
from collector.registry import audit, whitelist_review
from collector.registry.directory import require
from collector.registry.people import Person, Role
from collector.registry.sheets import Problems, Record, read_sheet
from collector.registry.standing import stored_entries
from collector.registry.whitelist_files import COLUMNS, identify, read_entry, to_csv, to_xlsx
from wire.text import Text
from wire.types import WhitelistEntry
from wire.whitelist import Standing, holds_on

if TYPE_CHECKING:
    from collector.core import Core
    from collector.store.contract import Turn

MAX_REVIEW_DAYS = 3660


def import_entries(
    core: "Core", person: Person, data: bytes, filename: str, unit: str | None = None
) -> views.ImportResult:
    """Add and change entries from CSV, TSV or XLSX; raises BadFile with every fault, NotFound and Forbidden.

    A row belongs to the unit it names, else to `unit`, else to the person's own. Entries that the file does not name
    stay; an approval is ended by giving it an earlier date. All units below are judged anew afterwards.
    """
    require(person, Role.OPERATOR)
    reach = core.directory.reach(person, unit)
    problems, settings = Problems(filename), core.settings
    records = read_sheet(
        data, COLUMNS, problems, filename=filename, max_bytes=settings.import_bytes, max_rows=settings.import_rows
    )
    wanted: dict[str, dict[str, WhitelistEntry]] = {}
    for record in records:
        entry, owner = read_entry(record, problems), _unit_of(core, record, unit or person.unit, reach, problems)
        if entry is not None and owner is not None:
            _add(wanted.setdefault(owner, {}), identify(owner, entry), record, problems)
    problems.check()
    now = core.clock()

    def work(turn: "Turn") -> views.ImportResult:
        before = {code: {entry.id: entry for entry in stored_entries(turn, code)} for code in wanted}
        after = {code: before[code] | entries for code, entries in wanted.items()}
        _check_size(core, turn, after, problems)
        problems.check()
        added = changed = 0
        for code, entries in wanted.items():
            for entry in entries.values():
                old = before[code].get(entry.id)
                added, changed = added + (old is None), changed + (old is not None and old != entry)
                if old != entry:
                    _store(turn, code, entry, now)
        if added or changed:
            mark_dirty(core, turn, [code for code in wanted if before[code] != after[code]], now)
            detail = {"file": filename[:100], "added": added, "changed": changed, "units": sorted(wanted)[:100]}
            audit.record(turn, now, person.name, "whitelist.import", unit or person.unit or "*", detail)
            turn.after_commit(lambda: core.whitelists.put(after))
        total = sum(map(len, wanted.values()))
        return views.ImportResult(
            added=added, changed=changed, unchanged=total - added - changed, warnings=tuple(problems.warnings)
        )

    result = core.store.write(work)
    core.schedule.wake()
    return result


def list_entries(core: "Core", person: Person, unit: str | None = None) -> list[views.WhitelistItem]:
    """Give the entries of a subtree, unit by unit; raises NotFound."""
    today = day(core.clock())
    return [item_of(code, entry, today) for code, entry in _entries(core, core.directory.reach(person, unit))]


def export(core: "Core", person: Person, unit: str | None, form: Literal["csv", "xlsx"]) -> bytes:
    """Give the entries of a subtree as a file that imports to the same; raises NotFound, BadInput."""
    if form not in ("csv", "xlsx"):
        raise BadInput("format: must be csv or xlsx")
    entries = _entries(core, core.directory.reach(person, unit))
    return to_csv(entries) if form == "csv" else to_xlsx(entries)


def review(core: "Core", person: Person, unit: str | None = None, days: int = 30) -> views.WhitelistReview:
    """Give what needs a look: expired yet there, expiring within days, never seen though covered, found unlisted."""
    if not 0 <= days <= MAX_REVIEW_DAYS:
        raise BadInput(f"days: must be from 0 to {MAX_REVIEW_DAYS}")
    reach, today = core.directory.reach(person, unit), day(core.clock())
    soon = today + timedelta(days=days)
    with core.store.reader() as connection:
        found = list(whitelist_review.found(core, connection, reach))
        covered = whitelist_review.covered(connection, reach)
    kept: dict[str, list[views.Finding]] = {Standing.EXPIRED: [], Standing.UNLISTED: []}
    used: set[str] = set()
    for thing in found:
        used |= thing.used
        if thing.there and thing.match.standing in kept:
            kept[thing.match.standing].append(_finding(thing, today, core))
    entries = _entries(core, reach)
    return views.WhitelistReview(
        expired_open=tuple(kept[Standing.EXPIRED]),
        expiring=tuple(
            item_of(code, entry, today) for code, entry in entries if entry.expires and today <= entry.expires <= soon
        ),
        unused=tuple(
            item_of(code, entry, today)
            for code, entry in entries
            if entry.id not in used
            and holds_on(entry, today)
            and whitelist_review.looked_at(core, covered, code, entry)
        ),
        unlisted=tuple(kept[Standing.UNLISTED]),
    )


def _finding(thing: whitelist_review.Found, today: date, core: "Core") -> views.Finding:
    entry = thing.match.entry
    owner = next((code for code in core.directory.chain(thing.unit) if entry in core.whitelists.own(code)), thing.unit)
    return views.Finding(
        unit=thing.unit,
        kind=thing.kind,
        label=thing.label,
        id=thing.id,
        first_seen=moment(thing.first_seen),
        last_confirmed=moment(thing.last_confirmed),
        entry=item_of(owner, entry, today) if entry is not None else None,
    )


def item_of(code: str, entry: WhitelistEntry, today: date) -> views.WhitelistItem:
    """Give an entry as people see it."""
    return views.WhitelistItem(
        id=entry.id,
        unit=code,
        kind=entry.kind.value,
        value=entry.value,
        transport=entry.transport.value,
        ports=entry.ports,
        owner=entry.owner,
        reason=entry.reason,
        approver=entry.approver,
        expires=entry.expires,
        standing=(Standing.LISTED if holds_on(entry, today) else Standing.EXPIRED).value,
    )


def _entries(core: "Core", reach: str) -> list[tuple[str, WhitelistEntry]]:
    units = core.directory.units
    codes = sorted(
        (code for code in core.whitelists.units() if units[code].path.startswith(reach)),
        key=lambda code: units[code].path,
    )
    return [
        (code, entry)
        for code in codes
        for entry in sorted(
            core.whitelists.own(code), key=lambda entry: (entry.kind, entry.value, entry.transport, entry.ports)
        )
    ]


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


def _add(entries: dict[str, WhitelistEntry], entry: WhitelistEntry, record: Record, problems: Problems) -> None:
    if entries.setdefault(entry.id, entry) != entry:
        problems.add(
            record.line, "value", Text(f"{entry.value} 另有不同的一行", f"{entry.value} has another row that differs")
        )


def _check_size(core: "Core", turn: "Turn", after: dict[str, dict[str, WhitelistEntry]], problems: Problems) -> None:
    """An agent's policy carries its unit's entries and those of every unit above, and has a bound."""
    limit = core.settings.whitelist_entries
    sizes: dict[str, int] = dict(turn.rows("SELECT unit, count(*) FROM whitelist GROUP BY unit"))
    sizes |= {code: len(entries) for code, entries in after.items()}
    for code in sizes:
        total = sum(sizes.get(above, 0) for above in core.directory.chain(code))
        if total > limit:
            text = Text(f"{code} 共 {total} 条,最多 {limit} 条", f"{code} would have {total} entries, at most {limit}")
            problems.add(0, "file", text)


def _store(turn: "Turn", code: str, entry: WhitelistEntry, now: float) -> None:
    turn.run(
        "INSERT INTO whitelist (id, unit, kind, value, transport, ports, owner, reason, approver, expires, added, "
        "changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, "
        "reason = excluded.reason, approver = excluded.approver, expires = excluded.expires, "
        "changed = excluded.changed",
        (
            entry.id,
            code,
            entry.kind.value,
            entry.value,
            entry.transport.value,
            entry.ports,
            entry.owner,
            entry.reason,
            entry.approver,
            entry.expires.isoformat() if entry.expires else None,
            now,
            now,
        ),
    )
