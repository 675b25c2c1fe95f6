"""Exposures as the store keeps them: for lists, searches and metrics, and which services may have another one now."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from collector.core import Core
from collector.inventory.exposure.reach import Port
from collector.memory.sections import SectionState
from collector.store import tables
from collector.store.tables import service, unit
from rules.facts import INTERNET, UNKNOWN

CHUNK = 200
"""Services in one piece of work, so that reports wait for a short time only."""


class Exposed(NamedTuple):
    """An open service and its exposure as it is kept: the place and the section that this rests on."""

    county: str
    id: str
    known: tuple[str, int | None]
    port: Port


def vouching_sections(core: Core, now: float) -> dict[int, SectionState]:
    """Give the sections of declared vantage whose word still counts, by number."""
    agents = (agent for of_unit in core.directory.vantages.values() for those in of_unit.values() for agent in those)
    return {state.id: state for agent in agents for state in core.sections.of_agent(agent) if state.fresh(now)}


def told_exposure(vouching: Iterable[int]) -> ColumnElement[str]:
    """Give the exposure of a service as people see it: unknown unless the section that it rests on still vouches."""
    return case((service.c.exposed_by.in_(list(vouching)), service.c.exposure), else_=UNKNOWN)


def by_unit(core: Core, connection: Connection, now: float) -> dict[str, int]:
    """Count the services exposed to the internet, by unit; a unit of which nobody knows is not there."""
    told = told_exposure(vouching_sections(core, now))
    exposed = func.sum(case((told == INTERNET, 1), else_=0))
    known = and_(service.c.exposure != UNKNOWN, told != UNKNOWN)
    rows = connection.execute(select(service.c.unit, exposed).where(known).group_by(service.c.unit))
    return {code: int(number) for code, number in rows}


def opened(core: Core, path: str) -> Iterator[list[Exposed]]:
    """Give the open services of a subtree, some at a time; no more of them are held at once, however many there are."""
    for county in sorted(core.directory.counties(path)):
        query = (
            select(service)
            .join(unit, unit.c.code == service.c.unit)
            .where(tables.under(path), service.c.county == county, service.c.state == "open")
            .order_by(service.c.id)
            .limit(CHUNK)
        )
        after = ""
        while True:
            with core.store.reader() as connection:
                rows = connection.execute(query.where(service.c.id > after)).all()
            if not rows:
                break
            yield [
                Exposed(
                    row.county,
                    row.id,
                    (row.exposure, row.exposed_by),
                    Port(row.unit, row.address, row.transport, row.port),
                )
                for row in rows
            ]
            after = rows[-1].id
