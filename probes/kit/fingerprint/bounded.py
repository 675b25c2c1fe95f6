"""Search with a bound on time: some patterns of others' files take for ever on an answer that was made for it.

`re` knows no bound of its own, and looks for signals while it searches: a timer of the process's own CPU time ends a
search that is not worth waiting for, however busy the machine is. Signals reach the main thread only, and a probe
runs there; in any other thread a search is bounded by the size of its text alone.
"""

import math
import re
import signal
import threading
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

SECONDS = 0.2
"""CPU time that one pattern may take; ordinary ones take microseconds."""
_TICK = 0.1


class TooLong(Exception):
    """A search took longer than SECONDS and was ended."""


@dataclass(slots=True)
class Patience:
    """How many more searches may be cut short before nothing is searched any more: for an answer, or for a host."""

    left: int = 3


class Clock:
    """Bounds the searches within its `with`. SIGVTALRM is ours from then on, and does nothing outside."""

    def __init__(self) -> None:
        """See the class; nothing is set yet."""
        self._since = math.inf
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        """Start the timer."""
        if self._active:
            signal.signal(signal.SIGVTALRM, self._tick)
            signal.setitimer(signal.ITIMER_VIRTUAL, _TICK, _TICK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the timer."""
        if self._active:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            # Never back to the default, which would end the process if a last signal were still on its way.
            signal.signal(signal.SIGVTALRM, _nothing)

    def search(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        """Search; raises TooLong."""
        try:
            self._since = time.process_time()
            return pattern.search(text)
        finally:
            self._since = math.inf

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        if time.process_time() - self._since > SECONDS:
            self._since = math.inf
            raise TooLong


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
