"""Reports in: checked, made durable in groups, and only then acknowledged.

A report is one piece of work in the store's transaction: all of it is kept or nothing, and a report that fails does not
take the others of its group with it.
"""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import date

from collector.clock import day, new_id
from collector.core import Core
from collector.errors import Conflict, Unauthorised, UnknownDigest
from collector.ingest.policy import policy_digest, policy_for
from collector.inventory import room
from collector.inventory.keeping.keeper import Keeper
from collector.ipv6.days import PROBE as TRAFFIC
from collector.ipv6.levels import Levels, moved, sites_of
from collector.ipv6.results import Results
from collector.judging.judge import bench
from collector.memory.allowance import weight, weight_of
from collector.memory.directory import AgentIdentity
from collector.memory.sections import COVERING, AgentState, SectionState, SpoolState
from collector.scans.orders import ended
from collector.settings import Settings
from collector.sightings.compare import Difference
from collector.sightings.samples import write_samples
from collector.store.contract import Turn
from rules.facts import Subject, SubjectKind
from wire.codec import to_plain
from wire.digest import section_digest
from wire.errors import DecodeError, EdusecError
from wire.types import Answer, Body, Report, Section, SectionKind

STORED, UNCHANGED, DUPLICATE = "stored", "unchanged", "duplicate"
ACCEPTED = "accepted"
STEADY = 60.0
"""Two reports are late by the same amount when they differ by at most this many seconds."""


def submit(core: Core, agent: AgentIdentity, report: Report, received: float, source: str = "") -> Future[Answer]:
    """Queue a report; the answer comes after the commit.

    The future carries UnknownDigest, Conflict, Busy, Full, Unauthorised, or DecodeError for a section whose digest does
    not fit its body; then nothing of the report was kept. `received` is the collector's own time, `source` the address
    that the report came from.
    """
    try:
        _verify(agent, report)
    except EdusecError as error:
        refused: Future[Answer] = Future()
        refused.set_exception(error)
        return refused
    return core.store.submit(lambda turn: _take(core, turn, agent, report, received, source))


def _verify(agent: AgentIdentity, report: Report) -> None:
    if report.agent != agent.id:
        raise DecodeError("agent", f"is {report.agent!r}, but the credential is that of {agent.id!r}")
    for index, section in enumerate(report.sections):
        if section.body is None:
            continue
        if section.digest != section_digest(section.probe, section.status, section.reason, section.body):
            raise DecodeError(f"sections[{index}].digest", f"does not fit the body of section {section.name!r}")


def _take(core: Core, turn: Turn, agent: AgentIdentity, report: Report, received: float, source: str) -> Answer:
    sections = core.sections
    record = core.directory.agents.get(agent.id)
    if record is None or record.revoked is not None:
        raise Unauthorised("the agent was revoked; enrol it again")
    spool = sections.spool(agent.id, report.spool)
    if spool is not None and report.sequence <= spool.sequence:
        if report.sequence == spool.sequence and report.batch != spool.batch:
            raise Conflict(
                f"sequence {report.sequence} of spool {report.spool} was taken with another batch; "
                "two agents share one identity: enrol one of them anew"
            )
        turn.after_commit(lambda: _count(core, DUPLICATE, [DUPLICATE] * len(report.sections)))
        return _answer(core, agent, report, received, duplicate=True)
    unknown = tuple(section.name for section in report.sections if not _known(core, agent, section))
    if unknown:
        raise UnknownDigest(unknown)
    new = {section.name for section in report.sections if sections.section(agent.id, section.name) is None}
    most = core.settings.sections_per_agent
    if new and sections.count(agent.id) + len(new) > most:
        raise DecodeError("sections", f"{min(new)!r} is one too many: {most} names of sections is all an agent may use")
    with sections.work():
        before = sections.agent(agent.id)
        clock = _Clock.of(report, received, before, core.settings)
        intake = _Intake(core, turn, agent, received, clock, bounded=True)
        sections.put_spool(
            turn, SpoolState(agent.county, agent.id, report.spool, report.sequence, report.batch, received)
        )
        sections.put_agent(_agent_state(agent, report, received, source, before))
        try:
            results = [intake.section(section) for section in report.sections]
            intake.judge()
        except BaseException:
            core.allowance.give_back(agent.id, *intake.spent, received)
            raise
    turn.after_commit(lambda: _count(core, ACCEPTED, results))
    turn.after_commit(intake.touch)
    return _answer(core, agent, report, received, duplicate=False)


