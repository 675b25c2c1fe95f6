"""One lane: all hosts reached through one interface with one family, their frames, and what is known of them."""

import errno
import re
import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from probes.kit.raw.packets.answers import CLOSED, HEADS, OPEN, RESET, SYN_ACK, TCP
from probes.kit.raw.packets.panel import Host, Panel
from probes.kit.raw.packets.ring import LENGTH_AT
from probes.kit.raw.packets.states import State
from probes.kit.raw.syn.belief import AGAIN, UNMARK, Belief
from probes.kit.raw.syn.sockets import SOURCE_PORTS, Sockets

LONGEST_TRIP = 60.0
"""Seconds; stands for "no round trip seen", and what took longer is not believed."""

_SHORTEST_TRIP = 1e-6
_SILENT = frozenset({0, int(State.GIVEN_UP), int(State.DOUBTED)})
_ABSENT = int(State.HOST_UNREACHABLE)
_TO_ASK = re.compile(rb"[\0%c%c]+" % (OPEN | AGAIN, CLOSED | AGAIN))
_FULL = frozenset({errno.ENOBUFS, errno.EAGAIN})
_LOCAL = {
    errno.EPERM: State.DENIED,
    errno.EACCES: State.DENIED,
    errno.EINVAL: State.DENIED,
    errno.ENETUNREACH: State.NO_ROUTE,
    errno.EHOSTUNREACH: State.NO_ROUTE,
    errno.EADDRNOTAVAIL: State.NO_ROUTE,
}


class Piece(NamedTuple):
    """What just left: frames, and the most of them that went to one host; no frame means that the queue is full."""

    frames: int
    rows: int


