"""From facts to verdicts to alerts: at ingest for what changed, on a schedule for what only time changes."""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.alerts.life import Life
from collector.answers import views
from collector.clock import new_id
from collector.core import Core
from collector.inventory.keeping.keeper import Touched
from collector.judging.facts import Facts
from collector.memory.rules import Rules
from collector.store.contract import Turn
from rules.evaluate import judge
from rules.facts import Subject, SubjectKind


def list_rules(core: Core) -> list[views.Rule]:
    """Give the loaded rules."""
    return [
        views.Rule(
            id=rule.id,
            title=views.Words(zh=rule.title.zh, en=rule.title.en),
            select=rule.select.value,
            severity=rule.severity.name.lower(),
            hold_seconds=rule.hold,
            drift=bool(rule.drift),
            clauses=dict(rule.basis.clauses),
            policy=rule.basis.policy,
            remedy=views.Words(zh=rule.remedy.zh, en=rule.remedy.en),
            file=rule.file,
        )
        for rule in core.rules.all
    ]


@dataclass(slots=True)
class Bench:
    """Judges subjects inside one transaction and keeps their alerts; `finish` writes what was gathered."""

    turn: Turn
    rules: Rules
    facts: Facts
    life: Life

    def judge(self, kind: SubjectKind, county: str, ident: str) -> None:
        """Judge one subject as the store holds it now; what is gone loses its alerts."""
        subject = self._subject(kind, county, ident)
        if subject is None:
            self.life.forget(county, kind.value, ident)
        else:
            self.verdict(county, subject)

    def verdict(self, county: str, subject: Subject) -> None:
        """Judge one subject with the facts given."""
        self.life.apply(county, subject, judge(self.rules.of[subject.kind], subject))

    def touched(self, county: str, touched: Touched) -> None:
        """Judge what a report changed, and what is judged by it: the same port of the other address family."""
        services = set(touched.services)
        for asset in touched.answers:
            services |= self._ids(
                "SELECT id FROM service WHERE county = ? AND asset = ? AND state = 'open'", county, asset
            )
        for service in touched.services:
            services |= self._ids(
                "SELECT other.id FROM service one JOIN service other ON other.county = one.county "
                "AND other.asset = one.asset AND other.transport = one.transport AND other.port = one.port "
                "WHERE one.county = ? AND one.id = ?",
                county,
                service,
            )
        for asset in touched.assets:
            self.judge(SubjectKind.ASSET, county, asset)
        for service in services:
            self.judge(SubjectKind.SERVICE, county, service)
        for site in touched.sites:
            self.judge(SubjectKind.SITE, county, site)

    def _ids(self, sql: str, county: str, subject: str) -> set[str]:
        return {row[0] for row in self.turn.rows(sql, (county, subject))}

    def finish(self) -> None:
        """Write the summary alerts."""
        self.life.finish()

    def _subject(self, kind: SubjectKind, county: str, ident: str) -> Subject | None:
        if kind is SubjectKind.SERVICE:
            return self.facts.service(county, ident)
        if kind is SubjectKind.ASSET:
            return self.facts.asset(county, ident)
        if kind is SubjectKind.SITE:
            return self.facts.site(county, ident)
        if kind is SubjectKind.SYSTEM:
            return self.facts.system(ident)
        if kind is SubjectKind.AGENT:
            return self.facts.agent(ident)
        if kind is SubjectKind.UNIT:
            return self.facts.unit(ident)
        return self.facts.stored_measurement(county, ident)


def bench(core: Core, turn: Turn, now: float) -> Bench:
    """Make ready to judge inside a transaction."""
    facts = Facts(turn, core.sections, core.directory, core.whitelists, core.settings, core.register, core.since, now)
    return Bench(turn, core.rules, facts, Life(turn, core.settings, now))


def mark_dirty(core: Core, turn: Turn, codes: Iterable[str], now: float) -> None:
    """Have every unit at or below these judged anew; the mark is durable, the judging follows."""
    units = core.directory.units
    paths = tuple(units[code].path for code in codes if code in units)
    turn.many(
        "INSERT INTO dirty_unit (county, unit, stamp) VALUES (?, ?, ?) "
        "ON CONFLICT (county, unit) DO UPDATE SET stamp = excluded.stamp",
        [(node.county, node.code, new_id(now)) for node in units.values() if node.path.startswith(paths)],
    )
