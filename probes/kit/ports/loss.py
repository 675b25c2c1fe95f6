"""Tells lost packets from filtered ports, so that silence is not taken for an answer, and a path in trouble gets less.

Two signs are certain enough. What answers a later try and not the first one shows loss at that host (`Host`). And
while a host's ports are asked in random order, the share of silent ones does not rise by itself: many that are silent
against what the same hosts made us expect show that the path, or something on it, gives way (`LossWatch`).
"""

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import Protocol

from probes.kit.sending.pacing import Pace

MOST_TRIES = 12
"""Further tries at a host that loses packets."""
_MISSING_TO_DOUBT = 0.01
"""Answers that may still be missing, by the odds, when silence is believed."""
_LOSS_THAT_SLOWS = 0.02
_FEW = 3
_SHORTEST_GAP, _LONGEST_GAP = 1e-6, 1 / 50
_BURST_SECONDS = 0.02
_HOLD_SECONDS = 1.0
_LET_UP = 0.1
"""Growth of a host's rate in a second."""
_LEAST_RATE = 50.0
_MOST_STRIKES = 3
_HELPED = 1.5
_FASTER = 1.25

WINDOW = 256
KNOWN = 16
"""First tries that a host must have settled before it makes us expect anything."""
BOUND = 0.25
"""Share of silence above what was expected, from which on it is loss, unless chance explains it."""
_DEVIATIONS = 5.0
"""Standard deviations that chance explains; it also bent what we expect of hosts that were asked little before."""


def spread_of(silent: int, tried: int, more: int) -> float:
    """Give the variance of how many of `more` tries at a host are silent, when so many of those before were."""
    share = (silent + 1) / (tried + 2)
    return more * share * (1 - share) * (1 + more / tried)


def risen(tries: int, excess: float, variance: float) -> bool:
    """Tell whether silence of so many tries is loss, from how much more there was than expected."""
    return excess > max(BOUND * tries, _DEVIATIONS * math.sqrt(variance))


@dataclass(slots=True, eq=False)
class Host:
    """How one host answers. `gap` is the seconds between two tries of it once it is seen to lose them, else 0.

    `made` counts the tries, all of them.
    """

    made: int = 0
    answered: int = 0
    missed: int = 0
    tried: int = 0
    silent: int = 0
    gap: float = 0.0
    tokens: float = 0.0
    _since: tuple[int, int] = (0, 0)
    _made: int = 0
    _at: float = 0.0
    _hold: float = 0.0

    def answer(self, tries: int, now: float) -> bool:
        """Take an answer that came after so many tries went unanswered; True when the host has to get less from now on.

        `now` is on time.monotonic(). What was under way when the host was slowed down went at the old rate.
        """
        self.answered += 1
        if not tries:
            self._at = self._at or now
            return False
        self.missed += tries
        if now < self._hold:
            self._since = self.answered, self.missed
            return False
        answered, missed = self.answered - self._since[0], self.missed - self._since[1]
        if missed < _FEW or missed < _LOSS_THAT_SLOWS * (missed + answered) or self.gap >= _LONGEST_GAP:
            return False
        # Half of what it really got until now.
        went = (now - (self._at or now)) / max(1, self.made - self._made)
        self.gap = min(_LONGEST_GAP, max(2 * self.gap, 2 * went, _SHORTEST_GAP))
        self._since, self._hold = (self.answered, self.missed), now + _HOLD_SECONDS
        self._made, self._at = self.made, now
        return True

    def doubtful(self, tries: int) -> bool:
        """Tell whether silence after so many further tries may still be loss."""
        if not self.missed:
            return False
        odds = self.missed / (self.missed + self.answered)
        return float(self.answered * odds ** (tries + 1)) > _MISSING_TO_DOUBT

    def earn(self, seconds: float, now: float) -> int:
        """Give how many tries the host may get, that much later; a little more while nothing gets lost."""
        if now >= self._hold:
            self.gap /= 1 + _LET_UP * min(1.0, seconds)
        self.tokens = min(max(1.0, _BURST_SECONDS / self.gap), self.tokens + seconds / self.gap)
        return int(self.tokens)


