"""What only time changes: silence, expiry at midnight, hold times, word that grew stale, and what grew too old."""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial

from sqlalchemy import select, text

from collector.alerts.life import OPEN
from collector.clock import day
from collector.core import Core
from collector.errors import Busy
from collector.inventory.exposure.exposed import Exposed, opened
from collector.inventory.keeping.subjects import Merge
from collector.ipv6 import weeks
from collector.ipv6.days import Days
from collector.ipv6.levels import Levels, moved, systems
from collector.ipv6.targets import target_of
from collector.judging.judge import bench, mark_dirty
from collector.memory.sections import SectionState
from collector.scans.orders import look_at_the_clock
from collector.schedule import retention
from collector.schedule.forgetting import Forgetter
from collector.store import marks, tables
from collector.store.contract import Turn
from rules.facts import SubjectKind
from wire.types import SectionKind

log = logging.getLogger(__name__)

CHUNK = 200
"""Subjects judged in one piece of work, so that reports wait for a short time only."""
SWEEP = 3600.0
MOST_INTERVALS = 1000

Subjects = Iterable[tuple[SubjectKind, str, str]]


class Schedule:
    """Judges what needs it every few seconds, in a thread of its own; all writes go through the store's one writer."""

    def __init__(self, core: Core) -> None:
        """Prepare; `start` begins."""
        self._core = core
        self._stop = False
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)
        self._missed: dict[str, int] = {}
        self._day: date | None = None
        self._stale_until = 0.0
        self._swept = 0.0
        self._counted = 0.0
        self.traffic = Days(core)
        self.forgetter = Forgetter(core)

    def start(self) -> None:
        """Begin; every agent, unit and system is judged once."""
        self._core.due.agents.extend(self._core.directory.agents)
        self._core.due.units.extend(self._core.directory.units)
        for unit in self._core.register.units():
            self._core.due.systems.extend(f"{unit}:{name}" for name in systems(self._core.register.own(unit)))
        self._core.due.exposures.extend(self._core.directory.vantages)
        self.traffic.start()
        self._thread.start()

    def alive(self) -> bool:
        """Tell whether the thread is at work, or was never asked to be."""
        return self._thread.ident is None or self._thread.is_alive()

    def stop(self) -> None:
        """End after the round at hand."""
        self._stop = True
        self._core.due.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def tick(self) -> None:
        """Do one round now; returns when all of it is durable."""
        with self._busy:
            now = self._core.clock()
            for step in (
                self._midnight,
                self._stale,
                self._agents,
                self._due,
                self._dirty,
                self._exposures,
                self._systems,
                self._weeks,
                self._traffic,
                self._units,
                self._sweep,
            ):
                step(now)
            look_at_the_clock(self._core, now)

    def _run(self) -> None:
        while not self._stop:
            try:
                self.tick()
            except Busy as error:
                log.warning("judging waits: %s", error)
            self._core.due.wait(self._core.settings.judge_interval)

    def _judge(self, subjects: Subjects, now: float) -> None:
        """Judge subjects in short pieces of work."""
        waiting = list(subjects)
        for start in range(0, len(waiting), CHUNK):
            part = waiting[start : start + CHUNK]

            def work(turn: Turn, part: list[tuple[SubjectKind, str, str]] = part) -> None:
                court = bench(self._core, turn, now)
                for kind, county, ident in part:
                    court.judge(kind, county, ident)
                court.finish()

            self._core.store.write(work)

    def _midnight(self, now: float) -> None:
        """Judge what days since the last judged one changed: approvals, targets, certificates that near their end."""
        core, today = self._core, day(now)
        if self._day == today:
            return
        nearing: set[tuple[str, str]] = set()

        def work(turn: Turn) -> None:
            judged = marks.read(turn, "day")
            last = today if judged is None else date.fromordinal(judged)
            first, until = min(last, today), max(last, today)
            turned = [
                unit
                for unit in core.whitelists.units()
                if any(entry.expires and first <= entry.expires < until for entry in core.whitelists.own(unit))
            ]
            turned += [
                unit
                for unit, node in core.directory.units.items()
                if target_of(core.settings, node, first) != target_of(core.settings, node, until)
            ]
            mark_dirty(core, turn, turned, now)
            nearing.update(self._certificates(turn, first, until))

        core.store.write(work)
        self._judge(((SubjectKind.SERVICE, county, ident) for county, ident in sorted(nearing)), now)
        # Last, so that what a crash leaves undone is done at the next start.
        core.store.write(lambda turn: marks.write(turn, "day", today.toordinal()))
        self._day = today

    def _certificates(self, turn: Turn, first: date, until: date) -> Iterator[tuple[str, str]]:
        """Give the services whose certificate came as near to its end, between two days, as a rule asks about."""
        for days in self._core.rules.certificate_days:
            # A day more at either end, so that "up to" and "less than" are both met.
            ends = (first.toordinal() + days - 1, until.toordinal() + days + 1)
            yield from turn.rows("SELECT county, id FROM service WHERE cert_until BETWEEN ? AND ?", ends)

    def _stale(self, now: float) -> None:
        """Where a section stopped to vouch for something, let another section that still sees it speak."""
        core = self._core
        gone = [
            state
            for state in core.sections.states()
            if state.stale_at is not None and self._stale_until < state.stale_at <= now
        ]
        self._stale_until = now
        for state in gone:
            unit = core.directory.agents[state.agent].identity.unit
            if unit in core.directory.vantages:
                self._core.due.exposures.append(unit)

            def work(turn: Turn, state: SectionState = state, unit: str = unit) -> None:
                self._forgotten_ipv6(turn, state, unit, now)
                merge, court = Merge(turn, core.sections, state.county, unit, now), bench(core, turn, now)
                for table, join, kind in (
                    ("asset", merge.asset, SubjectKind.ASSET),
                    ("service", merge.service, SubjectKind.SERVICE),
                    ("site", merge.site, SubjectKind.SITE),
                ):
                    for (ident,) in turn.rows(
                        f"SELECT DISTINCT t.id FROM {table} t JOIN sighting s ON s.county = t.county "  # noqa: S608
                        "AND s.subject = t.id AND s.section <> t.section WHERE t.county = ? AND t.section = ?",
                        (state.county, state.id),
                    ):
                        join(ident)
                        court.judge(kind, state.county, ident)
                court.finish()

            core.store.write(work)

    def _forgotten_ipv6(self, turn: Turn, state: SectionState, unit: str, now: float) -> None:
        """What a section found of IPv6 is unknown from now on, unless another one found it too."""
        keys = turn.rows("SELECT kind, key FROM ipv6_result WHERE county = ? AND section = ?", (state.county, state.id))
        if keys:
            levels = Levels(self._core, turn, now)
            levels.follow(unit, [(kind, key) for kind, key in keys])
            moved(self._core, levels.changed)

    def _exposures(self, now: float) -> None:
        """Judge services, here and below, that can be reached otherwise by what agents of declared vantage say now."""
        core = self._core
        paths = [core.directory.units[code].path for code in sorted(_taken(self._core.due.exposures))]
        for path in paths:
            if not any(path != other and path.startswith(other) for other in paths):
                for part in opened(core, path):
                    core.store.write(partial(self._exposed, part, now))

    def _exposed(self, rows: list[Exposed], now: float, turn: Turn) -> None:
        court = bench(self._core, turn, now)
        for row in rows:
            if court.facts.exposures.of(row.port)[:2] != row.known:
                court.judge(SubjectKind.SERVICE, row.county, row.id)
        court.finish()

    def _systems(self, now: float) -> None:
        units = self._core.directory.units
        asked = [(ident.partition(":")[0], ident) for ident in sorted(_taken(self._core.due.systems))]
        self._judge(((SubjectKind.SYSTEM, units[unit].county, ident) for unit, ident in asked if unit in units), now)

    def _agents(self, now: float) -> None:
        """Judge agents that said something, and those that missed another report interval."""
        core = self._core
        asked = _taken(self._core.due.agents)
        since = core.since if core.since <= now else 0.0
        for ident, state in list(core.sections.agents().items()):
            missed = min(int((now - max(state.received, since)) / core.settings.report_interval), MOST_INTERVALS)
            if missed > 0 and self._missed.get(ident) != missed:
                asked.add(ident)
            self._missed[ident] = missed
        found = [(ident, core.directory.agents[ident]) for ident in sorted(asked) if ident in core.directory.agents]
        self._judge(((SubjectKind.AGENT, record.identity.county, ident) for ident, record in found), now)

    def _units(self, now: float) -> None:
        asked = _taken(self._core.due.units)
        if self._core.rules.of[SubjectKind.UNIT]:
            units = self._core.directory.units
            self._judge(((SubjectKind.UNIT, units[code].county, code) for code in sorted(asked)), now)

    def _due(self, now: float) -> None:
        """Judge what an alert waits for: the end of its hold time, or of the time that a person closed it for."""
        alert = tables.alert.c
        query = select(alert.kind, alert.county, alert.subject, alert.rule, alert.baseline).where(alert.due <= now)
        with self._core.store.reader() as connection:
            rows = connection.execute(query.distinct()).all()
        self._judge(
            dict.fromkeys((SubjectKind(kind), county, ident) for kind, county, ident, _, of_all in rows if not of_all),
            now,
        )
        summaries = [(county, ident, rule) for _, county, ident, rule, of_all in rows if of_all]
        if summaries:

            def work(turn: Turn) -> None:
                court = bench(self._core, turn, now)
                for summary in summaries:
                    court.life.summarise(*summary)

            self._core.store.write(work)

    def _dirty(self, now: float) -> None:
        """Judge whole units whose whitelist or rules changed."""
        core = self._core
        with core.store.reader() as connection:
            units = connection.execute(text("SELECT county, unit, stamp FROM dirty_unit")).all()
        for county, unit, stamp in units:
            if core.register.own(unit):
                core.store.write(partial(self._ipv6_of, unit, now))
            self._core.due.levels.append(unit)
            self._judge(self._all_of(county, unit), now)

            def work(turn: Turn, row: tuple[str, str, str] = (county, unit, stamp)) -> None:
                # A mark that was set anew meanwhile stays.
                turn.run("DELETE FROM dirty_unit WHERE county = ? AND unit = ? AND stamp = ?", row)

            core.store.write(work)
            if self._stop:
                return

    def _weeks(self, now: float) -> None:
        """Write how units stand with IPv6; those that stand otherwise are judged, and those above them."""
        core, waiting = self._core, _taken(self._core.due.levels)
        # A new week starts with everybody's counts at once: the sum of some of them would be no ratio of anything.
        everybody = now - self._counted >= SWEEP or weeks.week_of(now) != weeks.week_of(self._counted)
        if everybody:
            waiting |= set(core.register.units())
        codes = sorted(waiting)
        for start in range(0, len(codes), CHUNK):

            def work(turn: Turn, part: list[str] = codes[start : start + CHUNK]) -> set[str]:
                return weeks.keep(core, turn, part, now)

            try:
                changed = core.store.write(work)
            except Busy:
                self._core.due.levels.extend(codes[start:])
                raise
            self._core.due.units.extend({above for code in changed for above in core.directory.chain(code)})
        if everybody:
            self._counted = now

    def _traffic(self, now: float) -> None:
        self._core.due.units.extend(self.traffic.round(now))

    def _ipv6_of(self, unit: str, now: float, turn: Turn) -> None:
        if unit in self._core.directory.units:
            levels = Levels(self._core, turn, now)
            levels.unit(unit)
            turn.after_commit(lambda: moved(self._core, levels.changed))

    def _all_of(self, county: str, unit: str) -> list[tuple[SubjectKind, str, str]]:
        found: list[tuple[SubjectKind, str, str]] = []
        with self._core.store.reader() as connection:
            for kind, table in (
                (SubjectKind.ASSET, tables.asset),
                (SubjectKind.SERVICE, tables.service),
                (SubjectKind.SITE, tables.site),
            ):
                query = select(table.c.id).where(table.c.county == county, table.c.unit == unit)
                found += [(kind, county, ident) for ident in connection.execute(query).scalars()]
            # One that is registered no longer loses its alerts.
            alert = tables.alert.c
            stale = select(alert.subject).where(
                alert.county == county, alert.unit == unit, alert.kind == SubjectKind.SYSTEM, alert.state.in_(OPEN)
            )
            listed = [f"{unit}:{name}" for name in systems(self._core.register.own(unit))]
            named = dict.fromkeys((*listed, *connection.execute(stale).scalars()))
        found += [(SubjectKind.SYSTEM, county, ident) for ident in named]
        agents = [ident for ident, record in list(self._core.directory.agents.items()) if record.identity.unit == unit]
        found += [(SubjectKind.AGENT, county, ident) for ident in agents]
        found += [
            (SubjectKind.MEASUREMENT, county, f"{state.agent}:{state.name}")
            for state in self._core.sections.states()
            if state.kind == SectionKind.MEASUREMENT and state.agent in agents
        ]
        if unit in self._core.directory.units:
            found.append((SubjectKind.UNIT, county, unit))
        return found

    def _sweep(self, now: float) -> None:
        if now - self._swept >= SWEEP:
            self._swept = now
            retention.sweep(self._core, now)
            self.forgetter.round(now)


def _taken(waiting: deque[str]) -> set[str]:
    return {waiting.popleft() for _ in range(len(waiting))}