def take_section(core: Core, turn: Turn, agent: AgentIdentity, section: Section, received: float) -> str:
    """Take one section that no report brought (an imported scan), by the same way; gives STORED or UNCHANGED."""
    with core.sections.work():
        intake = _Intake(core, turn, agent, received, _Clock(0.0, received, received - core.settings.backlog))
        result = intake.section(section)
        intake.judge()
    turn.after_commit(lambda: core.stats.sections.update([result]))
    turn.after_commit(intake.touch)
    return result


def _count(core: Core, report: str, sections: list[str]) -> None:
    core.stats.reports[report] += 1
    core.stats.sections.update(sections)


def _known(core: Core, agent: AgentIdentity, section: Section) -> bool:
    if section.body is not None:
        return True
    state = core.sections.section(agent.id, section.name)
    return section.kind is SectionKind.STATE and state is not None and state.digest == section.digest


def _answer(core: Core, agent: AgentIdentity, report: Report, received: float, *, duplicate: bool) -> Answer:
    current = report.policy == policy_digest(core, agent)
    policy = None if current else policy_for(core, agent)
    orders = core.scans.waiting(agent.id, received)
    return Answer(report.batch, report.sequence, received, duplicate, policy, orders)


def _agent_state(
    agent: AgentIdentity, report: Report, received: float, source: str, before: AgentState | None
) -> AgentState:
    return AgentState(
        agent.county,
        agent.id,
        received,
        report.created,
        report.software,
        report.sequence,
        report.dropped,
        _skew(report, received, before),
        report.metrics_url,
        json.dumps([to_plain(entry) for entry in report.scope], ensure_ascii=False) if report.scope else "[]",
        source,
    )


def _skew(report: Report, received: float, before: AgentState | None) -> float:
    """Judge by how much the agent's clock is ahead, in seconds.

    A report that waited in the spool looks like a clock that is behind. So a clock counts as behind only when two
    reports in a row are late by the same amount, which reports that wait for a line are not.
    """
    ahead = report.created - received
    if before is None or ahead >= before.skew or abs(ahead) < abs(before.skew):
        return ahead
    drift = (received - before.received) - (report.created - before.created)
    return ahead if abs(drift) <= STEADY else before.skew


@dataclass(frozen=True, slots=True)
class _Clock:
    """Turns an agent's times into the collector's; what is older than any spool keeps only its time of arrival."""

    shift: float
    received: float
    oldest: float

    @classmethod
    def of(cls, report: Report, received: float, before: AgentState | None, settings: Settings) -> "_Clock":
        # A report cannot arrive before it is made: a clock is ahead at least by what it seems to be.
        ahead = max(report.created - received, before.skew if before else 0.0)
        shift = ahead if abs(ahead) > settings.clock_tolerance else 0.0
        return cls(shift, received, received - settings.backlog)

    def __call__(self, time: float) -> float:
        corrected = min(time - self.shift, self.received)
        return corrected if corrected >= self.oldest else self.received


