"""Lists that units keep and people hand in as tables, whitelists and the register: all rows of a table, or none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from collector.answers import views
from collector.core import Core
from collector.judging.judge import mark_dirty
from collector.memory.directory import Node, require
from collector.memory.people import Person, Role
from collector.sheets.reading import Column, Problems, Record, read_sheet
from collector.store import audit
from collector.store.contract import Turn
from wire.text import Text


class _Entry(Protocol):
    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=_Entry)
ByUnit = Mapping[str, Mapping[str, E]]
"""Entries by the code of the unit that keeps them and by their id."""


@dataclass(frozen=True, slots=True)
class ListKind(Generic[E]):
    """What one kind of list adds to the common way.

    `name` is its own in the audit log, `label` the column by which people know an entry. `read` adds the faults of a
    row to the problems and gives None when there are any, or no unit; `check` adds what is wrong with the lists as they
    would be afterwards; `put` is called after the commit.
    """

    name: str
    label: str
    columns: Sequence[Column]
    read: Callable[[Record, str | None, Problems], E | None]
    check: Callable[[Core, Turn, ByUnit[E], Problems], None]
    stored: Callable[[Turn, Node], list[E]]
    store: Callable[[Turn, Node, E, float], None]
    put: Callable[[Core, ByUnit[E]], None]


def import_table(
    core: Core, person: Person, kind: ListKind[E], data: bytes, filename: str, unit: str | None
) -> views.ImportResult:
    """Add and change entries from CSV, TSV or XLSX; raises BadFile with every fault, NotFound and Forbidden.

    A row belongs to the unit it names, else to `unit`, else to the person's own. Entries that the file does not name
    stay.
    """
    require(person, Role.OPERATOR)
    reach = core.directory.reach(person, unit)
    problems, settings = Problems(filename), core.settings
    records = read_sheet(
        data, kind.columns, problems, filename=filename, max_bytes=settings.import_bytes, max_rows=settings.import_rows
    )
    wanted: dict[str, dict[str, E]] = {}
    for record in records:
        owner = _unit_of(core, record, unit or person.unit, reach, problems)
        entry = kind.read(record, owner, problems)
        if entry is None or owner is None:
            continue
        if wanted.setdefault(owner, {}).setdefault(entry.id, entry) != entry:
            known_as = getattr(entry, kind.label)
            text = Text(f"{known_as} 另有不同的一行", f"{known_as} has another row that differs")
            problems.add(record.line, kind.label, text)
    problems.check()
    return adopt(core, person, kind, wanted, problems, unit, filename)


def adopt(
    core: Core,
    person: Person,
    kind: ListKind[E],
    wanted: ByUnit[E],
    problems: Problems,
    unit: str | None,
    source: str,
) -> views.ImportResult:
    """Store entries that were read, in one transaction with its audit entry; raises BadFile and then changes nothing.

    All units that hold other entries afterwards are judged anew.
    """
    now = core.clock()

    def work(turn: Turn) -> views.ImportResult:
        units = core.directory.units
        before = {code: {entry.id: entry for entry in kind.stored(turn, units[code])} for code in wanted}
        after = {code: {**before[code], **entries} for code, entries in wanted.items()}
        kind.check(core, turn, after, problems)
        problems.check()
        added = changed = 0
        for code, entries in wanted.items():
            for entry in entries.values():
                old = before[code].get(entry.id)
                added, changed = added + (old is None), changed + (old is not None and old != entry)
                if old != entry:
                    kind.store(turn, units[code], entry, now)
        if added or changed:
            mark_dirty(core, turn, [code for code in wanted if before[code] != after[code]], now)
            detail = {"file": source[:100], "added": added, "changed": changed, "units": sorted(wanted)[:100]}
            audit.record(turn, now, person.name, f"{kind.name}.import", unit or person.unit or "*", detail)
            turn.after_commit(lambda: kind.put(core, after))
        total = sum(map(len, wanted.values()))
        warnings = views.words_of(problems.warnings)
        return views.ImportResult(added=added, changed=changed, unchanged=total - added - changed, warnings=warnings)

    result = core.store.write(work)
    core.due.wake()
    return result


def _unit_of(core: Core, record: Record, default: str | None, reach: str, problems: Problems) -> str | None:
    code = record.values.get("unit", "") or default
    if not code:
        problems.add(record.line, "unit", Text("必须填写单位编码", "must name a unit"))
        return None
    node = core.directory.units.get(code)
    if node is None or not node.path.startswith(reach):
        problems.add(record.line, "unit", Text(f"单位 {code} 不在范围内", f"unit {code} is not within reach"))
        return None
    return code
