"""Assets as people see them: pages of a subtree, and one with its history."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, case, select, tuple_

from collector.answers import views
from collector.answers.cursors import read_cursor, write_cursor
from collector.answers.said import from_to, out_of_reach
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput, NotFound
from collector.inventory.exposure.exposed import told_exposure, vouching_sections
from collector.inventory.identity.devices import FORMER_MAC, SHOWN_CARDS, VIRTUAL_MAC, card_of
from collector.inventory.identity.weights import ENOUGH, WEIGHTS
from collector.inventory.keeping.subjects import SEEN
from collector.inventory.lists.search import conditions
from collector.inventory.lists.vouched import told, vouching
from collector.memory.people import Person
from collector.memory.sections import SectionState
from collector.sightings.addresses import current_addresses
from collector.sightings.picture import HOST, place
from collector.store import tables
from collector.store.tables import asset, change, evidence, section, service, sighting, unit
from rules.facts import UNKNOWN
from wire.text import Text

KEY = (asset.c.county, asset.c.unit, asset.c.id)
MAX_CHANGES = 500
BATCH = 10_000
"""Ids in one look-up; SQLite takes 32,766 parameters in a statement."""


def list_assets(
    core: Core, person: Person, under: str | None = None, q: str = "", limit: int = 100, cursor: str | None = None
) -> views.AssetPage:
    """Give a page of assets that match a search, with their services; raises NotFound, BadInput."""
    most = core.settings.page_limit
    if not 1 <= limit <= most:
        raise BadInput(from_to("limit", 1, most))
    now = core.clock()
    query = _assets(now).where(
        tables.under(core.directory.reach(person, under)),
        asset.c.merged_into.is_(None),
        *conditions(q, now, told_exposure(vouching_sections(core, now)), core.makers.now),
    )
    if cursor:
        query = query.where(tuple_(*KEY) > tuple_(*read_cursor(cursor, 3)))
    with core.store.reader() as connection:
        rows = connection.execute(query.order_by(*KEY).limit(limit + 1)).all()
        page = rows[:limit]
        items = tuple(views.Asset(**fields) for fields in _filled(core, connection, page, now))
    last = page[-1] if len(rows) > limit else None
    return views.AssetPage(items=items, cursor=write_cursor(last.county, last.unit, last.id) if last else None)


def show_asset(core: Core, person: Person, asset_id: str) -> views.AssetDetail:
    """Give one asset with its history, newest first, and the evidence of its identity; raises NotFound."""
    now, counties = core.clock(), core.directory.counties(person.path)
    with core.store.reader() as connection:
        row = _one(connection, person, counties, asset_id, now)
        while row is not None and row.merged_into is not None:
            row = _one(connection, person, counties, row.merged_into, now)
        if row is None:
            raise NotFound(out_of_reach(Text("资产", "asset"), asset_id, person.name))
        (fields,) = _filled(core, connection, [row], now)
        return views.AssetDetail(
            **fields, changes=tuple(_changes(connection, row)), evidence=tuple(_evidence(connection, row))
        )


def _changes(connection: Connection, row: Row[Any]) -> Iterator[views.Change]:
    services = {
        ident: f"{where} {transport}/{port}"
        for ident, where, transport, port in connection.execute(
            select(service.c.id, service.c.address, service.c.transport, service.c.port).where(
                service.c.county == row.county, service.c.asset == row.id
            )
        )
    }
    for found in connection.execute(
        select(change)
        .where(change.c.county == row.county, change.c.subject.in_([row.id, *services]))
        .order_by(change.c.time.desc(), change.c.id.desc())
        .limit(MAX_CHANGES)
    ):
        what = f"{services[found.subject]} {found.what}" if found.subject in services else found.what
        yield views.Change(time=moment(found.time), what=what, before=found.before, after=found.after)


def _evidence(connection: Connection, row: Row[Any]) -> Iterator[views.Evidence]:
    for found in connection.execute(
        select(evidence, section.c.name, section.c.agent, section.c.confirmed)
        .outerjoin(section, (section.c.county == evidence.c.county) & (section.c.id == evidence.c.section))
        .where(evidence.c.county == row.county, evidence.c.asset == row.id)
        .order_by(evidence.c.kind, evidence.c.value)
    ):
        yield views.Evidence(
            kind=found.kind,
            value=found.value,
            weight=0.0 if found.kind in (FORMER_MAC, VIRTUAL_MAC) else WEIGHTS.get(found.kind, ENOUGH),
            first_seen=moment(found.first_seen),
            last_confirmed=moment(found.confirmed),
            source=f"{found.agent}:{found.name}",
        )


def last_confirmed(connection: Connection, subjects: Iterable[str], counties: Iterable[str]) -> dict[str, float]:
    """Give when each subject was seen last: a sighting that stands was confirmed by the last run of its section."""
    found: dict[str, float] = {}
    live = (sighting.c.missed_from == 0) & sighting.c.state.in_(SEEN)
    seen = case((live, section.c.confirmed), else_=sighting.c.confirmed)
    for part in _batches(subjects):
        for ident, time in connection.execute(
            select(sighting.c.subject, seen)
            .join(section, (section.c.county == sighting.c.county) & (section.c.id == sighting.c.section))
            .where(sighting.c.county.in_(set(counties)), sighting.c.subject.in_(part))
        ):
            found[ident] = max(found.get(ident, 0.0), time)
    return found


def addresses_of(connection: Connection, assets: Iterable[str], counties: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the addresses at which each asset is seen now, or was seen last."""
    hosts: dict[str, list[tuple[str, str, int]]] = {}
    wanted = set(counties)
    for part in _batches(assets):
        for ident, key, state, missed in connection.execute(
            select(sighting.c.subject, sighting.c.key, sighting.c.state, sighting.c.missed_from).where(
                sighting.c.county.in_(wanted), sighting.c.subject.in_(part), sighting.c.key.startswith(f"{HOST}|")
            )
        ):
            hosts.setdefault(ident, []).append((place(key).name, state, missed))
    return {ident: current_addresses(places) for ident, places in hosts.items()}


