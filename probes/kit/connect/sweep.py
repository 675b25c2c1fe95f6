"""The connect engine: thousands of TCP handshakes at once on epoll, each ended by a reset, nothing ever sent in them.

Work comes as blocks (addresses x ports). What timed out is tried again once the rest of its block is under way.
Shortage on this machine (descriptors, local ports, buffers) slows the engine down and is never taken for an answer, and
neither is silence where packets get lost (`ports.loss`): it sends less, asks again, and stops where that does not help.
"""

import errno
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator

from probes.kit.connect.lanes import Item, Lane, spread
from probes.kit.connect.sockets import FAILED, ConnectSockets, raise_descriptors, round_trip
from probes.kit.errors import Refused, TooLossy
from probes.kit.machine.proc import local_ports
from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.ports.loss import MOST_TRIES, Brake, LossWatch, Try
from probes.kit.sending.connection import RESET_ON_CLOSE
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import BUSY, Settled, known_shortage, of_local_errno
from probes.kit.sending.pacing import Pace

_OPEN, _CLOSED = CODE_OF[Settled.OPEN], CODE_OF[Settled.CLOSED]
_TIMEOUT, _LOST = CODE_OF[Settled.TIMEOUT], CODE_OF[Settled.LOST]

_SPARE_DESCRIPTORS = 64
_BURST = 128
"""Handshakes started between two looks at what came back."""
_LOOK_EVERY = 0.02
_LEAST_TIMEOUT = 0.25
_SHORTAGE_PAUSE = 0.05
_SHORTAGE_LIMIT = 5.0
_REPORT_EVERY = 0.5
_MOST_SUSPECTS = 1 << 16

_Flight = tuple[socket.SocketType, Lane, Block, int, int, float, float, Try | None]  # ..., index, tries, started, due


