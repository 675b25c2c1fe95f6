"""What was found, held against the whitelists: which entries are used, which could have been seen and never were."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from collector.clock import day
from collector.core import Core
from collector.inventory.identity.devices import SHOWN_CARDS, card_of
from collector.inventory.lists.assets import addresses_of, last_confirmed
from collector.inventory.lists.vouched import told, vouching
from collector.judging.facts import domain_of
from collector.sightings.coverage import Area, area, from_text
from collector.store import tables
from collector.store.tables import agent, asset, evidence, section, section_detail, service, site, unit
from wire.ports import parse_ports
from wire.types import EntryKind, Transport, WhitelistEntry
from wire.whitelist import Match, normal_mac

REACHED = ("pass", "warn", "open", "seen")


@dataclass(frozen=True, slots=True)
class Found:
    """An asset, service or site: what the whitelist says of it, every entry about it, and whether it is there now."""

    kind: str
    id: str
    unit: str
    label: str
    first_seen: float
    last_confirmed: float
    match: Match
    used: frozenset[str]
    there: bool


def found(core: Core, connection: Connection, reach: str) -> Iterator[Found]:
    """Give everything of a subtree that a whitelist entry may be about."""
    yield from _assets(core, connection, reach)
    yield from _services(core, connection, reach)
    yield from _sites(core, connection, reach)


def covered(connection: Connection, reach: str) -> dict[str, list[Area]]:
    """Give, by unit, what its agents ever covered."""
    areas: dict[str, list[Area]] = {}
    for code, text in connection.execute(
        select(agent.c.unit, section_detail.c.covered)
        .join_from(
            section_detail,
            section,
            (section.c.county == section_detail.c.county) & (section.c.id == section_detail.c.section),
        )
        .join(agent, agent.c.id == section.c.agent)
        .join(unit, unit.c.code == agent.c.unit)
        .where(tables.under(reach))
    ):
        areas.setdefault(code, []).append(area(from_text(text)))
    return areas


def looked_at(core: Core, areas: dict[str, list[Area]], code: str, entry: WhitelistEntry) -> bool:
    """Tell whether some run below the entry's unit covered all that the entry is about; only then is silence a sign.

    A MAC and a domain are covered by no prefix: of those nothing is said.
    """
    if entry.kind is EntryKind.DOMAIN or normal_mac(entry.value):
        return False
    path = core.directory.units[code].path
    below = [
        one for unit, of_unit in areas.items() if core.directory.units[unit].path.startswith(path) for one in of_unit
    ]
    if entry.kind is EntryKind.HOST:
        return any(one.prefix(entry.value) for one in below)
    return any(one.all_ports(entry.value, entry.transport, parse_ports(entry.ports)) for one in below)


def _assets(core: Core, connection: Connection, reach: str) -> Iterator[Found]:
    now = core.clock()
    rows = _rows(connection, asset, told(asset, "presence", now), reach, asset.c.merged_into.is_(None))
    cards: dict[str, list[str]] = {}
    for ident, value in connection.execute(
        select(evidence.c.asset, evidence.c.value)
        .join(unit, unit.c.code == evidence.c.unit)
        .where(tables.under(reach), evidence.c.kind.in_(SHOWN_CARDS))
    ):
        cards.setdefault(ident, []).append(card_of(value))
    places = addresses_of(connection, (row.id for row in rows), {row.county for row in rows})
    confirmed = _confirmed(connection, rows)
    for row in rows:
        addresses, macs = places.get(row.id, ()), cards.get(row.id, [])
        chain = core.directory.chain(row.unit)
        yield Found(
            "asset",
            row.id,
            row.unit,
            row.name or next(iter((*addresses, *macs)), row.id),
            row.first_seen,
            confirmed.get(row.id, row.confirmed),
            core.whitelists.host(chain, addresses, macs, day(now)),
            frozenset(core.whitelists.used_by_host(chain, addresses, macs)),
            row.told == "present",
        )


def _services(core: Core, connection: Connection, reach: str) -> Iterator[Found]:
    now = core.clock()
    rows = _rows(connection, service, told(service, "state", now), reach)
    confirmed = _confirmed(connection, rows)
    for row in rows:
        chain, transport = core.directory.chain(row.unit), Transport(row.transport)
        where = f"[{row.address}]" if row.family == 6 else row.address
        yield Found(
            "service",
            row.id,
            row.unit,
            f"{where}:{row.port}/{row.transport}",
            row.first_seen,
            confirmed.get(row.id, row.confirmed),
            core.whitelists.service(chain, row.address, transport, row.port, day(now)),
            frozenset(core.whitelists.used_by_service(chain, row.address, transport, row.port)),
            row.told == "open",
        )


def _sites(core: Core, connection: Connection, reach: str) -> Iterator[Found]:
    now = core.clock()
    rows = _rows(connection, site, told(site, "outcome", now), reach)
    confirmed = _confirmed(connection, rows)
    for row in rows:
        match = core.whitelists.domain(core.directory.chain(row.unit), domain_of(row.name), day(now))
        used = frozenset((match.entry.id,)) if match.entry else frozenset[str]()
        seen = confirmed.get(row.id, row.confirmed)
        yield Found("site", row.id, row.unit, row.name, row.first_seen, seen, match, used, row.told in REACHED)


def _rows(connection: Connection, table: Any, word: Any, reach: str, *wanted: Any) -> list[Row[Any]]:
    query = (
        select(table, word.label("told"))
        .join(unit, unit.c.code == table.c.unit)
        .outerjoin(section, vouching(table))
        .where(tables.under(reach), *wanted)
        .order_by(unit.c.path, table.c.id)
    )
    return list(connection.execute(query).all())


def _confirmed(connection: Connection, rows: list[Row[Any]]) -> dict[str, float]:
    return last_confirmed(connection, [row.id for row in rows], {row.county for row in rows})
