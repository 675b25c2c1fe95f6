"""One probe run from the command line: progress on standard error, Ctrl-C keeps what there is."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from agent.probing.job import Job
from agent.probing.runner import run
from edusec.terminal.progress import Progress
from wire.types import Section


@dataclass(frozen=True, slots=True)
class Ran:
    """A section, and whether the operator ended the run before its time."""

    section: Section
    interrupted: bool


def run_job(job: Job, *, quiet: bool) -> Ran:
    """Run a probe; the first Ctrl-C or SIGTERM ends it and keeps what it found, a second one gives up at once."""
    stop = threading.Event()
    progress = Progress(quiet=quiet)
    with Interruptible(stop):
        section = run(job, on_progress=progress, stop=stop)
    progress.clear()
    return Ran(section, stop.is_set())


class Interruptible:
    """Turns Ctrl-C and SIGTERM into a stop event while it is entered; the second one is a KeyboardInterrupt.

    The main thread may look at the event, but not wait for it: the handler would wait for ever for a lock that the wait
    holds for a moment.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._told = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        handler: Callable[[int, FrameType | None], None] = self._handle
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._told:
            raise KeyboardInterrupt
        self._told = True
        self._stop.set()
