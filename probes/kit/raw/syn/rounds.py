"""Rounds of asking over all lanes: everything once, then only what stayed silent, slower where packets get lost."""

import time
from collections.abc import Sequence

from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.helper.outlet import Outlet
from probes.kit.raw.helper.waiting import OutOfTime, Waiting
from probes.kit.raw.packets.bursts import BURST_SECONDS
from probes.kit.raw.syn.lane import LONGEST_TRIP, Lane, Piece
from probes.kit.raw.syn.messages import MOST_OPENED, MOST_ROUNDS, Done, Job, Said, write_opened
from probes.kit.raw.syn.silence import FirstRound
from probes.kit.raw.syn.throttle import Throttle
from probes.kit.sending.pacing import Pace

_MOST_OVERFLOWS = 3
"""Rounds that are repeated because answers found the receive ring full; somebody may be flooding it."""
_LOSS_THAT_SLOWS = 0.02
_SECOND_LOOK = 0.25
_FAST_ENOUGH = 20_000.0
"""A second look goes at a quarter of the rate of the first one, but no slower than this at one host for that reason."""
_LEAST_HOST_RATE = 50.0
_LEAST_FURTHER, _FURTHER = 60.0, 4.0
"""Seconds, and multiples of what the first rounds took, for further ones: some hosts answer late by design."""
_SETTLING, _UNKNOWN_TRIP = 0.02, 0.25
_TRIPS_BETWEEN, _TRIPS_AT_END = 2, 4
_LEAST_PATIENCE = 0.1
_LEAST_TO_BE_SILENT = 0.25
"""Seconds after which a first question may count as unanswered, while others are still being asked."""
_HOUSEKEEPING_SECONDS = 0.05
_PROGRESS_SECONDS = 0.5
_FULL_QUEUE_SECONDS = 0.001
_MOST_JAMMED_SECONDS = 5.0
"""How long a link may take nothing at all: a cable that is plugged in again is in use within less."""


