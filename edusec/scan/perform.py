"""Does the work of a scan, batch by batch, keeps each in the journal, and joins what comes of it into one result."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from edusec.progress import Progress
from edusec.running import Interruptible
from edusec.scan.batches import Area, Batch, Pace, areas, batches
from edusec.scan.join import as_done, join, left_out
from edusec.scan.source import Source
from edusec.scan.wanted import Work
from probes.kit import contract
from probes.kit.pacing import DEFAULT_RATE
from probes.kit.targets import parse_targets
from wire.ports import contains, format_ports, parse_ports
from wire.types import Body, Outcome, RunStatus, Section, TargetKind, Transport

_ENDED = ("stopped", "deadline")
_MOST_ANCHORS = 2


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
    keep: Callable[[Section], None] = lambda _section: None,
) -> Done:
    """Do what is left once the coverage of what one `had` is taken off; the first Ctrl-C keeps what there is.

    `keep` is called with the section of each batch before the next one begins.
    """
    before = [as_done(section) for section in had]
    spans = parse_targets(work.prefixes)
    covered = [item for section in before for item in (section.body or Body()).coverage]
    left = areas(work.parts, spans, covered)
    run = _Run(work, source, keep, Progress(quiet=quiet), sum(area.pairs for area in left))
    with Interruptible(run.stop):
        unfinished = list(run.all(left))
    run.progress.clear()
    sections = [*before, *run.sections, *unfinished]
    if not sections:
        sections = [left_out(work.parts[0].probe, (), "", "stopped")]
    return Done(join(sections), run.stop.is_set(), not unfinished and all(map(_tried, run.sections)))


def _tried(section: Section) -> bool:
    """Tell whether a batch came to its own end: then another try would be another scan."""
    if section.status not in (RunStatus.DONE, RunStatus.PARTIAL):
        return False
    skipped = (section.body or Body()).skipped
    return not section.reason.startswith(_ENDED) and not any(part.reason.startswith(_ENDED) for part in skipped)


class _Run:
    """The batches of one scan as they are done."""

    def __init__(
        self, work: Work, source: Source, keep: Callable[[Section], None], progress: Progress, total: int
    ) -> None:
        self.sections: list[Section] = []
        self.stop = threading.Event()
        self.progress = progress
        self._work, self._source, self._keep = work, source, keep
        self._done, self._total = 0, total
        self._end = time.monotonic() + work.seconds

    def all(self, left: Sequence[Area]) -> Iterator[Section]:
        """Do all areas; give sections that say what was not even begun."""
        for area in left:
            rate = float(str(area.part.options.get("rate", DEFAULT_RATE)))
            pace = Pace(area.part.transport, rate)
            todo = batches(area, pace)
            anchors = _Anchors()
            for batch in todo:
                if self.stop.is_set() or time.monotonic() >= self._end:
                    why = "stopped" if self.stop.is_set() else "deadline"
                    yield from _not_begun(chain([batch], todo), why)
                    break
                self._one(anchors.added_to(batch), pace, anchors)

    def _one(self, batch: Batch, pace: Pace, anchors: "_Anchors") -> None:
        area, started = batch.area, time.monotonic()
        job = self._work.job(area.part, batch.targets, format_ports(area.ports), self._end - started)
        section = self._source(job, self._show, self.stop)
        pace.took(area.pairs, time.monotonic() - started)
        self._done += area.pairs
        self.sections.append(section)
        anchors.learn(batch, section)
        if (section.body or Body()).coverage or _tried(section):
            self._keep(section)
        if not _tried(section):
            self._say_what_is_left(area, section)

    def _say_what_is_left(self, area: Area, section: Section) -> None:
        """A probe that was ended in the middle cannot say itself what it had not done."""
        body = section.body or Body()
        if any(part.reason.startswith(_ENDED) for part in body.skipped):
            return  # it had the time to say so
        why = section.reason.partition(":")[0]
        for left in areas([area.part], area.spans, body.coverage):
            ports = format_ports(set(left.ports) & set(area.ports))
            self.sections.append(left_out(area.part.probe, Batch(left, 0).targets, ports, why))

    def _show(self, step: contract.Progress) -> None:
        self.progress(replace(step, done=min(self._done + step.done, self._total), total=self._total))


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


def _not_begun(rest: Iterable[Batch], why: str) -> Iterator[Section]:
    """Say what is left, the pieces of the same addresses in one."""
    left: dict[tuple[str, tuple[str, ...]], set[int]] = {}
    for batch in rest:
        left.setdefault((batch.area.part.probe, batch.targets), set()).update(batch.area.ports)
    for (probe, targets), ports in left.items():
        yield left_out(probe, targets, format_ports(ports), why)
