"""Whitelists of domains, hosts and ports: import, export, and the review that keeps approvals from growing old."""

from datetime import date, timedelta

from collector.answers import views
from collector.answers.said import from_to
from collector.clock import day, moment
from collector.core import Core
from collector.errors import BadInput
from collector.memory.directory import Node
from collector.memory.people import Person
from collector.memory.standing import stored_entries
from collector.registry import entries, whitelist_review
from collector.registry.whitelist_files import COLUMNS, identify, read_entry, rows_of
from collector.sheets.reading import Problems, Record
from collector.sheets.writing import Form, write_sheet
from collector.store.contract import Turn
from wire.text import Text
from wire.types import WhitelistEntry
from wire.whitelist import Standing, holds_on

MAX_REVIEW_DAYS = 3660


def import_entries(
    core: Core, person: Person, data: bytes, filename: str, unit: str | None = None
) -> views.ImportResult:
    """Add and change entries, see `entries.import_table`; an approval is ended by giving it an earlier date."""
    return entries.import_table(core, person, WHITELIST, data, filename, unit)


def list_entries(core: Core, person: Person, unit: str | None = None) -> list[views.WhitelistItem]:
    """Give the entries of a subtree, unit by unit; raises NotFound."""
    today = day(core.clock())
    return [item_of(code, entry, today) for code, entry in _entries(core, core.directory.reach(person, unit))]


def holding(core: Core, person: Person, unit: str) -> list[views.WhitelistItem]:
    """Give the entries that hold for a unit, its own and those of all above it; raises NotFound."""
    today, chain = day(core.clock()), core.directory.chain(core.directory.node(person, unit).code)
    return [item_of(code, entry, today) for code in chain for entry in core.whitelists.own(code)]


def export(core: Core, person: Person, unit: str | None, form: Form) -> bytes:
    """Give the entries of a subtree as a file that imports to the same; raises NotFound, BadInput."""
    return write_sheet(rows_of(_entries(core, core.directory.reach(person, unit))), form, "whitelist")


def review(core: Core, person: Person, unit: str | None = None, days: int = 30) -> views.WhitelistReview:
    """Give what needs a look: expired yet there, expiring within days, never seen though covered, found unlisted."""
    if not 0 <= days <= MAX_REVIEW_DAYS:
        raise BadInput(from_to("days", 0, MAX_REVIEW_DAYS))
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
    approved = _entries(core, reach)
    return views.WhitelistReview(
        expired_open=tuple(kept[Standing.EXPIRED]),
        expiring=tuple(
            item_of(code, entry, today) for code, entry in approved if entry.expires and today <= entry.expires <= soon
        ),
        unused=tuple(
            item_of(code, entry, today)
            for code, entry in approved
            if entry.id not in used
            and holds_on(entry, today)
            and whitelist_review.looked_at(core, covered, code, entry)
        ),
        unlisted=tuple(kept[Standing.UNLISTED]),
    )


def _finding(thing: whitelist_review.Found, today: date, core: Core) -> views.Finding:
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


def _entries(core: Core, reach: str) -> list[tuple[str, WhitelistEntry]]:
    return [
        (code, entry)
        for code in core.directory.within(core.whitelists.units(), reach)
        for entry in sorted(
            core.whitelists.own(code), key=lambda entry: (entry.kind, entry.value, entry.transport, entry.ports)
        )
    ]


def _check_size(core: Core, turn: Turn, after: entries.ByUnit[WhitelistEntry], problems: Problems) -> None:
    """An agent's policy carries its unit's entries and those of every unit above, and has a bound."""
    limit = core.settings.whitelist_entries
    sizes: dict[str, int] = dict(turn.rows("SELECT unit, count(*) FROM whitelist GROUP BY unit"))
    sizes |= {code: len(found) for code, found in after.items()}
    for code in sizes:
        total = sum(sizes.get(above, 0) for above in core.directory.chain(code))
        if total > limit:
            text = Text(f"{code} 共 {total} 条，最多 {limit} 条", f"{code} would have {total} entries, at most {limit}")
            problems.add(0, "file", text)


def _store(turn: Turn, unit: Node, entry: WhitelistEntry, now: float) -> None:
    turn.run(
        "INSERT INTO whitelist (id, unit, kind, value, transport, ports, owner, reason, approver, expires, added, "
        "changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, "
        "reason = excluded.reason, approver = excluded.approver, expires = excluded.expires, "
        "changed = excluded.changed",
        (
            entry.id,
            unit.code,
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


def _read(record: Record, unit: str | None, problems: Problems) -> WhitelistEntry | None:
    entry = read_entry(record, problems)
    return None if entry is None or unit is None else identify(unit, entry)


def _put(core: Core, after: entries.ByUnit[WhitelistEntry]) -> None:
    core.whitelists.put(after)


WHITELIST = entries.ListKind(
    name="whitelist",
    label="value",
    columns=COLUMNS,
    read=_read,
    check=_check_size,
    stored=lambda turn, unit: stored_entries(turn, unit.code),
    store=_store,
    put=_put,
)
