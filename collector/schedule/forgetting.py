"""Walks through the inventory once a day, a piece at a time, and has forgotten what was not seen for long."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row, TextClause, text

from collector.core import Core
from collector.inventory.keeping.forgetting import Forgetting
from collector.judging.judge import bench
from collector.store.contract import Turn
from rules.facts import SubjectKind
from wire.types import SectionKind

DAY = 86_400.0
PAGE = 1000
"""Rows that are read at a time."""
CHUNK = 50
"""Assets looked at in one piece of work, so that reports wait for a short time only."""
PAGES = 50
"""Pages with something to forget in one round; the next one goes on from there."""
LOOKS = 400
"""Sections, units and further pages in one round, so that judging waits for a short time only."""

Page = tuple[str, list[str]]

_OLD = text(
    "SELECT s.key, coalesce(v.asset, s.subject) AS asset FROM sighting s LEFT JOIN service v ON v.county = s.county "
    "AND v.id = s.subject WHERE s.county = :county AND s.section = :section AND s.key > :after AND s.key < 't' "
    "AND (:all = 1 OR s.confirmed < :until AND (s.missed_from <> 0 "
    "OR s.state NOT IN ('present', 'open', 'open_filtered'))) "
    "ORDER BY s.key LIMIT :page"
)
"""Hosts and services that one section did not see for long: their keys begin with h and s."""
_BARE = text(
    "SELECT id FROM asset a WHERE county = :county AND unit = :unit AND id > :after AND merged_into IS NULL "
    "AND confirmed < :until AND NOT EXISTS (SELECT 1 FROM sighting s WHERE s.county = a.county AND s.subject = a.id) "
    "ORDER BY id LIMIT :page"
)
"""Devices that lost every address to others."""
_OLD_SERVICES = (
    "DELETE FROM service WHERE county = ? AND id IN (SELECT v.id FROM service v WHERE v.county = ? AND v.confirmed < ? "
    "AND NOT EXISTS (SELECT 1 FROM sighting s WHERE s.county = v.county AND s.subject = v.id) "
    "AND NOT EXISTS (SELECT 1 FROM change c WHERE c.county = v.county AND c.subject = v.id) LIMIT 1000)"
)
_OLD_ASSETS = (
    "DELETE FROM asset WHERE county = ? AND id IN (SELECT a.id FROM asset a WHERE a.county = ? AND a.confirmed < ? "
    "AND a.merged_into = '' AND NOT EXISTS (SELECT 1 FROM change c WHERE c.county = a.county AND c.subject = a.id) "
    "LIMIT 1000)"
)
"""Rows that stayed for the sake of a history which is over by now."""


class Forgetter:
    """Goes on where it stopped; the schedule calls `round` again and again."""

    def __init__(self, core: Core) -> None:
        """Begin with the first round."""
        self._core = core
        self._began = float("-inf")
        self._pages: Iterator[Page] = iter(())
        self._looked: Mapping[str, float] = {}

    def round(self, now: float) -> None:
        """Look at some pages, from the start once a day; returns when what was forgotten is durable."""
        self._looked = _looked(self._core)
        pages = looks = 0
        while pages < PAGES and looks < LOOKS:
            page = next(self._pages, None)
            if page is None:
                if now - self._began < DAY:
                    return
                self._began, self._pages = now, self._walk(now)
                continue
            county, assets = page
            pages, looks = pages + bool(assets), looks + 1
            for start in range(0, len(assets), CHUNK):
                self._core.store.write(partial(self._look, county, assets[start : start + CHUNK], now))

    def _walk(self, now: float) -> Iterator[Page]:
        core, age = self._core, self._core.settings.forget_days * DAY
        for state in core.sections.states():
            looked = self._looked.get(state.agent)
            if state.kind == SectionKind.STATE and state.confirmed is not None and looked is not None:
                until = looked - age
                over = not state.fresh(now) and state.confirmed <= until
                values = {"county": state.county, "section": state.id, "until": until, "all": int(over)}
                for rows in self._read(_OLD, values, "g"):
                    yield state.county, list(dict.fromkeys(str(row.asset) for row in rows))
        for unit in list(core.directory.units.values()):
            values = {"county": unit.county, "unit": unit.code, "until": now - age}
            for rows in self._read(_BARE, values, ""):
                yield unit.county, [str(row.id) for row in rows]
        for county in sorted({unit.county for unit in core.directory.units.values()}):
            core.store.write(partial(_remove, county, now - age))

    def _read(self, query: TextClause, values: dict[str, object], after: str) -> Iterator[Sequence[Row[Any]]]:
        while True:
            with self._core.store.reader() as connection:
                rows = connection.execute(query, {**values, "after": after, "page": PAGE}).all()
            yield rows
            if len(rows) < PAGE:
                return
            after = str(rows[-1][0])

    def _look(self, county: str, assets: list[str], now: float, turn: Turn) -> None:
        core = self._core
        with core.sections.work():
            forgetting = Forgetting(
                turn, core.sections, self._named, self._looked, county, core.settings.forget_days * DAY, now
            )
            for asset in assets:
                forgetting.look(asset)
            forgetting.finish()
            court = bench(core, turn, now)
            for ident in sorted(forgetting.assets):
                court.judge(SubjectKind.ASSET, county, ident)
            for ident in sorted(forgetting.gone):
                for kind in (SubjectKind.ASSET, SubjectKind.SERVICE):
                    court.life.forget(county, kind.value, ident)
            court.finish()

    def _named(self, unit: str, what: str) -> bool:
        return self._core.whitelists.names(self._core.directory.chain(unit), what)


def _looked(core: Core) -> dict[str, float]:
    """Give until when each agent went on looking; for one that was revoked, the others of its unit do."""
    found: dict[str, float] = {}
    of_unit: dict[str, float] = {}
    known = dict(core.directory.agents)
    for state in core.sections.states():
        # One that is just being made may have sections already.
        if state.confirmed is not None and state.agent in known:
            unit = known[state.agent].identity.unit
            found[state.agent] = max(found.get(state.agent, 0.0), state.confirmed)
            of_unit[unit] = max(of_unit.get(unit, 0.0), state.confirmed)
    revoked = [agent for agent in found if known[agent].revoked is not None]
    return found | {agent: of_unit[known[agent].identity.unit] for agent in revoked}


def _remove(county: str, until: float, turn: Turn) -> None:
    for sql in (_OLD_SERVICES, _OLD_ASSETS):  # a service goes before its asset
        turn.run(sql, (county, county, until))
