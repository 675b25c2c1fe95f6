"""How fast the SYNs of all lanes leave, and how much slower while packets get lost at this machine."""

from probes.kit.raw.packets.bursts import burst_of
from probes.kit.sending.pacing import Pace

_LEAST_RATE = 200.0
_SLOWER, _FASTER = 0.5, 1.25


class Throttle:
    """The rate of all lanes; slowed when the ring or a queue overflows, and let up again while nothing is lost."""

    def __init__(self, rate: float) -> None:
        """`rate` is never exceeded."""
        self._wanted = rate
        self._pace = Pace(rate, burst_of(rate))

    def spend(self, frames: int) -> None:
        """Count frames that left."""
        self._pace.spend(frames)

    def wait(self) -> float:
        """Give the seconds until the next frame may leave."""
        return self._pace.wait()

    def overflowed(self, achieved: float) -> None:
        """Halve the rate, counted from what really left if that was less."""
        self._pace.rate = max(_LEAST_RATE, min(self._wanted, min(self._pace.rate, achieved) * _SLOWER))

    def went_well(self) -> None:
        """Let the rate up towards what was asked for."""
        self._pace.rate = min(self._wanted, self._pace.rate * _FASTER)
