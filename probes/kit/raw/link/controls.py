"""Whether silence on a link proves that nobody is there: those known to be there are asked along, as a control.

A switch that limits ARP drops questions without a word, some cut a station off that asks for many addresses, and on
wireless cells broadcasts get lost. The share of the controls that keep silent in a round is its odds of loss, whatever
the reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from probes.kit.ports.order import shuffled

MOST_ROUNDS = 8
_CONTROLS = 32
_SOUND = 16
"""Controls that must all have answered before a second question is the last."""
_EXPECTED = 0.1
"""Hosts that may be missing by the odds when silence is believed."""
_TOLERATED, _SHARE = 0.1, 0.8
"""Loss that slows nobody down, and the share of the rate that came through at which the next round is asked."""
_LEAST_RATE, _LONGEST_ROUND = 100.0, 10.0
"""Questions a second, and seconds, beyond which nothing is slowed down."""
_CUT_OFF = 2
"""Rounds in a row in which no control answered: something keeps our questions away."""


@dataclass(slots=True)
class Controls:
    """What the rounds of questions say about one link; `tries` are enough where nothing gets lost."""

    tries: int
    rounds: int = 0
    _known: int = 0
    _odds: float = 1.0
    _deaf: int = 0
    _new: int = 0
    _asked: int = 0
    _open: set[bytes] = field(default_factory=set)

    def begin(self, known: Iterable[bytes]) -> list[bytes]:
        """Begin a round; give the controls to ask in it, out of the addresses that have answered so far."""
        if self._asked:
            self._deaf = self._deaf + 1 if self.lost == 1 else 0
            self._odds *= self.lost
        answered = list(known)
        self.rounds += 1
        self._known, self._new = len(answered), 0
        controls = [answered[place] for place in shuffled(len(answered))[:_CONTROLS]]
        self._asked, self._open = len(controls), set(controls)
        return controls

    def answered(self, address: bytes) -> None:
        """Take the answer of an address that had answered before."""
        self._open.discard(address)

    def newcomer(self) -> None:
        """Take the first answer of an address."""
        self._new += 1

    def awaits(self, address: bytes) -> bool:
        """Whether an address is a control of this round that has not answered yet."""
        return address in self._open

    @property
    def lost(self) -> float:
        """The share of this round's controls that have not answered; 0 where there is none."""
        return len(self._open) / self._asked if self._asked else 0.0

    def slower(self, rate: float, left: int) -> float:
        """Give the rate for the next round of `left` questions: at most what came through of this one's."""
        if self.lost <= _TOLERATED:
            return rate
        return min(rate, max(_LEAST_RATE, left / _LONGEST_ROUND, rate * (1 - self.lost) * _SHARE))

    @property
    def proven(self) -> bool:
        """Whether the silence of the others is believed; where nobody has answered before there is no control."""
        return not self._asked or (self._known + self._new) * self._odds * self.lost <= _EXPECTED

    @property
    def enough(self) -> bool:
        """Whether one more round would be in vain."""
        if self.rounds >= MOST_ROUNDS or (self.lost == 1 and self._deaf >= _CUT_OFF - 1):
            return True
        if self.rounds >= self.tries:
            return self.rounds == 1 or (not self._new and self.proven)
        return self._asked >= _SOUND and not self._open and not self._new
