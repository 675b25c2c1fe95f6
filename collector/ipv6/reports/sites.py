"""Websites, systems and networks with their levels, a page at a time; and the steps by which one came there."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, select, tuple_

from collector.alerts.life import STANDING
from collector.answers.cursors import read_cursor, write_cursor
from collector.answers.said import one_of
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput, NotFound
from collector.ipv6.levels import SYSTEM, UNIT
from collector.ipv6.reports import views
from collector.ipv6.reports.lights import colours_within, located
from collector.ipv6.reports.survey import UNKNOWN_LIGHT, read_verdicts, worst_colour
from collector.ipv6.results import NETWORK_PART, SITE
from collector.memory.people import Person
from collector.memory.registered import Entry, Kind, spelling
from collector.store import tables
from collector.store.tables import alert, ipv6_history, ipv6_level, site
from probes.kit.ipv6.ladder import NETWORK, REQUIRED, UNCLEAR
from probes.kit.ipv6.model import Verdict
from rules.facts import SubjectKind
from wire.text import Text

BATCH = 1000
MAX_STEPS = 500
LEVEL_KINDS: dict[str, str] = {
    Kind.WEBSITE: SITE,
    Kind.SYSTEM: SITE,
    Kind.NETWORK: NETWORK_PART,
}
"""Under which kind the level of a registered entry is kept: a row of kind system is one address of that system."""


def list_sites(
    core: Core,
    person: Person,
    under: str | None = None,
    kind: str = "",
    limit: int = 100,
    cursor: str | None = None,
    *,
    below: int | None = None,
) -> views.Ipv6SitePage:
    """Give a page of what is registered, with levels; `below` leaves out what has certainly come that far.

    Raises NotFound, BadInput.
    """
    if kind and kind not in set(Kind):
        raise BadInput(one_of("kind", Kind))
    reach = core.directory.reach(person, under)
    after = read_cursor(cursor, 3) if cursor else ("", "", "")
    found: list[tuple[tuple[str, str, str], views.Ipv6Site]] = []
    with core.store.reader() as connection:
        for code in core.directory.within(core.register.units(), reach):
            path = core.directory.units[code].path
            if path < after[0]:
                continue
            entries = [
                entry
                for entry in core.register.own(code)
                if (not kind or entry.kind == kind) and (path, entry.kind.value, entry.key) > after
            ]
            for entry, item in zip(entries, _of_unit(core, connection, code, entries), strict=True):
                if below is None or item.confirmed < below:
                    found.append(((path, entry.kind.value, entry.key), item))
            if len(found) > limit:
                break
    page = found[:limit]
    return views.Ipv6SitePage(
        items=tuple(item for _, item in page), cursor=write_cursor(*page[-1][0]) if len(found) > limit else None
    )


def list_unregistered(
    core: Core, person: Person, under: str | None = None, limit: int = 100, cursor: str | None = None
) -> views.Ipv6SitePage:
    """Give a page of the websites that were found and that nobody registered; raises NotFound, BadInput."""
    reach = core.directory.reach(person, under)
    after = read_cursor(cursor, 2) if cursor else None
    with core.store.reader() as connection:
        rows = list(islice(_strangers(core, connection, reach, after), limit + 1))
        items = [
            item
            for code, part in groupby(rows[:limit], key=itemgetter(0))
            for item in _of_unit(
                core,
                connection,
                code,
                [Entry(code, Kind.WEBSITE, spelling(name), name, "", "", None, "") for _, name in part],
                registered=False,
            )
        ]
    last = rows[limit - 1] if len(rows) > limit else None
    return views.Ipv6SitePage(
        items=tuple(items),
        cursor=write_cursor(core.directory.units[last[0]].path, last[1]) if last else None,
    )


def count_unregistered(core: Core, connection: Connection, reach: str) -> int:
    """Count the websites of a subtree that nobody registered."""
    return sum(1 for _ in _strangers(core, connection, reach, None))


def history(core: Core, person: Person, unit: str, kind: str, address: str = "") -> views.Ipv6History:
    """Give the steps of a website, system (by name), network or unit, the newest first; raises NotFound, BadInput."""
    kinds = {"website": SITE, "system": SYSTEM, "network": NETWORK_PART, "unit": UNIT}
    if kind not in kinds:
        raise BadInput(one_of("kind", kinds))
    node = core.directory.node(person, unit)
    key = spelling(address) if kind == "website" else address
    column = ipv6_history.c
    query = (
        select(column.time, column.confirmed, column.possible)
        .where(column.county == node.county, column.unit == unit, column.kind == kinds[kind], column.key == key)
        .order_by(column.time.desc(), column.id.desc())
        .limit(MAX_STEPS)
    )
    with core.store.reader() as connection:
        rows = connection.execute(query).all()
    if not rows and kind == "website" and not core.register.holds_site(unit, key):
        raise NotFound(Text(f"单位 {unit} 没有网站 {address!r}", f"no website {address!r} of unit {unit}"))
    return views.Ipv6History(
        items=tuple(views.Ipv6Step(time=moment(time), confirmed=low, possible=high) for time, low, high in rows)
    )


def is_registered(core: Core, unit: str, key: str) -> bool:
    """Tell whether a website is registered by the unit that found it, or by one above."""
    return any(core.register.holds_site(code, key) for code in core.directory.chain(unit))


def _strangers(
    core: Core, connection: Connection, reach: str, after: tuple[str, ...] | None
) -> Iterator[tuple[str, str]]:
    key = (tables.unit.c.path, site.c.name)
    query = select(site.c.unit, *key).join(tables.unit, tables.unit.c.code == site.c.unit).where(tables.under(reach))
    last = after
    while True:
        part = query if last is None else query.where(tuple_(*key) > tuple_(*last))
        rows = connection.execute(part.order_by(*key).limit(BATCH)).all()
        for unit, _, name in rows:
            if not is_registered(core, unit, spelling(name)):
                yield unit, name
        if len(rows) < BATCH:
            return
        last = (rows[-1].path, rows[-1].name)


def _of_unit(
    core: Core, connection: Connection, unit: str, entries: Sequence[Entry], *, registered: bool = True
) -> list[views.Ipv6Site]:
    """Give entries of one unit with their levels and lights; both are read once."""
    if not entries:
        return []
    node, column = core.directory.units[unit], ipv6_level.c
    levels = {
        (row.kind, row.key): row
        for row in connection.execute(select(ipv6_level).where(column.county == node.county, column.unit == unit))
    }
    lights: dict[str, list[str]] = {}
    for colour, label in connection.execute(
        select(alert.c.colour, alert.c.label).where(
            alert.c.county == node.county,
            alert.c.kind == SubjectKind.SITE.value,
            alert.c.unit == unit,
            alert.c.state.in_(STANDING),
        )
    ):
        lights.setdefault(spelling(label), []).append(colour)
    where = located(core, connection, node) if any(entry.kind is Kind.NETWORK for entry in entries) else []
    return [
        _site(
            entry,
            node.name,
            levels.get((LEVEL_KINDS[entry.kind], entry.key)),
            _network_light(colours_within(where, entry.key))
            if entry.kind is Kind.NETWORK
            else worst_colour(lights.get(entry.key, ())),
            registered=registered,
        )
        for entry in entries
    ]


def _site(entry: Entry, unit_name: str, row: Row[Any] | None, light: str, *, registered: bool) -> views.Ipv6Site:
    verdicts = read_verdicts(row.verdicts) if row else {}
    ladder = NETWORK if entry.kind is Kind.NETWORK else REQUIRED
    wanted = [name for names in ladder.values() for name in names]
    return views.Ipv6Site(
        unit=entry.unit,
        unit_name=unit_name,
        kind=entry.kind.value,
        address=entry.address,
        name=entry.name,
        system=entry.system,
        mlps_level=entry.mlps_level,
        registered=registered,
        confirmed=row.confirmed if row else int(UNCLEAR.confirmed),
        possible=row.possible if row else int(UNCLEAR.possible),
        since=moment(row.since) if row else None,
        failed=tuple(name for name in wanted if verdicts.get(name) is Verdict.FAIL),
        unclear=tuple(name for name in wanted if name not in verdicts),
        light=light,
    )


def _network_light(colours: Sequence[str]) -> str:
    """Give the worst colour; unknown without any, since not of every alert is known where it lies."""
    return worst_colour(colours) if colours else UNKNOWN_LIGHT
