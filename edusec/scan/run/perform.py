"""Does the work of a scan, batch by batch, keeps each in the journal, and joins what comes of it into one result."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from agent.probing.collect import MAX_COVERAGE, MAX_SKIPPED
from edusec.running import Interruptible
from edusec.scan.request.wanted import Work
from edusec.scan.run.batches import Area, Batch, Pace, areas, batches, not_identified
from edusec.scan.run.join import as_done, join, left_out, made
from edusec.scan.run.source import Source
from edusec.terminal.progress import Progress
from probes.kit import contract
from probes.kit.reasons import because
from probes.kit.scope.targets import parse_targets
from probes.kit.sending.pacing import DEFAULT_RATE
from wire.coverage import joined
from wire.ports import contains, format_ports, parse_ports
from wire.types import Body, Coverage, Observation, Outcome, RunStatus, Section, Skipped, TargetKind, Transport

_ENDED = ("stopped", "deadline", "quiet_hours", "not_identified", "crashed")
_MOST_ANCHORS = 2
_KEEP_SECONDS = 1.0
"""How often what a batch tells is made durable."""


class Keep(Protocol):
    """Where sections are kept: of each batch once it is over, and pieces of what it tells until then (`so_far`)."""

    def __call__(self, section: Section, *, so_far: bool = False) -> None:
        """Make a section durable."""


def _nowhere(section: Section, *, so_far: bool = False) -> None:
    """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of the work; whether the operator ended it, and whether everything was at least tried."""

    section: Section
    interrupted: bool
    finished: bool


def perform(
    work: Work,
    source: Source,
    *,
    quiet: bool,
    had: Sequence[Section] = (),
    keep: Keep = _nowhere,
) -> Done:
    """Do what is left once what one `had` asked is taken off; the first Ctrl-C keeps what there is.

    `keep` is called with the section of each batch before the next one begins, and with what the batch told so far.
    """
    before = [as_done(section) for section in had]
    left = areas(work.parts, parse_targets(work.prefixes), [item for section in before for item in _asked(section)])
    if before:
        left += not_identified(work.parts, join(before))
    run = _Run(work, source, keep, Progress(quiet=quiet), sum(area.pairs for area in left))
    try:
        with Interruptible(run.stop):
            run.all(left)
    finally:
        run.progress.clear()
    finished = all(map(_tried, run.sections)) and not run.left
    sections = [*before, *run.sections, *run.left.sections()] or [made(work.parts[0].probe, RunStatus.DONE)]
    return Done(join(sections), run.stop.is_set(), finished)


def _asked(section: Section) -> tuple[Coverage, ...]:
    body = section.body or Body()
    return (*body.coverage, *body.silent)


def _tried(section: Section) -> bool:
    """Tell whether a batch came to its own end: then another try would be another scan."""
    if section.status not in (RunStatus.DONE, RunStatus.PARTIAL):
        return False
    skipped = (section.body or Body()).skipped
    return not section.reason.startswith(_ENDED) and not any(part.reason.startswith(_ENDED) for part in skipped)


class _Run:
    """The batches of one scan as they are done."""

    def __init__(self, work: Work, source: Source, keep: Keep, progress: Progress, total: int) -> None:
        self.sections: list[Section] = []
        self.left = _Left()
        self.stop = threading.Event()
        self.progress = progress
        self._work, self._source, self._keep = work, source, keep
        self._done, self._total = 0, total
        self._end = time.monotonic() + work.seconds

    def all(self, left: Sequence[Area]) -> None:
        """Do all areas, as far as there is time."""
        for area in left:
            rate = float(str(area.part.options.get("rate", DEFAULT_RATE)))
            pace = Pace(area.part.transport, rate, self._end)
            anchors = _Anchors()
            for batch in batches(area, pace):
                if self.stop.is_set() or time.monotonic() >= self._end:
                    self.left.add(batch.area, "stopped" if self.stop.is_set() else "deadline")
                else:
                    self._one(anchors.added_to(batch), pace, anchors)

    def _one(self, batch: Batch, pace: Pace, anchors: "_Anchors") -> None:
        area, started = batch.area, time.monotonic()
        job = self._work.job(area.part, batch.targets, format_ports(area.ports), self._end - started)
        told = _Told(area.part.probe, self._keep)
        section = told.whole(self._source(job, partial(self._hear, told), self.stop))
        pace.took(area.pairs, time.monotonic() - started)
        self._done += area.pairs
        anchors.learn(batch, section)
        if _found(section) or _tried(section):
            self._keep(section)
        self.sections.append(section if _tried(section) else self._without_left(area, section))

    def _without_left(self, area: Area, section: Section) -> Section:
        """Note what a batch that was ended has left, port by port; a probe names the addresses alone."""
        body = section.body or Body()
        ended = [part for part in body.skipped if part.reason.startswith(_ENDED)]
        why = next((part.reason for part in ended), section.reason)
        part = replace(area.part, ports=format_ports(area.ports))
        try:
            spans = parse_targets(part.what.partition(" ")[0] for part in ended) if ended else area.spans
        except ValueError:  # there was too much to list
            return section
        for left in areas([part], spans, _asked(section)):
            self.left.add(left, why)
        for left in not_identified([part], section):
            self.left.add(left, "not_identified")
        left_for_good = tuple(part for part in body.skipped if part not in ended)
        return replace(section, body=replace(body, skipped=left_for_good))

    def _hear(self, told: "_Told", step: contract.Yield) -> None:
        if isinstance(step, contract.Progress):
            self.progress(replace(step, done=min(self._done + step.done, self._total), total=self._total))
        else:
            told.add(step)
        told.keep_some()


class _Left:
    """What was not done, and why; the pieces of the same addresses in one."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, Transport, tuple[str, ...], str], set[int]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._ports)

    def add(self, area: Area, why: str) -> None:
        self._ports[area.part.probe, area.part.transport, Batch(area, 0).targets, why].update(area.ports)

    def sections(self) -> Iterator[Section]:
        for (probe, transport, targets, why), ports in self._ports.items():
            yield left_out(probe, targets, f"{transport} ports {format_ports(ports)}", why)