class _Intake:
    """Takes the sections of one report in."""

    def __init__(
        self,
        core: Core,
        turn: Turn,
        agent: AgentIdentity,
        received: float,
        clock: Callable[[float], float],
        *,
        bounded: bool = False,
    ) -> None:
        """`bounded`: what is new counts against the agent's allowance; `spent` is how much it was."""
        self.spent = (0, 0)
        self._bounded = bounded
        self._core, self._turn, self._agent = core, turn, agent
        self._received, self._clock = received, clock
        self._keeper: Keeper | None = None
        self._measured: list[Subject] = []
        needed = core.settings.ipv6_equal_results
        self._ipv6 = Results(turn, core.ipv6_sections, needed, agent.unit, received)
        self._levels = Levels(core, turn, received)
        self._days: list[tuple[str, date]] = []
        self._looked = False

    def section(self, section: Section) -> str:
        before = self._core.sections.section(self._agent.id, section.name)
        if section.order:
            # Its times as people see them are the collector's, as those of every section.
            at = replace(section, started=self._clock(section.started), finished=self._clock(section.finished))
            ended(self._core.scans, self._turn, self._agent, at, self._received)
        if section.kind is SectionKind.MEASUREMENT:
            self._put(section, before)
            if section.body is not None:
                self._measure(section, section.body)
            return STORED
        same = before is not None and before.digest == section.digest and before.probe == section.probe
        state = self._put(section, before)
        if section.status not in COVERING:
            return UNCHANGED if same else STORED
        if same or section.body is None:
            self._ipv6.again(state, before)
            if state.due is not None and state.runs >= state.due:
                state.due = self._keep().pass_on(state)
            return UNCHANGED
        state.due = self._keep().take(state, section.body, before)
        self._looked = True
        self._ipv6.take(state, before, section.body.observations)
        return STORED

    def judge(self) -> None:
        """Judge what changed, in the transaction that changed it."""
        if self._ipv6.touched:
            self._levels.follow(self._agent.unit, self._ipv6.touched)
        if self._keeper is None and not self._measured and not self._levels.changed:
            return
        court = bench(self._core, self._turn, self._received)
        if self._keeper is not None:
            court.touched(self._agent.county, self._keeper.touched)
        own = {(self._agent.unit, kind, key) for _, kind, key in self._levels.changed}
        for site in sites_of(self._turn, self._agent.county, own):
            court.judge(SubjectKind.SITE, self._agent.county, site)
        for subject in self._measured:
            court.verdict(self._agent.county, subject)
        court.finish()

    def touch(self) -> None:
        """Have the schedule judge the agent and its unit; called after the commit."""
        due = self._core.due
        due.agents.append(self._agent.id)
        if self._looked and self._agent.unit in self._core.directory.vantages:
            due.exposures.append(self._agent.unit)
        due.days.extend(self._days)
        moved(self._core, self._levels.changed)
        if self._keeper is not None and self._keeper.touched.assets:
            due.units.append(self._agent.unit)

    def _keep(self) -> Keeper:
        if self._keeper is None:
            settings = self._core.settings
            self._keeper = Keeper(
                self._turn,
                self._core.sections,
                self._agent,
                settings.absent_after,
                settings.mac_addresses,
                self._received,
                self._admit,
            )
        return self._keeper

    def _admit(self, found: Difference, more: int) -> None:
        if self._bounded and more > 0:
            room.require(self._core, self._agent.id, self._agent.unit, more, self._received)
        self._spend(max(weight(found), more), len(found.altered) + len(found.lost))

    def _spend(self, fresh: int, kept: int) -> None:
        if self._bounded and (fresh or kept):
            self._core.allowance.spend(self._agent.id, fresh, kept, self._received)
            self.spent = (self.spent[0] + fresh, self.spent[1] + kept)

    def _put(self, section: Section, before: SectionState | None) -> SectionState:
        """Count the run; a run without coverage confirms nothing and counts for nothing."""
        sections, agent = self._core.sections, self._agent
        started, finished = self._clock(section.started), self._clock(section.finished)
        covering = section.status in COVERING
        if before is None:
            number, runs, confirmed, stale_at, due = sections.number(agent.id, section.name), 0, None, None, None
            held = 0
        else:
            number, runs, confirmed = before.id, before.runs, before.confirmed
            stale_at, due, held = before.stale_at, before.due, before.held
        if covering:
            runs += 1
            confirmed, stale_at = sections.confirmed(before, finished, on_order=bool(section.order))
        # Without a body it says what stands; what is to be asked again, perhaps by this very report, stays so.
        digest = before.digest if before is not None and section.body is None else section.digest
        state = SectionState(
            agent.county, number, agent.id, section.name, section.probe, section.kind.value, section.status.value,
            section.reason, digest, started, finished, confirmed, stale_at, runs, due, held,
        )  # fmt: skip
        sections.put(state)
        return state

    def _measure(self, section: Section, body: Body) -> None:
        agent, finished = self._agent, self._clock(section.finished)
        if section.probe == TRAFFIC:
            self._days.append((agent.unit, day(finished)))
        samples = write_samples(body.observations, self._clock)
        self._spend(weight_of(samples), weight_of(samples))
        self._turn.run(
            "INSERT INTO measurement (county, unit, probe, time, agent, section, id, samples) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                agent.county, agent.unit, section.probe, finished, agent.id, section.name, new_id(finished), samples,
            ),
        )  # fmt: skip
        if section.status in COVERING and self._core.rules.of[SubjectKind.MEASUREMENT]:
            facts = bench(self._core, self._turn, self._received).facts
            self._measured.append(
                facts.measurement(
                    agent.id, agent.unit, section.name, section.probe, (seen.values for seen in body.observations)
                )
            )
