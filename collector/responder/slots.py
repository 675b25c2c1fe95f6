"""Who may test the line to the collector now, and how many bytes each agent has left today."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from wire.bandwidth import Reply

MAX_AGENTS = 100_000
DAY_SECONDS = 86_400.0


class Slots:
    """Who may test now: one test per agent, `tests` in all, and so many bytes per agent and day."""

    def __init__(self, tests: int, bytes_per_day: int, clock: Callable[[], float] = time.time) -> None:
        """Start with all slots free."""
        self._tests, self._bytes_per_day, self._clock = tests, bytes_per_day, clock
        self._running: set[str] = set()
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, agent: str, wanted: int) -> Reply:
        """Grant a slot with at most `wanted` bytes, to be given back, or refuse with `busy` or `quota`."""
        with self._lock:
            if agent in self._running:
                return Reply(False, code="busy", message="a test of this agent is running already")
            if len(self._running) >= self._tests:
                return Reply(False, code="busy", message=f"{self._tests} tests are running, try again later")
            left = self._bytes_per_day - self._used_today(agent) if self._bytes_per_day else wanted
            if left <= 0:
                return Reply(False, code="quota", message=f"{self._bytes_per_day} bytes were moved today already")
            self._running.add(agent)
            return Reply(True, bytes=min(wanted, left))

    def give_back(self, agent: str, moved: int) -> None:
        """End a test that moved so many bytes."""
        with self._lock:
            self._running.discard(agent)
            self._used[agent] = (self._today(), self._used_today(agent) + moved)
            self._used.move_to_end(agent)
            while len(self._used) > MAX_AGENTS:
                self._used.popitem(last=False)

    def _today(self) -> int:
        return int(self._clock() // DAY_SECONDS)

    def _used_today(self, agent: str) -> int:
        day, used = self._used.get(agent, (0, 0))
        return used if day == self._today() else 0
