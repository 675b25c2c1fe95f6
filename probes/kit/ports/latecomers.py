"""Hosts that are found late, and what they say of those that are still silent; one law for both engines.

Whoever looks for many hosts at once (a router, or this machine's kernel on a link) may lose its own questions to them,
as in front of a switch that limits ARP. Such hosts lose all that is sent to them, so nothing that they answer shows it.
"""

import math

_MISSING_TO_DOUBT = 0.1
"""Hosts or answers that may still be missing, by the odds, when silence is believed."""
_SURE, _FEW = 0.01, 256


class Latecomers:
    """Hosts that had been asked in vain, and answered in a later round after all.

    `came`: some did. `doubted`: by the odds of it some are still to be expected among the silent ones.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.came = False
        self.doubted = False
        self._missed = self._calm = 0
        self._odds = 0.0

    def look(self, number: int, late: int, answering: int) -> None:
        """Take a round, counted from 0 (the first question): how many were late in it, and how many answer by now."""
        self.came = self.came or late > 0
        self._missed += late * number
        self._calm = 0 if late else self._calm + 1
        self._odds = self._missed / max(1, self._missed + answering)
        self.doubted = still_missing(answering, self._odds, number)

    def over(self, silent: int) -> bool:
        """Tell whether nobody came for long enough to ask no more; `silent` pairs are left."""
        return self._calm >= quiet_rounds(self._odds, silent)


def quiet_rounds(odds: float, silent: int) -> int:
    """Give after how many rounds without anything new silence is believed, when packets get lost at these odds.

    Asking a few pairs often costs little, asking thousands often does.
    """
    if odds <= _SURE:
        return 1
    return min(math.ceil(math.log(_SURE) / math.log(odds)), 12 if silent <= _FEW else 4)


def still_missing(answered: int, odds: float, number: int) -> bool:
    """Tell whether answers are still likely to be missing after a round, where so many came at these odds of loss."""
    return float(answered * odds ** (number + 1)) > _MISSING_TO_DOUBT
