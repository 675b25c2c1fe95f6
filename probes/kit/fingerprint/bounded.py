"""Patterns with a bound on time: some of others' files take for ever on an answer made for it, or to be compiled.

`re` knows no bound of its own, and looks for signals while it works: a timer of the process's own CPU time ends a
search that is not worth waiting for, however busy the machine and the other threads are. Signals reach the main thread
only, and a probe runs there; in any other thread a search is bounded by the size of its text alone.
"""

import gc
import math
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Self, TypeVar

from wire.text import TextError

T = TypeVar("T")

SECONDS = 0.2
"""CPU time that one pattern may take; ordinary ones take microseconds."""
_TICK = 0.1


class TooLong(TextError):
    """A pattern took longer than SECONDS, to be compiled or to search, and was ended."""

    def __init__(self) -> None:
        super().__init__("正则表达式用时过长", "the pattern takes too long")


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

    def __exit__(self, *_: object) -> None:
        """Stop the timer."""
        if self._active:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            # Never back to the default, which would end the process if a last signal were still on its way.
            signal.signal(signal.SIGVTALRM, _nothing)

    def search(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        """Search; raises TooLong."""
        return self.run(lambda: pattern.search(text))

    def run(self, call: Callable[[], T]) -> T:
        """Do what works with one pattern; raises TooLong, and what the call raises.

        The garbage of a large process is collected afterwards: the time that takes is not the pattern's.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            try:
                self._since = time.thread_time()
                return call()
            finally:
                self._since = math.inf
        finally:
            self._since = math.inf  # the end may have been raised just before it was set
            if collects:
                gc.enable()

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        now = time.thread_time()
        if now - self._since > SECONDS:
            # Raised within a finaliser it would be printed and forgotten: then it is said again.
            self._since = now
            raise TooLong


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern of a file; raises TooLong, re.error, RecursionError or OverflowError."""
    with Clock() as clock:
        return clock.run(lambda: re.compile(pattern, flags))