@dataclass(slots=True, eq=False)
class Try:
    """One first try that is under way; `silent` is set when it is known."""

    host: Host
    silent: bool | None = None


class LossWatch:
    """Takes first tries as they are made, and tells after each WINDOW of them whether silence has risen.

    They are looked at in the order in which they were made: answers come at once, silence shows only when its time is
    over. A window in which it has risen teaches nothing about the hosts.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.answered = 0
        self._under_way: deque[Try] = deque()
        self._window: list[Try] = []
        self._silent = 0
        self._expected = 0.0

    def begin(self, host: Host) -> Try:
        """Take a first try at a host; set its `silent` when that is known."""
        made = Try(host)
        self._under_way.append(made)
        return made

    def look(self) -> bool | None:
        """Go through what is known by now: True when silence has risen, False when not, None while it is too little."""
        while self._under_way and self._under_way[0].silent is not None:
            made = self._under_way.popleft()
            host = made.host
            if host.tried < KNOWN:
                _learn(made)
                continue
            self._window.append(made)
            self._silent += made.silent is True
            self._expected += host.silent / host.tried
            if len(self._window) == WINDOW:
                self.answered = WINDOW - self._silent
                again = Counter(item.host for item in self._window)
                variance = sum(spread_of(host.silent, host.tried, more) for host, more in again.items())
                rise = risen(WINDOW, self._silent - self._expected, variance)
                if not rise:
                    for item in self._window:
                        _learn(item)
                self._start_window()
                return rise
        return None

    def restart(self) -> None:
        """Leave out what is under way: it was sent before something was done about the loss."""
        self._under_way.clear()
        self._start_window()

    def _start_window(self) -> None:
        self._window = []
        self._silent, self._expected = 0, 0.0


def _learn(made: Try) -> None:
    made.host.tried += 1
    made.host.silent += made.silent is True


class Watch(Protocol):
    """What a brake goes by; `answered` tries of the last window were not silent."""

    answered: int

    def look(self) -> bool | None:
        """Give True when silence has risen, False when not, None while it is too little to tell."""

    def restart(self) -> None:
        """Leave out what is under way."""


class Brake:
    """Slows all sending while silence rises, lets it up again after, and says when slowing down does not help."""

    def __init__(self, paces: list[Pace], watch: Watch) -> None:
        """Take the paces that sending obeys; one more is added when it is needed."""
        self._watch = watch
        self._paces = paces
        self._pace: Pace | None = None
        self._before = 0.0
        self._strikes = 0
        self._answered = 0

    def look(self, sending: float) -> bool | None:
        """Give True when sending has to end, False when all is calm, else None; `sending` is tries a second now."""
        calm = None
        while (rise := self._watch.look()) is not None:
            if rise:
                return self._slow_down(sending)
            calm = False
            self._let_up()
        return calm

    def go_on(self) -> None:
        """Begin anew, since what caused the loss is asked no more."""
        self._watch.restart()
        self._let_up()

    def _slow_down(self, sending: float) -> bool | None:
        # Whoever answers only so many a second answers a larger share of fewer; a path that loses does not.
        helped = self._strikes and self._watch.answered > _HELPED * self._answered
        self._answered = self._watch.answered
        self._strikes += not helped
        if self._strikes > _MOST_STRIKES:
            return True
        self._watch.restart()
        if self._pace is None:
            self._before = max(_LEAST_RATE, sending)
            self._pace = Pace(self._before)
            self._paces.append(self._pace)
        self._pace.rate = max(_LEAST_RATE, self._pace.rate / 2)
        return None

    def _let_up(self) -> None:
        self._strikes = 0
        if self._pace is not None:
            self._pace.rate *= _FASTER
            if self._pace.rate >= self._before:
                self._paces.remove(self._pace)
                self._pace = None