class _Told:
    """What a batch has told so far."""

    def __init__(self, probe: str, keep: Keep) -> None:
        self._probe, self._keep = probe, keep
        self._all: list[contract.Found] = []
        self._kept, self._at = 0, time.monotonic()

    def add(self, item: contract.Found) -> None:
        self._all.append(item)

    def keep_some(self) -> None:
        """Make what is new durable, now and then."""
        if len(self._all) > self._kept and time.monotonic() - self._at >= _KEEP_SECONDS:
            self._keep(self._section(self._all[self._kept :], because("stopped")), so_far=True)
            self._kept, self._at = len(self._all), time.monotonic()

    def whole(self, section: Section) -> Section:
        """Give the section of the batch, or what it told where whoever should have written one was killed."""
        if section.status is RunStatus.CRASHED and not _found(section) and self._all:
            return self._section(self._all, section.reason)
        return section

    def _section(self, items: Sequence[contract.Found], reason: str) -> Section:
        words = contract.Words()
        for item in items:
            if isinstance(item, Observation):
                words.add(item)
        body = Body(
            tuple(words.all),
            joined(item for item in items if isinstance(item, Coverage))[:MAX_COVERAGE],
            tuple(item for item in items if isinstance(item, Skipped))[:MAX_SKIPPED],
            joined(item.area for item in items if isinstance(item, contract.Silent))[:MAX_COVERAGE],
        )
        return made(self._probe, RunStatus.PARTIAL, reason, body)


def _found(section: Section) -> bool:
    body = section.body or Body()
    return bool(body.observations or body.coverage or body.silent)


class _Anchors:
    """Ports that answered in earlier batches of the same addresses.

    Silence on all ports of a batch would prove nothing where the path may be down (docs/probes.md), so a batch of
    further ports of the same addresses takes along a port that is known to answer.
    """

    def __init__(self) -> None:
        self._group = -1
        self._found: Counter[int] = Counter()

    def added_to(self, batch: Batch) -> Batch:
        if batch.group != self._group or batch.area.part.transport is not Transport.TCP:
            return batch
        known = [port for port, _ in self._found.most_common(_MOST_ANCHORS)]
        ports = tuple(sorted({*batch.area.ports, *known}))
        return replace(batch, area=replace(batch.area, ports=ports))

    def learn(self, batch: Batch, section: Section) -> None:
        if batch.group != self._group:
            self._group, self._found = batch.group, Counter()
        for item in (section.body or Body()).observations:
            if item.target.kind is TargetKind.SERVICE and item.outcome is Outcome.OPEN and item.target.port is not None:
                self._found[item.target.port] += 1
            elif item.target.kind is TargetKind.HOST and (closed := parse_ports(str(item.values.get("closed") or ""))):
                # A closed port is asked nothing else, an open one may be asked who it is.
                self._found[next(port for port in batch.area.ports if contains(closed, port))] += 2
