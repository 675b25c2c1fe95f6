"""Does the work of a scan, job by job, and joins what comes of it into one result."""

import threading
import time
from dataclasses import dataclass

from edusec.progress import Progress
from edusec.running import Interruptible
from edusec.scan.join import join, left_out
from edusec.scan.source import Source
from edusec.scan.wanted import Work
from probes.kit import contract
from probes.kit.targets import parse_targets
from wire.ports import expand, parse_ports
from wire.types import Section


@dataclass(frozen=True, slots=True)
class Done:
    """What came of the work, and whether the operator ended it before its time."""

    section: Section
    interrupted: bool


def perform(work: Work, source: Source, *, quiet: bool) -> Done:
    """Do all parts; the first Ctrl-C ends it and keeps what there is."""
    progress = Progress(quiet=quiet)
    addresses = sum(map(len, parse_targets(work.prefixes)))
    pairs = [addresses * len(expand(parse_ports(part.ports))) for part in work.parts]
    end = time.monotonic() + work.seconds
    stop = threading.Event()
    sections: list[Section] = []
    with Interruptible(stop):
        for place, part in enumerate(work.parts):
            left = end - time.monotonic()
            if stop.is_set() or left <= 0:
                why = "stopped" if stop.is_set() else "deadline"
                sections.append(left_out(part.probe, work.prefixes, part.ports, why))
                continue
            shown = _Shown(progress, sum(pairs[:place]), sum(pairs))
            sections.append(source(work.job(part, work.prefixes, part.ports, left), shown, stop))
    progress.clear()
    return Done(join(sections), stop.is_set())


@dataclass(frozen=True, slots=True)
class _Shown:
    """Shows the progress of one job as that of the whole."""

    progress: Progress
    before: int
    total: int

    def __call__(self, step: contract.Progress) -> None:
        self.progress(self.before + step.done, self.total, step.note)
