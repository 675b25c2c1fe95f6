"""One probe run from the command line: progress on standard error, Ctrl-C keeps what there is."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from agent.runner import Job, run
from edusec.progress import Progress
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
    """Turns Ctrl-C and SIGTERM into a stop event while it is entered; the second one is a KeyboardInterrupt."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        handler: Callable[[int, FrameType | None], None] = self._handle
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._stop.set()