class Rounds:
    """One run over all lanes; afterwards `finished` tells whether silence was waited for to the end."""

    def __init__(self, lanes: Sequence[Lane], job: Job, deadline: float, outlet: Outlet) -> None:
        """`deadline` is on time.monotonic()."""
        self.rounds = 0
        self.send_seconds = 0.0
        self.finished = False
        self.lossy = False  # some lane gave up, since more and more got lost
        self._lanes = lanes
        self._job = job
        self._deadline = deadline
        self._outlet = outlet
        self._throttle = Throttle(job.rate)
        self._host_rate = job.host_rate
        self._overflow = False
        self._overflows = 0
        self._kept = self._told = self._heard = time.monotonic()
        self._sent_then = 0
        self._waiting = Waiting((lane.ring.socket for lane in lanes), self._receive)

    def run(self) -> None:
        """Ask until every pair is settled or its silence is believed; stops at the deadline. Raises ParentGone."""
        began = time.monotonic()
        try:
            while self._silent():
                if self.rounds == MOST_ROUNDS or self._overflows == _MOST_OVERFLOWS:
                    return
                self._overflow = False
                rate = self._ask_all()
                self.rounds += 1
                if self.rounds <= self._job.retries:
                    self._waiting.wait(self._settling(), self._silent)
                    self._host_rate = min(self._host_rate, max(rate * _SECOND_LOOK, _FAST_ENOUGH))
                else:
                    patience = max(map(self._patience, self._lanes))
                    if any(lane.belief.expects_late for lane in self._lanes):
                        # A router that gave up a host says so at once, and looks for it again only some time later.
                        self._waiting.pause(patience)
                    else:
                        self._waiting.wait(patience, self._silent)
                    self._judge(rate)
                    self._bound(time.monotonic() - began)
            self.finished = True
        except OutOfTime:
            return

    def figures(self, seconds: float) -> Done:
        """Tell what is left to tell, and sum up the run, which took `seconds` in all."""
        self._tell_opened()
        for lane in self._lanes:
            lane.ring.count_dropped()
        return Done(
            complete=self.finished,
            sent=sum(lane.sent for lane in self._lanes),
            answers=sum(lane.answers for lane in self._lanes),
            forged=sum(lane.forged for lane in self._lanes),
            dropped=sum(lane.ring.dropped for lane in self._lanes),
            unsent=sum(lane.unsent for lane in self._lanes),
            rounds=self.rounds,
            send_seconds=self.send_seconds,
            seconds=seconds,
            lost=self._lost(),
            lossy=self.lossy,
        )

    def _lost(self) -> float:
        """Share of questions to pairs that did answer in the end which went unanswered."""
        missed = sum(lane.belief.missed for lane in self._lanes)
        return missed / (missed + sum(lane.answers for lane in self._lanes)) if missed else 0.0

    def _silent(self) -> bool:
        return any(0 in lane.states for lane in self._lanes)

    def _ask_all(self) -> float:
        """Ask every silent pair once; gives how many SYNs a second one host got at most."""
        started = time.monotonic()
        asked = [_Asking(lane, self.rounds, self._host_rate) for lane in self._lanes]
        going = list(asked)
        while going:
            shortest = 1.0
            for one in list(going):
                if self._in_vain(one):
                    going.remove(one)
                    continue
                left = one.wait()
                shortest = min(shortest, left)
                if left > 0:
                    continue
                piece = one.ask()
                if piece is None:
                    going.remove(one)
                    continue
                self._account(piece)
            if going and shortest > 0:
                self._waiting.pause(shortest)
        took = time.monotonic() - started
        self.send_seconds += took
        return max(one.rows for one in asked) / max(took, 1e-6)

    def _in_vain(self, one: "_Asking") -> bool:
        """Tell whether a lane has to be given up; where some hosts explain the loss, only they are."""
        lane, brake = one.lane, one.brake
        if not one.jammed:
            if brake is None or self._overflow or not brake.in_vain(self._heard, self._silent_after(lane)):
                return False
            fallen = brake.fallen()
            if fallen:
                lane.belief.set_aside(fallen)
                return False
        lane.belief.give_up(lane.asked)
        self.lossy = True
        return True

    def _account(self, piece: Piece) -> None:
        self._throttle.spend(piece.frames)
        self._receive()
        left = self._throttle.wait() if piece.frames else _FULL_QUEUE_SECONDS
        if left > 0:
            self._waiting.pause(left)

    def _judge(self, rate: float) -> None:
        """Believe the silence of hosts that brought nothing new; ask the others again, slower if they lose much."""
        if self._overflow:
            self._overflows += 1
            return
        if max([lane.belief.judge() for lane in self._lanes]) > _LOSS_THAT_SLOWS:
            self._host_rate = max(_LEAST_HOST_RATE, min(self._host_rate, rate) / 2)

    def _bound(self, took: float) -> None:
        """Once all was asked as often as it has to be, bound what is asked of those that still bring something new."""
        if self.rounds == self._job.retries + 1:
            self._deadline = min(self._deadline, time.monotonic() + max(_LEAST_FURTHER, _FURTHER * took))

    def _settling(self) -> float:
        """How long to wait before the next look, so that answers under way are not asked for again."""
        longest = max(lane.longest for lane in self._lanes)
        return min(self._job.wait, max(_SETTLING, _TRIPS_BETWEEN * longest) if longest else _UNKNOWN_TRIP)

    def _silent_after(self, lane: Lane) -> float:
        longest = max(_LEAST_TO_BE_SILENT, _TRIPS_AT_END * lane.longest)
        return min(self._job.wait, longest) if lane.longest else self._job.wait

    def _patience(self, lane: Lane) -> float:
        """How long silence is waited for: by the round trips seen, longer where silent hosts may be farther away."""
        if not lane.longest or lane.belief.expects_late:
            return self._job.wait
        farther = lane.routed and any(trip == LONGEST_TRIP for trip in lane.trips)
        least = self._job.wait / 2 if farther else _LEAST_PATIENCE
        return min(self._job.wait, max(least, _TRIPS_AT_END * lane.longest))

    def _receive(self) -> None:
        self._heard = time.monotonic()  # what came before that is taken in
        for lane in self._lanes:
            lane.receive()
        now = time.monotonic()
        if now > self._deadline:
            raise OutOfTime
        if now - self._kept >= _HOUSEKEEPING_SECONDS:
            self._keep_house(now)

    def _tell_opened(self) -> None:
        for lane in self._lanes:
            for start in range(0, len(lane.opened), MOST_OPENED):
                some = lane.opened[start : start + MOST_OPENED]
                texts = (write_opened(lane.hosts[host].name, port, trip) for host, port, trip in some)
                self._outlet.say(Said(opened=tuple(texts)))
            lane.opened.clear()

    def _keep_house(self, now: float) -> None:
        sent = sum(lane.sent for lane in self._lanes)
        achieved = (sent - self._sent_then) / (now - self._kept)
        self._sent_then, self._kept = sent, now
        if sum([lane.ring.count_dropped() for lane in self._lanes]):
            self._overflow = True
            self._throttle.overflowed(achieved)
        else:
            self._throttle.went_well()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            pairs = sum(len(lane.states) for lane in self._lanes)
            settled = pairs - sum(lane.states.count(0) for lane in self._lanes)
            self._outlet.say(Said(progress=Progress(settled, pairs, sent, achieved, self._lost())))
        self._tell_opened()
        self._outlet.flush()
        self._outlet.check()
        while self._outlet.crowded and time.monotonic() < self._deadline:
            self._waiting.sleep(_HOUSEKEEPING_SECONDS)
            for lane in self._lanes:
                lane.receive()
            self._outlet.flush()
            self._outlet.check()


class _Asking:
    """One lane in one round; `rows` is how many SYNs one host got at most. The first round has a brake."""

    def __init__(self, lane: Lane, number: int, host_rate: float) -> None:
        burst = max(1, int(host_rate * BURST_SECONDS))
        lane.begin(number)
        self.lane = lane
        self.brake = None if number else FirstRound(lane.states, len(lane.hosts))
        self.rows = 0
        self._pieces = lane.ask(burst)
        self._pace = Pace(host_rate, burst)
        self._jammed_since = 0.0

    @property
    def jammed(self) -> bool:
        """Whether the link has taken nothing for so long that it is down."""
        return 0 < self._jammed_since < time.monotonic() - _MOST_JAMMED_SECONDS

    def wait(self) -> float:
        """Give the seconds until more may leave."""
        return max(self._pace.wait(), self.brake.wait()) if self.brake else self._pace.wait()

    def ask(self) -> Piece | None:
        """Send the next piece; None when all of the lane was asked."""
        piece = next(self._pieces, None)
        if piece is not None:
            self._jammed_since = 0.0 if piece.frames else self._jammed_since or time.monotonic()
            self._pace.spend(piece.rows)
            self.rows += piece.rows
            if self.brake:
                self.brake.sent(piece.frames, self.lane.asked, time.monotonic())
        return piece