class Lane:
    """The state of every pair of a lane, one byte each, in the order of sending: row by row, host by host."""

    def __init__(
        self,
        sockets: Sockets,
        hosts: Sequence[Host],
        ports: Sequence[int],
        *,
        burst: int,
        first_port: int,
        routed: bool,
        retries: int,
    ) -> None:
        """`hosts` and `ports` come in the order of sending; `burst` is how many frames may leave at once.

        `routed` tells whether any of the hosts lies behind a gateway, `retries` how often each pair is asked again at
        least.
        """
        self.ring = sockets.ring
        self.routed = routed
        self.hosts = hosts
        self.states = bytearray(len(hosts) * len(ports))
        self.opened: list[tuple[int, int, float | None]] = []  # host number, port, round trip; taken by the caller
        self.answers = 0
        self.forged = 0
        self.sent = 0
        self.unsent = 0
        self.asked = 0  # pairs that the first round has come to
        self.longest = 0.0  # round trip, seconds
        self.trips = array("f", [LONGEST_TRIP]) * len(hosts)  # the shortest of each host
        self.belief = Belief(self.states, len(hosts))

        self._width = width = len(hosts)
        self._burst = burst
        rows = max(1, burst // width)
        self._sheet = rows * width
        self._panel = Panel(sockets.sender.fileno(), hosts, ports, rows)
        self._pieces = -(-self._sheet // burst)
        sheets = -(-len(ports) // rows)
        self._sent_at = array("q", [0]) * (sheets * self._pieces)  # ns since 1970; of the first round only
        self._took = array("q", [0]) * len(self._sent_at)
        self._round = 0
        self._retries = retries
        self._first_port = first_port
        self._head = HEADS[4 if len(hosts[0].address) == 4 else 6]
        self._highs = [host.secret.high << 16 for host in hosts]
        self._lows = [host.secret.low - 1 for host in hosts]
        self._host_numbers = {host.address: number for number, host in enumerate(hosts)}
        self._count = len(ports)
        self._shifts = [number * self._panel.step % len(ports) for number in range(width)]
        # A pair's place is the start of its port less what its host is ahead, around the end; see _take.
        self._ahead = [shift * width - number for number, shift in enumerate(self._shifts)]
        self._starts = [-1] * 65536
        for number, port in enumerate(ports):
            self._starts[port] = number * width

    def begin(self, number: int) -> None:
        """Prepare a round of asking, counted from 0."""
        self._round = number
        self.belief.begin(number)
        self._panel.dress(self._first_port + number % SOURCE_PORTS)

    def ask(self, rows_at_once: int) -> Iterator[Piece]:
        """Ask every silent pair once; the caller paces by when it asks for the next piece.

        A piece is a burst at most, and holds at most `rows_at_once` frames to one host.
        """
        states, width, counted_row = self.states, self._width, -1
        most = min(self._burst, rows_at_once * width) if self._round else self._burst
        for number, first in enumerate(range(0, len(states), self._sheet)):
            at, last, loaded = first, min(first + self._sheet, len(states)), False
            while run := _TO_ASK.search(states, at, last):
                if not loaded:
                    self._panel.load(first // width)
                    loaded = True
                at = run.start()
                piece, inside = divmod(at - first, self._burst)
                started = time.time_ns()
                frames = self._send(first, at, min(run.end(), at + most, at - inside + self._burst))
                if not self._round:
                    # What follows in a piece that the kernel cut short has a time of its own, so it has none here.
                    slot = number * self._pieces + piece
                    self._sent_at[slot] = 0 if inside else started
                    self._took[slot] = (time.time_ns() - started) // max(1, frames)
                if not frames:
                    yield Piece(0, 0)
                    continue
                last_row = (at + frames - 1) // width
                rows = last_row - max(at // width - 1, counted_row)
                at, counted_row = at + frames, last_row
                if not self._round:
                    self.asked = at
                yield Piece(frames, rows)
        if not self._round:
            self.asked = len(states)

    def receive(self) -> None:
        """Take in what has arrived, at most one turn of the ring."""
        least, plain, take = self._head.size, self._head.plain, self._take
        for start, count, stride, network in self.ring.runs():
            end = start + count * stride
            if stride < network + least:
                continue  # too short for any answer
            fields = _layout(self._head.form, network, stride).iter_unpack(self.ring.view[start:end])
            for at, (length, first, protocol, target, port, source_port, acknowledged, flags) in zip(
                range(start, end, stride), fields, strict=True
            ):
                if protocol != TCP or first not in plain or length < least:
                    answer = self._head.read(self.ring.packet(at))
                    if answer is not None:
                        take(*answer, at)
                elif flags & RESET:
                    take(target, port, source_port, acknowledged - 1 & 0xFFFFFFFF, CLOSED, at)
                elif flags & SYN_ACK == SYN_ACK:
                    take(target, port, source_port, acknowledged - 1 & 0xFFFFFFFF, OPEN, at)

    def settle(self, host: int, column: bytes | bytearray) -> None:
        """Set the states of one host, in the order of the lane's ports."""
        shift = self._shifts[host]
        self.states[host :: self._width] = column[shift:] + column[:shift]

    def column(self, host: int) -> bytes:
        """Give the states of one host, in the order of the lane's ports; what was never asked is NOT_ASKED."""
        column = bytearray(self.states[host :: self._width]).translate(UNMARK)
        rows, rest = divmod(self.asked, self._width)
        come_to = rows + (host < rest)
        column[come_to:] = column[come_to:].replace(b"\0", bytes([State.NOT_ASKED]))
        first = self._count - self._shifts[host]
        return bytes(column[first:] + column[:first])

    def _send(self, first: int, start: int, stop: int) -> int:
        try:
            frames = self._panel.send(start - first, stop - start)
        except OSError as error:
            if error.errno in _FULL:
                return 0
            state = _LOCAL.get(error.errno or 0)
            if state is None:
                raise
            self.states[start] = state
            self.unsent += 1
            return 1
        self.sent += frames
        return frames

    def _take(self, target: bytes, port: int, source_port: int, quoted: int, state: int, at: int) -> None:
        host, start = self._host_numbers.get(target, -1), self._starts[port]
        asked_in = source_port - self._first_port
        if host < 0 or start < 0 or not 0 <= asked_in < SOURCE_PORTS:
            self.forged += 1
            return
        expected = self._highs[host] | (self._lows[host] - port) % 0xFFFF + 1
        # Some stacks acknowledge our sequence number itself in a reset, not the one after it.
        if quoted != expected and not (state == CLOSED and quoted + 1 & 0xFFFFFFFF == expected):
            self.forged += 1
            return
        self.answers += 1
        if state == _ABSENT and self._round < self._retries:
            return  # a router's word that it finds nobody: it may have lost its own questions, so it is asked again
        index = start - self._ahead[host]
        if index < 0:
            index += len(self.states)
        before = self.states[index]
        if before and before <= state:
            return
        self.states[index] = state
        # A round trip per host and one now and then are enough to know how long to wait.
        if self._round or state == OPEN or self.trips[host] == LONGEST_TRIP or not self.answers & 63:
            self._note(index, host, port, before, asked_in, at)

    def _note(self, index: int, host: int, port: int, before: int, asked_in: int, at: int) -> None:
        state = self.states[index]
        if self._round and state <= CLOSED and before in _SILENT and asked_in == self._round % SOURCE_PORTS:
            self.belief.recover(host)
        trip = None
        if asked_in == 0 and self._round < SOURCE_PORTS:  # only the first round keeps its times
            trip = self._trip(index, self.ring.arrived(at))
        if trip is not None:
            self.longest = max(self.longest, trip)
            self.trips[host] = min(self.trips[host], trip)
        if state == OPEN and before != OPEN | AGAIN:
            self.opened.append((host, port, trip))

    def _trip(self, index: int, arrived: int) -> float | None:
        sheet, inside = divmod(index, self._sheet)
        piece, inside = divmod(inside, self._burst)
        slot = sheet * self._pieces + piece
        sent = self._sent_at[slot]
        trip = (arrived - sent - inside * self._took[slot]) / 1e9
        # The clock may have been set meanwhile; and within a burst the time of sending is an estimate.
        return trip if sent and _SHORTEST_TRIP < trip < LONGEST_TRIP else None


@cache
def _layout(form: str, network: int, stride: int) -> struct.Struct:
    """Read a run of the ring: for each packet the length that was kept, then `form` (see `Head`)."""
    size = struct.calcsize(f"!{form}")
    return struct.Struct(f"!{LENGTH_AT}xB{network - LENGTH_AT - 1}x{form}{stride - network - size}x")