def _assets(now: float) -> Select[Any]:
    return (
        select(asset, unit.c.name.label("unit_name"), told(asset, "presence", now).label("told"))
        .join(unit, unit.c.code == asset.c.unit)
        .outerjoin(section, vouching(asset))
    )


def _one(connection: Connection, person: Person, counties: tuple[str, ...], ident: str, now: float) -> Row[Any] | None:
    query = _assets(now).where(asset.c.county.in_(counties), asset.c.id == ident, tables.under(person.path))
    return connection.execute(query).one_or_none()


def _filled(core: Core, connection: Connection, rows: Iterable[Row[Any]], now: float) -> list[dict[str, Any]]:
    """Give the fields of each asset, with services, addresses and MACs."""
    known = {row.id: row for row in rows}
    counties = {row.county for row in known.values()}
    of_asset: dict[str, list[Row[Any]]] = {}
    macs: dict[str, list[str]] = {}
    for part in _batches(known):
        for found in connection.execute(
            select(service, told(service, "state", now).label("told"))
            .outerjoin(section, vouching(service))
            .where(service.c.county.in_(counties), service.c.asset.in_(part))
            .order_by(service.c.family, service.c.address, service.c.transport, service.c.port)
        ):
            of_asset.setdefault(found.asset, []).append(found)
        for ident, value in connection.execute(
            select(evidence.c.asset, evidence.c.value)
            .where(
                evidence.c.county.in_(counties),
                evidence.c.asset.in_(part),
                evidence.c.kind.in_(SHOWN_CARDS),
            )
            .order_by(evidence.c.kind.desc(), evidence.c.value)
        ):
            macs.setdefault(ident, []).append(card_of(value))
    addresses = addresses_of(connection, known, counties)
    subjects = [*known, *(found.id for services in of_asset.values() for found in services)]
    confirmed = last_confirmed(connection, subjects, counties)
    looked, makers = vouching_sections(core, now), core.makers.now()
    return [
        {
            "id": ident,
            "unit": row.unit,
            "unit_name": row.unit_name,
            "addresses": addresses.get(ident, ()),
            "macs": tuple(dict.fromkeys(macs.get(ident, ()))),
            "makers": tuple(views.Maker(**maker.plain()) for maker in makers.of_all(macs.get(ident, ()))),
            "name": row.name,
            "presence": row.told,
            "standing": row.standing,
            "first_seen": moment(row.first_seen),
            "last_confirmed": moment(confirmed.get(ident, row.confirmed)),
            "services": tuple(_service(core, found, confirmed, looked) for found in of_asset.get(ident, ())),
        }
        for ident, row in known.items()
    ]


def _service(
    core: Core, found: Row[Any], confirmed: Mapping[str, float], looked: Mapping[int, SectionState]
) -> views.Service:
    by = looked.get(found.exposed_by) if found.exposure != UNKNOWN else None
    return views.Service(
        address=found.address,
        transport=found.transport,
        port=found.port,
        family=found.family,
        state=found.told,
        standing=found.standing,
        product=found.product,
        exposure=found.exposure if by else UNKNOWN,
        exposure_by=core.directory.agents[by.agent].identity.name if by else "",
        exposure_confirmed=moment(by.confirmed if by else None),
        first_seen=moment(found.first_seen),
        last_confirmed=moment(confirmed.get(found.id, found.confirmed)),
        changed=moment(found.changed),
    )


def _batches(idents: Iterable[str]) -> Iterable[list[str]]:
    waiting = list(idents)
    return (waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH))
