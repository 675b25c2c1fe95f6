"""Sites as people see them."""

from sqlalchemy import select

from collector.answers import views
from collector.clock import moment
from collector.core import Core
from collector.inventory.lists.assets import last_confirmed
from collector.inventory.lists.vouched import told, vouching
from collector.memory.people import Person
from collector.store import tables
from collector.store.tables import section, site, unit


def list_sites(core: Core, person: Person, under: str | None = None) -> list[views.Site]:
    """Give the sites of a subtree by unit and name; raises NotFound."""
    now = core.clock()
    query = (
        select(
            site.c.county,
            site.c.id,
            site.c.unit,
            site.c.name,
            site.c.confirmed,
            *(told(site, word, now).label(word) for word in ("ipv4", "ipv6", "outcome")),
        )
        .join(unit, unit.c.code == site.c.unit)
        .outerjoin(section, vouching(site))
        .where(tables.under(core.directory.reach(person, under)))
        .order_by(unit.c.path, site.c.name)
    )
    with core.store.reader() as connection:
        rows = connection.execute(query).all()
        confirmed = last_confirmed(connection, [row.id for row in rows], {row.county for row in rows})
    return [
        views.Site(
            unit=row.unit,
            name=row.name,
            ipv4=row.ipv4,
            ipv6=row.ipv6,
            outcome=row.outcome,
            last_confirmed=moment(confirmed.get(row.id, row.confirmed)),
        )
        for row in rows
    ]
