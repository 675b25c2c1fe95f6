"""Measurements, kept as they came."""

from sqlalchemy import select

from collector.answers import views
from collector.answers.said import from_to
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput
from collector.memory.people import Person
from collector.sightings.samples import read_samples
from collector.store import tables
from collector.store.tables import measurement

MAX_LIMIT = 10_000


def list_measurements(
    core: Core,
    person: Person,
    unit: str | None = None,
    probe: str = "",
    since: float = 0.0,
    limit: int = 1000,
) -> list[views.Measurement]:
    """Give samples of a subtree, newest first; raises NotFound, BadInput."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInput(from_to("limit", 1, MAX_LIMIT))
    query = (
        select(measurement)
        .join(tables.unit, tables.unit.c.code == measurement.c.unit)
        .where(tables.under(core.directory.reach(person, unit)), measurement.c.time >= since)
        .order_by(measurement.c.time.desc(), measurement.c.id.desc())
        .limit(limit)
    )
    if probe:
        query = query.where(measurement.c.probe == probe)
    with core.store.reader() as connection:
        rows = connection.execute(query).all()
    return [
        views.Measurement(
            time=moment(sample.time),
            unit=row.unit,
            agent=row.agent,
            probe=row.probe,
            method=sample.method,
            target=sample.target,
            outcome=sample.outcome,
            values=dict(sample.values),
        )
        for row in rows
        for sample in read_samples(row.samples)
    ][:limit]
