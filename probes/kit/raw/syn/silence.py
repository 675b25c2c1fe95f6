"""The law of `ports.loss` for the first round of a lane: rising silence slows it, and ends it where that is in vain.

Where a few hosts that fell silent explain all of it, only they are asked no more.
"""

import operator
from collections import deque

from probes.kit.ports.loss import KNOWN, WINDOW, Brake, risen, spread_of
from probes.kit.raw.packets.states import State
from probes.kit.sending.pacing import Pace

_LOOK_SECONDS = 0.05
_UNASKED = bytes([State.DOUBTED, *range(State.NO_NEIGHBOUR, State.NOT_ASKED + 1)])
"""What was not sent, and in this round hosts that were set aside."""
_CHANCE = 1e-3
"""Odds below which a host that answered before, and not at all since, fell silent."""


class RowWatch:
    """Compares windows of whole rows, in the order of asking, with all rows before that were no rise.

    Each host has one pair in each row, so what is to be expected needs no books per host. Only what TCP says is an
    answer: hosts and routers limit ICMP errors, so their absence is no loss.
    """

    def __init__(self, states: bytearray, hosts: int) -> None:
        """`states` are a lane's, which are looked at when their time has come."""
        self._states = states
        self._hosts = hosts
        self._window = -(-WINDOW // hosts) * hosts
        self._under_way: deque[tuple[float, int]] = deque()
        self._asked = self._settled = 0
        self._at = 0
        self._silent = self._tried = self._rows = 0
        self._rose: tuple[int, int] | None = None  # the window in which silence began to rise
        self.answered = 0

    def note(self, asked: int, now: float) -> None:
        """Take how many pairs the round has come to, on time.monotonic()."""
        self._asked = asked
        self._under_way.append((now, asked))

    def ripen(self, before: float) -> None:
        """Say that what was asked before that moment, and is silent, stays silent."""
        while self._under_way and self._under_way[0][0] <= before:
            self._settled = self._under_way.popleft()[1]

    def look(self) -> bool | None:
        """Go through what is settled: True when silence has risen, False when not, None while it is too little."""
        if self._rows < KNOWN:
            first = KNOWN * self._hosts
            if self._settled < first:
                return None
            self._learn(first, *self._count(first))
        if self._settled < self._at + self._window:
            return None
        silent, tried = self._count(self._window)
        self.answered = tried - silent
        before = max(1, self._tried)
        expected = tried * self._silent / before
        if risen(tried, silent - expected, spread_of(self._silent, before, tried)):
            self._rose = self._rose or (self._at, self._at + self._window)
            self._at += self._window
            return True
        self._rose = None
        self._learn(self._window, silent, tried)
        return False

    def fallen(self) -> list[int]:
        """Give the hosts that fell silent since silence rose, where the others answer as they did before.

        A host counts when its last tries, a window of them and enough to know, were all in vain: silence may have begun
        with a moment in which all lost answers, and where fewer were made, all of them have to be.

        None where more than these is wrong. They are expected to answer no more: the caller sets them aside (DOUBTED).
        """
        if self._rose is None:
            return []
        calm, risen_by, end = (place // self._hosts for place in (*self._rose, self._at))
        fallen, others = [], [0, 0, 0, 0]
        for host in range(self._hosts):
            column = self._states[host :: self._hosts]
            before, since = _tally(column[:calm]), _tally(column[risen_by:end])
            mute = _mute(column[risen_by:end])
            least = min(since[1], max(KNOWN, self._window // self._hosts))
            if mute >= least and ((before[0] + 1) / (before[1] + 2)) ** mute < _CHANCE:
                fallen.append(host)
            elif since[1]:
                others = [*map(operator.add, others, (*before, *since))]
        silent, tried, silent_since, tried_since = others
        if not tried_since or risen(
            tried_since, silent_since - tried_since * silent / max(1, tried), spread_of(silent, tried, tried_since)
        ):
            return []
        self._rose = None
        self._silent, self._tried = silent, tried
        return fallen

    def restart(self) -> None:
        """Leave out what is under way: it was sent before something was done about the loss."""
        self._at = -(-self._asked // self._hosts) * self._hosts
        self._under_way.clear()

    def _count(self, pairs: int) -> tuple[int, int]:
        return _tally(self._states[self._at : self._at + pairs])

    def _learn(self, pairs: int, silent: int, tried: int) -> None:
        self._at += pairs
        self._rows += pairs // self._hosts
        self._silent += silent
        self._tried += tried


def _mute(states: bytearray) -> int:
    """Give how many of the last tries were silent."""
    sent = states.translate(None, _UNASKED)
    return len(sent) - 1 - max(sent.rfind(State.OPEN), sent.rfind(State.CLOSED))


def _tally(states: bytearray) -> tuple[int, int]:
    """Give how many pairs are silent, and how many were sent."""
    sent = states.translate(None, _UNASKED)
    return len(sent) - sent.count(State.OPEN) - sent.count(State.CLOSED), len(sent)


class FirstRound:
    """The brake of one lane, in the round that asks everything once."""

    def __init__(self, states: bytearray, hosts: int) -> None:
        """See RowWatch."""
        self.paces: list[Pace] = []
        self._watch = RowWatch(states, hosts)
        self._brake = Brake(self.paces, self._watch)
        self._looked = 0.0
        self._asked = self._asked_then = 0

    def wait(self) -> float:
        """Give the seconds until more may leave."""
        return max((pace.wait() for pace in self.paces), default=0.0)

    def sent(self, frames: int, asked: int, now: float) -> None:
        """Count frames that left, and how many pairs that has come to."""
        for pace in self.paces:
            pace.spend(frames)
        self._asked = asked
        self._watch.note(asked, now)

    def in_vain(self, now: float, patience: float) -> bool:
        """Tell whether asking has to end; what stays without an answer for `patience` seconds is silent."""
        if now - self._looked < _LOOK_SECONDS:
            return False
        rate = (self._asked - self._asked_then) / (now - self._looked)
        self._looked, self._asked_then = now, self._asked
        self._watch.ripen(now - patience)
        return self._brake.look(rate) is True

    def fallen(self) -> list[int]:
        """Once it is in vain: give the hosts (by number) to set aside so that asking the others goes on, else none."""
        fallen = self._watch.fallen()
        if fallen:
            self._brake.go_on()
        return fallen
