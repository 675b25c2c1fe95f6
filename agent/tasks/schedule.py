"""When each task runs: a pure scheduler, told the time by its caller.

Times are seconds on one monotonic clock. A task never overlaps itself, a missed run is not made up for, and after a gap
(the machine slept, the process was stopped) what is overdue is spread out instead of starting at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

SPREAD = 60.0
"""First runs, and runs after a gap, start within so many seconds (or a tenth of the interval, if that is less)."""
JITTER = 0.05
"""Share of the interval by which a run may start earlier or later than the plain rhythm."""
GAP = 120.0
"""The caller looks at least twice a minute; a longer silence means that time stood still for this process."""


@dataclass(slots=True)
class _Entry:
    interval: float
    rhythm: float  # the plain grid, without jitter, so that jitter does not add up
    due: float
    running: bool = False


class Schedule:
    """Holds for each task when it is due next."""

    def __init__(self, intervals: Mapping[str, float], now: float, random: Callable[[], float]) -> None:
        """Plan the first runs; `random` gives numbers in [0, 1)."""
        self._random = random
        self._seen = now
        self._entries: dict[str, _Entry] = {}
        self.replace(intervals, now)

    def replace(self, intervals: Mapping[str, float], now: float) -> None:
        """Take another set of tasks; those whose interval stays keep their rhythm, running ones keep running."""
        kept = {}
        for name, interval in intervals.items():
            old = self._entries.get(name)
            if old is None:
                kept[name] = self._fresh(interval, now)
            elif old.interval == interval:
                kept[name] = old
            else:
                kept[name] = self._fresh(interval, now)
                kept[name].running = old.running
        self._entries = kept

    def hasten(self, names: Iterable[str], now: float) -> None:
        """Make tasks due at once."""
        for name in names:
            entry = self._entries[name]
            entry.due = entry.rhythm = now

    def due(self, now: float, held: Collection[str] = ()) -> str | None:
        """Name the task that has waited longest, but for those held back, or None when none is due."""
        if now - self._seen > GAP:
            for entry in self._entries.values():
                if entry.due <= now:
                    entry.due = entry.rhythm = now + self._spread(entry.interval)
        self._seen = now
        waiting = [
            (entry.due, name)
            for name, entry in self._entries.items()
            if not entry.running and entry.due <= now and name not in held
        ]
        return min(waiting)[1] if waiting else None

    def start(self, name: str, now: float) -> None:
        """Note that a task starts; it is not due again before `finish`."""
        entry = self._entries[name]
        entry.running = True
        self._advance(entry, now)

    def finish(self, name: str, now: float) -> None:
        """Note that a task ended; runs missed meanwhile are left out. A task that is gone is ignored."""
        entry = self._entries.get(name)
        if entry is None:
            return
        entry.running = False
        if entry.due <= now:
            self._advance(entry, now)

    def wait(self, now: float, held: Collection[str] = ()) -> float | None:
        """Seconds until a task that is neither running nor held back is due (0: one is), or None when none ever is."""
        due = [entry.due for name, entry in self._entries.items() if not entry.running and name not in held]
        return max(0.0, min(due) - now) if due else None

    def _fresh(self, interval: float, now: float) -> _Entry:
        first = now + self._spread(interval)
        return _Entry(interval, rhythm=first, due=first)

    def _spread(self, interval: float) -> float:
        return self._random() * min(SPREAD, interval / 10)

    def _advance(self, entry: _Entry, now: float) -> None:
        missed = max(0, int((now - entry.rhythm) // entry.interval))
        entry.rhythm += (missed + 1) * entry.interval
        # A run that started late is not followed at once by the next one.
        entry.due = max(now + entry.interval / 2, entry.rhythm + (2 * self._random() - 1) * JITTER * entry.interval)
