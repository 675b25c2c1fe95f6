"""Numbers of agents, assets, services and alerts by state, for metrics."""

import threading
import time
from collections.abc import Iterable, Mapping

from sqlalchemy import func, select

from collector.alerts.life import STATES
from collector.answers import views
from collector.core import Core
from collector.inventory.exposure.exposed import by_unit
from collector.inventory.keeping.subjects import PORT_STATES, PRESENCE
from collector.inventory.lists.vouched import told, vouching
from collector.inventory.room import fullness
from collector.ipv6.reports import gauges
from collector.registry import scrapes
from collector.registry.agents import AGENT_STATES, state_of
from collector.store import tables
from rules.model import Colour

KEEP = 15.0
"""Seconds for which counted numbers are given again: a scrape must not cost a walk through all services each time."""
KEEP_IPV6 = 60.0
"""Levels change over days, and counting them walks through the whole register."""


class Stock:
    """Counts, and remembers the numbers for a short time."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._lock = threading.Lock()
        self._counted: tuple[float, views.Counts] | None = None
        self._ipv6: tuple[float, dict[tuple[str, str], int]] | None = None

    def counts(self, core: Core) -> views.Counts:
        """Give the numbers, with every known state even where nothing is in it."""
        with self._lock:
            now = time.monotonic()
            if self._counted is None or now - self._counted[0] > KEEP:
                self._counted = now, _count(core, self._ipv6_counts(core, now))
            return self._counted[1]

    def _ipv6_counts(self, core: Core, now: float) -> dict[tuple[str, str], int]:
        if self._ipv6 is None or now - self._ipv6[0] > KEEP_IPV6:
            with core.store.reader() as connection:
                self._ipv6 = now, gauges.by_state(core, connection, core.clock())
        return self._ipv6[1]


def _count(core: Core, ipv6: dict[tuple[str, str], int]) -> views.Counts:
    now, records = core.clock(), list(core.directory.agents.values())
    heard = {record.identity.id: core.sections.agents().get(record.identity.id) for record in records}
    states = [
        state_of(core, record, state.received if (state := heard[record.identity.id]) else None, now)
        for record in records
    ]
    with core.store.reader() as connection:
        presence, service = told(tables.asset, "presence", now), told(tables.service, "state", now)
        assets = connection.execute(
            select(presence, func.count())
            .join_from(tables.asset, tables.section, vouching(tables.asset))
            .where(tables.asset.c.merged_into.is_(None))
            .group_by(presence)
        ).all()
        services = connection.execute(
            select(service, func.count())
            .join_from(tables.service, tables.section, vouching(tables.service))
            .group_by(service)
        ).all()
        exposed = by_unit(core, connection, now)
        alerts = connection.execute(
            select(tables.alert.c.state, tables.alert.c.colour, func.count()).group_by(
                tables.alert.c.state, tables.alert.c.colour
            )
        ).all()
    return views.Counts(
        agents={state: states.count(state) for state in AGENT_STATES},
        assets=_filled(PRESENCE, dict(assets)),
        services=_filled(PORT_STATES, dict(services)),
        exposed=exposed,
        alerts={(state, colour.value): 0 for state in STATES for colour in Colour}
        | {(state, colour): number for state, colour, number in alerts},
        ipv6=ipv6,
        scraped={
            state: sum(scrapes.verdict(core, record).state == state for record in records if record.revoked is None)
            for state in scrapes.STATES
        },
        fullest=max(
            (fullness(core.sections, core.settings, record.identity.id, now) for record in records), default=0.0
        ),
        free_bytes=core.store.free(),
        reserve_bytes=core.settings.room.free_bytes,
        store_bytes=core.store.size(),
        rules=len(core.rules.all),
        oldest_report=min(
            (
                state.received
                for record in records
                if record.revoked is None and (state := heard[record.identity.id]) is not None
            ),
            default=None,
        ),
    )


def _filled(words: Iterable[str], found: Mapping[str, int]) -> dict[str, int]:
    return dict.fromkeys(words, 0) | dict(found)