class Sweep:
    """One run of the engine over a Net; `timeout` in seconds for each handshake, `retries` after a timeout.

    `connections`, `per_host` and `rate` can only narrow what the Net allows. `done` counts the settled pairs, `sending`
    the handshakes started a second just now, `lost` the share of answers that got lost. After a run `stopped` is the
    reason when the scope, quiet hours or loss on the way ended it early.
    """

    def __init__(
        self,
        net: Net,
        *,
        timeout: float,
        retries: int,
        connections: int | None = None,
        per_host: int | None = None,
        rate: float | None = None,
    ) -> None:
        """See the class; raises the soft limit of open files as far as it needs and may."""
        most = min(net.connections, connections or net.connections)
        self._net = net
        self._paces = [net.pace] if rate is None or rate >= net.pace.rate else [net.pace, Pace(rate)]
        self._timeout = timeout
        self._retries = retries
        self._most = max(1, min(most, raise_descriptors(most + _SPARE_DESCRIPTORS) - _SPARE_DESCRIPTORS))
        self._window = self._most
        self._per_host = min(net.per_host, per_host or net.per_host)
        self._sockets = ConnectSockets()
        self._pending: dict[int, _Flight] = {}
        self._looked = 0.0
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Item] = deque()
        self._again: deque[Item] = deque()
        self._fresh: Iterator[Item] = iter(())
        self._blocks: Iterator[Block] = iter(())
        self.begun: list[Block] = []
        self._finished: list[Block] = []
        self._watch = LossWatch()
        self._brake = Brake(self._paces, self._watch)
        self._slowed: list[Lane] = []
        self._suspects: deque[tuple[Block, int]] = deque(maxlen=_MOST_SUSPECTS)
        self._answers = self._missed = 0
        self._mark = net.gate_mark()
        self._source_ports = _source_ports()
        self._started = 0
        self._resume_at = 0.0
        self._short_since = 0.0
        self.done = 0
        self.sending = self.lost = 0.0
        self.stopped: Refused | None = None

    def run(self, blocks: Iterable[Block], deadline: float) -> Iterator[Block | None]:
        """Yield each block when all of it is settled, and None about twice a second as a sign of life.

        At the deadline (time.monotonic()), or when the scope no longer allows it, no more handshakes are started; the
        blocks begun by then are yielded with states still pending, later ones are not taken from `blocks`.
        """
        self._blocks = iter(blocks)
        try:
            yield from self._run(deadline)
        finally:
            for flight in self._pending.values():
                flight[0].close()
            self._sockets.close()

    def _run(self, deadline: float) -> Iterator[Block | None]:
        report_at = time.monotonic() + _REPORT_EVERY
        more = True
        started = 0
        while True:
            now = time.monotonic()
            ending = now >= deadline or not self._still_allowed()
            room = 0 if ending or now < self._resume_at else min(_BURST, self._window - len(self._pending))
            launched = 0
            if room > 0:
                launched, more = self._launch(room)
            if self._finished:
                yield from self._take_finished()
                more = True  # whoever took them may have put in more
            if not self._pending and (ending or not (more or self.begun)):
                break
            if now >= report_at:
                self.sending = (self._started - started) / (now - report_at + _REPORT_EVERY)
                started = self._started
                report_at = now + _REPORT_EVERY
                yield None
            looked = time.monotonic()
            if self._collect(0.0 if 0 < room == launched else self._patience()):
                self._expire(ending, looked)
        yield from self._take_finished()
        yield from self.begun

    def _patience(self) -> float:
        return min(_LOOK_EVERY, max(pace.wait() for pace in self._paces) or _LOOK_EVERY)

    def _take_finished(self) -> Iterator[Block]:
        for block in self._finished:
            self.begun.remove(block)
            yield block
        self._finished.clear()

    def _still_allowed(self) -> bool:
        """Look again at the scope when its date or the quiet hours changed; the Net itself looks once a second."""
        mark = self._net.time_mark()
        if mark != self._mark:
            self._mark = mark
            try:
                for block in self.begun:
                    for gate in block.hosts:
                        self._net.recheck(gate)
            except Refused as refusal:
                self.stopped = refusal
        return self.stopped is None

    def _next(self) -> Item | None:
        while not self._ready:
            item = next(self._fresh, None)
            if item is not None:
                return item
            if self._again:
                return self._again.popleft()
            block = next(self._blocks, None)
            if block is None:
                return None
            self._begin(block)
        return self._ready.popleft()

    def _begin(self, block: Block) -> None:
        lanes = []
        for gate in block.hosts:
            if not all(gate.allows(port) for port in block.ports):
                raise ValueError(f"{gate.address}: the gate does not allow every port of its block")
            lane = self._lanes.get(gate.address)
            if lane is None:
                lane = self._lanes[gate.address] = Lane(gate.address, gate.plain, gate.af, gate.zone, gate.paced)
            lanes.append(lane)
        self.begun.append(block)
        if not block.left:
            self._finished.append(block)
        self._fresh = spread(block, lanes)

    def _launch(self, room: int) -> tuple[int, bool]:
        """Start up to `room` handshakes; give how many, and whether there may be more to start."""
        tokens = min(pace.available() for pace in self._paces)
        paid = started = 0
        more = True
        while started < room:
            item = self._ready.popleft() if self._ready else next(self._fresh, None) or self._next()
            if item is None:
                more = False
                break
            lane = item[0]
            if lane.busy >= self._per_host:
                lane.waiting.append(item)
                continue
            if lane.host.gap:
                if lane.host.tokens < 1:
                    lane.waiting.append(item)
                    continue
                lane.host.tokens -= 1
            if lane.paced:
                if paid >= tokens:
                    self._ready.appendleft(item)
                    break
                paid += 1
            if not self._start(item):
                break
            started += 1
        for pace in self._paces:
            pace.spend(paid)
        self._net.sent += started
        self._started += started
        return started, more

    def _start(self, item: Item) -> bool:
        """Start one handshake; False when this machine is short of something and wants a pause."""
        lane, block, index, tries = item
        try:
            sock = self._sockets.take(lane.af)
        except OSError as error:
            return self._not_started(item, error.errno or 0)
        started = time.monotonic()
        number = sock.connect_ex(lane.sockaddr(block.ports[index % len(block.ports)]))
        if number and number != errno.EINPROGRESS:
            sock.close()
            return self._not_started(item, number)
        limit = self._timeout
        if lane.round_trip and self._retries:
            # A host whose round trip is known keeps nobody waiting long; each further try waits longer.
            limit = min(limit, (1 + tries) * max(_LEAST_TIMEOUT, 8 * lane.round_trip))
        made = self._watch.begin(lane.host) if lane.paced and not tries else None
        self._pending[sock.fileno()] = (sock, lane, block, index, tries, started, started + limit, made)
        lane.busy += 1
        lane.host.made += 1
        return True

    def _not_started(self, item: Item, number: int) -> bool:
        lane, block, index, _ = item
        number = known_shortage(number, lane.plain, lane.zone)
        if number not in BUSY:
            self._settle(block, index, CODE_OF[of_local_errno(number)])
            return True
        now = time.monotonic()
        self._short_since = self._short_since or now
        if not self._pending and now - self._short_since > _SHORTAGE_LIMIT:
            self._short_since = 0.0
            self._settle(block, index, CODE_OF[Settled.RESOURCES])
            return True
        self._ready.appendleft(item)
        self._window = max(1, min(self._window, len(self._pending)) * 3 // 4)
        self._resume_at = now + _SHORTAGE_PAUSE
        return False

    def _collect(self, patience: float) -> bool:
        """Take what came back; False when there may be more, as after a while in which this process did not run."""
        arrived = self._sockets.poll(patience, 2 * _BURST)
        if not arrived:
            return True
        now = time.monotonic()
        self._short_since = 0.0
        self._window = min(self._most, self._window + len(arrived))
        for descriptor, events in arrived:
            if descriptor not in self._pending:
                continue  # the echo of a reset of an idle socket
            sock, lane, block, index, tries, started, _, made = self._land(descriptor)
            lane.round_trip = max(lane.round_trip, now - started)
            if events & FAILED:
                code = self._sockets.refusal(sock, lane.sockaddr(block.ports[index % len(block.ports)]), events)
            else:
                code = self._opened(sock, lane, block, index)
            if made is not None:
                made.silent = code > _CLOSED  # routers and hosts limit ICMP errors, so their absence is no loss
            if code <= _CLOSED:
                self._count_answer(lane, tries, now)
            if code:
                self._settle(block, index, code)
        return len(arrived) < 2 * _BURST

    def _count_answer(self, lane: Lane, tries: int, now: float) -> None:
        self._answers += 1
        if tries:
            self._missed += tries
            self.lost = self._missed / (self._missed + self._answers)
        if lane.host.answer(tries, now) and lane not in self._slowed:
            self._slowed.append(lane)

    def _opened(self, sock: socket.SocketType, lane: Lane, block: Block, index: int) -> int:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if sock.getsockname()[0] == lane.address and block.ports[index % len(block.ports)] in self._source_ports:
            # Towards this machine two of our own handshakes can meet (simultaneous open, RFC 9293 section 3.5) where
            # nobody listens, so it is looked at once more when no other handshake is under way there.
            sock.close()
            block.unsure.append(index)
            self._settle_unsure(block)
            return PENDING
        block.round_trips[index] = round_trip(sock)
        sock.close()
        return _OPEN

    def _land(self, descriptor: int) -> _Flight:
        flight = self._pending.pop(descriptor)
        lane = flight[1]
        lane.busy -= 1
        if lane.waiting and not lane.host.gap:
            self._ready.append(lane.waiting.pop())
        return flight

    def _expire(self, ending: bool, due: float) -> None:
        """End what was due at `due`, the moment before all was taken that had come back."""
        now = time.monotonic()
        passed = now - self._looked
        if passed < _LOOK_EVERY:
            return
        self._looked = now
        for descriptor in [key for key, flight in self._pending.items() if flight[6] <= due]:
            sock, lane, block, index, tries, _, _, made = self._land(descriptor)
            sock.close()
            if made is not None:
                made.silent = True
            doubtful = lane.host.doubtful(tries)
            if tries >= (MOST_TRIES if doubtful else self._retries):
                self._settle(block, index, _LOST if doubtful else _TIMEOUT)
                self._suspects.append((block, index))
            elif not ending:
                self._again.append((lane, block, index, tries + 1))
        for lane in self._slowed:
            for _ in range(min(lane.host.earn(passed, now), self._per_host - lane.busy, len(lane.waiting))):
                self._ready.append(lane.waiting.pop())
        losing = self._brake.look(self.sending)
        if losing is not None:
            if losing:
                self.stopped = TooLossy("")
                for block, index in self._suspects:
                    block.states[index] = _LOST
            self._suspects.clear()

    def _settle(self, block: Block, index: int, code: int) -> None:
        block.states[index] = code
        block.left -= 1
        self.done += block.counts
        if block.unsure:
            self._settle_unsure(block)
        elif not block.left:
            self._finished.append(block)

    def _settle_unsure(self, block: Block) -> None:
        if block.left > len(block.unsure):
            return
        unsure, block.unsure = block.unsure, []
        for place, index in enumerate(unsure):
            host, port = divmod(index, len(block.ports))
            wait = min(self._timeout, _LEAST_TIMEOUT)
            try:
                attempt = self._net.connect(block.hosts[host].address, block.ports[port], wait)
            except Refused as refusal:  # quiet hours have begun, or the scope's last day is over
                self.stopped, block.unsure = refusal, unsure[place:]
                return
            if attempt.connection is not None:
                attempt.connection.reset()
            if attempt.settled is Settled.CLOSED:
                self._settle(block, index, _CLOSED)
            else:  # also when it is silent now: where nobody listens, this machine answers at once
                block.round_trips[index] = attempt.seconds
                self._settle(block, index, _OPEN)


def _source_ports() -> range:
    try:
        return local_ports()
    except (OSError, ValueError):
        return range(65536)
