"""When silence is believed: which hosts of a lane still bring something new, and which fell silent themselves."""

import re
from array import array
from collections.abc import Iterable
from itertools import islice

from probes.kit.ports.latecomers import Latecomers, quiet_rounds, still_missing
from probes.kit.raw.packets.answers import CLOSED, OPEN
from probes.kit.raw.packets.states import State

AGAIN = 32
"""Marks a pair that is open or closed and is asked once more, to see whether its host still answers."""
UNMARK = bytes(state ^ AGAIN if state in (OPEN | AGAIN, CLOSED | AGAIN) else state for state in range(256))
_ANSWERED = re.compile(rb"[%c%c]" % (OPEN, CLOSED))
_GIVE_UP = bytes([State.GIVEN_UP, *range(1, 256)])
_DOUBT = bytes([State.DOUBTED, *range(1, 256)])
_LEAVE = bytes([State.NOT_ASKED, *range(1, 256)])
_ASK_AGAIN = bytes(0 if state == State.HOST_UNREACHABLE else state for state in range(256))
_SIGNS_OF_LIFE = 3
"""Answered questions that are put to a host again with each further look at what it did not answer."""
_LIFELESS_ROUNDS = 2


class Belief:
    """What the rounds so far say of the hosts of a lane, whose states it settles; hosts go by their number.

    `missed` are questions that went unanswered and were answered later.
    """

    def __init__(self, states: bytearray, hosts: int) -> None:
        """`states` are the lane's, row by row, host by host."""
        self.missed = 0
        self._states = states
        self._width = hosts
        self._round = 0
        self._recovered = array("L", [0]) * hosts  # pairs whose first answer came in this round
        self._missed = array("L", [0]) * hosts
        self._quiet = array("L", [0]) * hosts  # rounds in a row without anything new
        self._lifeless = array("L", [0]) * hosts  # rounds in a row without an answer that was given before
        self._signs: dict[int, int] = {}  # state of the pairs that are marked AGAIN
        self._mute: set[int] = set()  # hosts that had not answered anything when the round began
        self._late = Latecomers()

    @property
    def expects_late(self) -> bool:
        """Whether hosts that had kept silent answered after all, so that others may."""
        return self._late.came and bool(self._mute)

    def begin(self, number: int) -> None:
        """Prepare a round of asking, counted from 0: from the second on a few answered pairs are asked along."""
        self._see_who_lives()
        self._round = number
        self._recovered = array("L", [0]) * self._width
        if number:
            self._mute = {host for host in range(self._width) if not self._has_answered(host)}
            self._ask_for_life()

    def recover(self, host: int) -> None:
        """Take a first answer, to the question of this round."""
        self._recovered[host] += 1
        self._missed[host] += self._round
        self.missed += self._round

    def judge(self) -> float:
        """Believe the silence of hosts that brought nothing new often enough; gives the worst loss of the others.

        A loss is the share of a host's answers that came in this round and not when they were asked for first.
        """
        self._see_who_lives()
        mute = {host for host in self._mute if not self._has_answered(host)}
        self._late.look(self._round, len(self._mute) - len(mute), self._width - len(mute))
        self._mute = mute
        if not any(self._missed) and not any(self._lifeless) and not self._late.came:
            self._states[:] = self._states.translate(_GIVE_UP)
            return 0.0
        if mute and self._late.came:
            self._judge_mute()
        worst = 0.0
        for host, new in enumerate(self._recovered):
            column = self._states[host :: self._width]
            if 0 not in column or (self._late.came and host in mute):
                continue
            if self._lifeless[host]:
                if self._lifeless[host] >= _LIFELESS_ROUNDS:
                    self._states[host :: self._width] = column.translate(_DOUBT)
                continue
            answered = column.count(OPEN) + column.count(CLOSED)
            missed = self._missed[host]
            odds = missed / (missed + answered) if missed else 0.0
            if new:
                self._quiet[host] = 0
                worst = max(worst, new / answered)
                continue
            self._quiet[host] += 1
            if self._quiet[host] >= quiet_rounds(odds, column.count(0)):
                doubted = still_missing(answered, odds, self._round)
                self._states[host :: self._width] = column.translate(_DOUBT if doubted else _GIVE_UP)
        return worst

    def give_up(self, asked: int) -> None:
        """Ask nothing more: all silence is in doubt, and what was not come to (pairs from `asked` on) stays so."""
        self._states[:asked] = self._states[:asked].translate(_DOUBT)
        self._states[asked:] = self._states[asked:].translate(_LEAVE)

    def set_aside(self, hosts: Iterable[int]) -> None:
        """Ask some hosts nothing more: what they have not answered is in doubt."""
        for host in hosts:
            self._states[host :: self._width] = self._states[host :: self._width].translate(_DOUBT)

    def _judge_mute(self) -> None:
        """Ask those that have not answered at all once more, until nobody is to be expected among them."""
        table = _ASK_AGAIN
        if self._late.over(len(self._mute) * len(self._states) // self._width):
            table = _DOUBT if self._late.doubted else _GIVE_UP
        for host in self._mute:
            self._states[host :: self._width] = self._states[host :: self._width].translate(table)

    def _has_answered(self, host: int) -> bool:
        return _ANSWERED.search(self._states[host :: self._width]) is not None

    def _ask_for_life(self) -> None:
        """Choose a few answered pairs of each host with silent ones, to be asked with them."""
        for host in range(self._width):
            column = self._states[host :: self._width]
            if 0 in column:
                for found in islice(_ANSWERED.finditer(column), _SIGNS_OF_LIFE):
                    index = found.start() * self._width + host
                    self._signs[index] = self._states[index]
                    self._states[index] |= AGAIN

    def _see_who_lives(self) -> None:
        """Count the rounds in which a host no longer answered what it had answered; what it had said stands."""
        alive: dict[int, bool] = {}
        for index, before in self._signs.items():
            host, now = index % self._width, self._states[index]
            alive[host] = alive.get(host, self._recovered[host] > 0) or now <= CLOSED
            self._states[index] = min(before, now)
        for host, lives in alive.items():
            self._lifeless[host] = 0 if lives else self._lifeless[host] + 1
        self._signs.clear()
