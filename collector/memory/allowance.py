"""How much one agent may bring at once: what it invents must neither fill the store nor hold up all other reports.

What is new costs the writer some 0.3 ms and the store a kilobyte; what is known costs next to nothing. Changes and
samples are forgotten after their time, so a slower rate of their own bounds how much of them there is at any time.
"""

from collections.abc import Iterable

from collector.errors import Busy
from collector.settings import Settings
from collector.sightings.compare import Difference, KnownRow

_LONGEST_WAIT = 600.0
_CHANGES = 8
"""Changes to what is known that weigh as much as one new thing."""
BYTES = 1024


def weight(found: Difference) -> int:
    """Weigh what a run changes, in new things of ordinary size."""
    told = sum(len(detail) for _, detail in found.fresh.values()) // BYTES
    return max(len(found.fresh), told) + (len(found.altered) + len(found.lost)) // _CHANGES


def size_of(known: Iterable[KnownRow], details: int) -> int:
    """Give the size of all that a section holds, in things: a row is one, and so is each KiB of what is told of them.

    `details` are the characters of what it covered and skipped.
    """
    lengths = [len(detail) for _, _, detail, _ in known]
    return len(lengths) + (sum(lengths) + details) // BYTES


def weight_of(text: str) -> int:
    """Weigh a text that is kept whole, in a row of its own."""
    return 1 + len(text) // BYTES


class Bucket:
    """What each agent may still take; it fills again with time."""

    def __init__(self, most: int, rate: float, what: str) -> None:
        """Start with every agent's bucket full; `rate` a second comes back."""
        self._most, self._rate, self._what = most, rate, what
        self._left: dict[str, tuple[float, float]] = {}

    def left(self, agent: str, now: float) -> float:
        """Give what is left to an agent."""
        left, since = self._left.get(agent, (float(self._most), now))
        return min(self._most, left + max(0.0, now - since) * self._rate)

    def require(self, agent: str, count: int, now: float) -> None:
        """Raise Busy where fewer are left. More than a bucket holds takes a full one, and its time."""
        missing = min(count, self._most) - self.left(agent, now)
        if missing > 0:
            wait = min(_LONGEST_WAIT, missing / self._rate)
            raise Busy(f"{count} {self._what} at once are more than this agent may bring now", wait)

    def take(self, agent: str, count: int, now: float) -> None:
        """Take so many, whatever is left; a negative number gives back."""
        self._left[agent] = self.left(agent, now) - count, now


class Allowance:
    """A bucket of new things and one of what is kept for a time, for each agent; only the writer's thread uses it."""

    def __init__(self, settings: Settings) -> None:
        """Start with every bucket full."""
        self.fresh = Bucket(settings.new_at_once, settings.new_per_second, "new things")
        self.kept = Bucket(settings.kept_at_once, settings.kept_per_second, "changes and samples")

    def spend(self, agent: str, fresh: int, kept: int, now: float) -> None:
        """Take from both buckets, or from none: raises Busy."""
        self.fresh.require(agent, fresh, now)
        self.kept.require(agent, kept, now)
        self.fresh.take(agent, fresh, now)
        self.kept.take(agent, kept, now)

    def give_back(self, agent: str, fresh: int, kept: int, now: float) -> None:
        """What was taken was not kept."""
        self.fresh.take(agent, -fresh, now)
        self.kept.take(agent, -kept, now)
