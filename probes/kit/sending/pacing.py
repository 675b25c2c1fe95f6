"""How fast and when packets may leave: one token bucket for all sending, and quiet hours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from datetime import time as daytime

from wire.text import TextError

DEFAULT_RATE = 5000.0
"""New connections and datagrams a second; a small school router follows that many without dropping others' traffic."""


class Pace:
    """A token bucket: `rate` sends a second on average, never more than `burst` at once. Not for several threads."""

    __slots__ = ("_clock", "_filled", "_tokens", "burst", "rate")

    def __init__(
        self, rate: float = DEFAULT_RATE, burst: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`rate` in sends per second, above 0; `burst` defaults to what 20 ms bring, at least 1."""
        if not rate > 0:
            raise ValueError("the rate must be above 0 sends a second")
        self.rate = rate
        self.burst = max(1.0, rate / 50 if burst is None else burst)
        self._clock = clock
        self._tokens = self.burst
        self._filled = clock()

    def narrow(self, rate: float) -> None:
        """Lower the rate from now on; a higher one changes nothing."""
        if rate < self.rate:
            self.rate, self.burst = rate, max(1.0, rate / 50)
            self._tokens = min(self._tokens, self.burst)

    def available(self) -> int:
        """Give how many sends are allowed right now."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        return int(self._tokens)

    def spend(self, count: int) -> None:
        """Take tokens for sends that were made; the balance may go below zero, which later sends wait for."""
        self._tokens -= count

    def wait(self) -> float:
        """Give the seconds until one more send is allowed; 0 when it is now."""
        return 0.0 if self.available() >= 1 else (1 - self._tokens) / self.rate


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A daily span of local time in which nothing leaves this machine; `end` is past it, midnight may lie within."""

    start: daytime
    end: daytime

    @classmethod
    def parse(cls, text: str) -> "QuietHours":
        """Read `07:30-12:00`; raises ValueError saying what is allowed."""
        start, dash, end = text.partition("-")
        try:
            if not dash:
                raise ValueError
            span = cls(_clock_time(start), _clock_time(end))
        except ValueError:
            raise TextError(
                f"{text!r} 不是 07:30-12:00 或 22:00-06:00 这样的时段",
                f"{text!r} is not a span such as 07:30-12:00 or 22:00-06:00",
            ) from None
        if span.start == span.end:
            raise TextError(
                f"{text!r} 为空；几乎一整天可写 00:00-23:59",
                f"{text!r} is empty; write 00:00-23:59 for nearly a whole day",
            )
        return span

    def __contains__(self, moment: datetime) -> bool:
        """Tell whether a moment (in local time) is quiet."""
        now = moment.time().replace(tzinfo=None)
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def __str__(self) -> str:
        """Write the span as `parse` reads it."""
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def _clock_time(text: str) -> daytime:
    hour, minute = text.strip().split(":")
    if not (hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit() and len(hour + minute) <= 4):
        raise ValueError
    return daytime(int(hour), int(minute))
