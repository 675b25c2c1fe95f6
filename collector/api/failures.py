"""How often a source may fail to identify itself before it is told to slow down."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from math import ceil

WINDOW_SECONDS = 60.0
MAX_SOURCES = 16_384


class Failures:
    """Counts failures by address and by credential in windows of a minute; memory is bounded.

    A good credential always passes: hundreds of schools may sit behind one address, and one that is set up wrongly
    must not lock out the others. Guessing is hopeless anyway (256 random bits), so this protects the log and the store.
    """

    def __init__(
        self, per_minute: int = 30, limit: int = MAX_SOURCES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow `per_minute` failures to each address and each credential."""
        self._per_minute, self._limit, self._clock = per_minute, limit, clock
        self._seen: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def wait(self, key: str) -> int:
        """Give for how many seconds a source has to wait, 0 when it may try."""
        since, count = self._seen.get(_short(key), (0.0, 0))
        left = since + WINDOW_SECONDS - self._clock()
        return ceil(left) if count >= self._per_minute and left > 0 else 0

    def note(self, key: str) -> None:
        """Count one failure of a source."""
        short, now = _short(key), self._clock()
        since, count = self._seen.get(short, (now, 0))
        self._seen[short] = (now, 1) if now - since >= WINDOW_SECONDS else (since, count + 1)
        self._seen.move_to_end(short)
        while len(self._seen) > self._limit:
            self._seen.popitem(last=False)


def _short(key: str) -> bytes:
    """Keys may be secrets or long: keep a digest."""
    return blake2b(key.encode(), digest_size=16).digest()
