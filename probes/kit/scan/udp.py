"""The UDP engine: one question per port, asked again while silence may only mean that errors are rationed.

A host answers for its closed ports with ICMP port-unreachable, but sends few of them (Linux: a burst of six, then one a
second, for each destination). So silence after one round proves nothing. Rounds go on, each a second apart, as long as
a round still brings an error from that host; what is silent then is open or filtered, and is called just that.
"""

import errno
import heapq
import random
import select
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.kit.errors import READING, Refused
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.net import Gate, Net
from probes.kit.sending.outcomes import BUSY
from probes.kit.services.datagrams.question import MAX_DATAGRAM, Question
from probes.kit.services.datagrams.table import EMPTY, question
from probes.kit.services.protocols import dhcp
from probes.kit.services.talk import Heard
from wire.types import Outcome

if TYPE_CHECKING:
    from probes.kit.raw.packets.replies import Replies

FIRST_WAIT = 1.0
ROUND_WAIT = 1.1
LEAST_ROUNDS = 3
MOST_ROUNDS = 40
MOST_SOCKETS = 512
_CLOSED = frozenset({errno.ECONNREFUSED})
_PROHIBITED = frozenset({errno.EACCES, errno.EPERM, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENOPROTOOPT})


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one UDP port; `heard` says more of an answer, `why` is the code of what hindered."""

    address: str
    port: int
    outcome: Outcome
    seconds: float = 0.0
    heard: Heard | None = None
    refused: Refused | None = None
    why: str = ""


@dataclass(slots=True, eq=False)
class _Ask:
    """One port that is being asked."""

    gate: Gate
    port: int
    about: Question
    sock: socket.socket
    asked: bytes = b""
    started: float = 0.0
    rounds: int = 0


def at_once(net: Net) -> int:
    """Give how many questions may be under way: each has a socket of its own, and more than these nobody may open."""
    return min(MOST_SOCKETS, net.connections)


def sweep(
    net: Net, ports: Iterable[tuple[str, int]], deadline: float, replies: "Replies | None" = None
) -> Iterator[Answered]:
    """Ask (address, port) pairs and yield what came of each as soon as it is settled.

    What stays silent is OPEN_FILTERED; at the deadline (time.monotonic()) it is UNKNOWN if silence proves nothing yet.
    Nothing is sent to printers' ports or outside the scope. `replies` hears what DHCP servers answer to port 68.
    """
    source = iter(ports)
    while batch := _take(source, at_once(net)):
        random.shuffle(batch)
        yield from _Round(net, deadline, replies).run(batch)


def _take(source: Iterator[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    return [pair for _, pair in zip(range(count), source, strict=False)]


class _Round:
    """The asking of one batch, all of its sockets open at once."""

    def __init__(self, net: Net, deadline: float, replies: "Replies | None") -> None:
        self._net = net
        self._deadline = deadline
        self._epoll = select.epoll()
        self._replies = replies
        self._marks: dict[bytes, _Ask] = {}
        if replies is not None:
            self._epoll.register(replies.fileno(), select.EPOLLIN)
        self._asks: dict[int, _Ask] = {}
        self._errors: dict[str, set[int]] = defaultdict(set)
        self._due: list[tuple[float, int, int]] = []
        self._out: list[Answered] = []

    def run(self, pairs: list[tuple[str, int]]) -> Iterator[Answered]:
        try:
            for address, port in pairs:
                self._open(address, port)
            while self._asks:
                now = time.monotonic()
                if now >= self._deadline:
                    break
                self._send_due(now)
                yield from self._taken()
                wait = max(0.0, min(self._due[0][0] - now, self._deadline - now, 0.1)) if self._due else 0.0
                self._collect(wait)
                yield from self._taken()
            for ask in list(self._asks.values()):
                self._give_up(ask, "deadline")
            yield from self._taken()
        finally:
            for ask in self._asks.values():
                ask.sock.close()
            self._epoll.close()

    def _taken(self) -> list[Answered]:
        taken, self._out = self._out, []
        return taken

    def _open(self, address: str, port: int) -> None:
        try:
            gate = self._net.gate(address, port)
        except Refused as refusal:
            self._out.append(Answered(address, port, Outcome.UNKNOWN, refused=refusal))
            return
        if port in PRINTER_PORTS:
            self._out.append(Answered(address, port, Outcome.UNKNOWN))
            return
        about = question(port)
        try:
            sock = socket.socket(gate.af, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            self._out.append(Answered(address, port, Outcome.UNKNOWN, why="resources"))
            return
        try:
            if about.elsewhere:
                # An unconnected socket hears of ICMP errors only when it asks for them (ip(7), IP_RECVERR).
                level, name = (socket.IPPROTO_IP, 11) if gate.family == 4 else (socket.IPPROTO_IPV6, 25)
                sock.setsockopt(level, name, 1)
            else:
                sock.connect(gate.sockaddr(port))
        except OSError as error:
            sock.close()
            self._out.append(Answered(address, port, local := _local(error.errno or 0), why=local.value))
            return
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._asks[sock.fileno()] = _Ask(gate, port, about, sock)
        heapq.heappush(self._due, (0.0, sock.fileno(), 0))

    def _send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, descriptor, rounds = heapq.heappop(self._due)
            ask = self._asks.get(descriptor)
            if ask is None or ask.rounds != rounds:
                continue
            # Worth another round: too few so far, or this host sent an error since the last one.
            if ask.rounds >= MOST_ROUNDS or (ask.rounds >= LEAST_ROUNDS and not self._rationed(ask)):
                self._give_up(ask)
                continue
            if ask.gate.paced:
                wait = self._net.pace.wait()
                if wait:
                    heapq.heappush(self._due, (now + wait, descriptor, rounds))
                    return
                self._net.pace.spend(1)
            self._ask(ask, now)

    def _ask(self, ask: _Ask, now: float) -> None:
        try:
            self._net.gate(ask.gate.address, ask.port)  # the scope's last day or quiet hours may have come meanwhile
        except Refused as refusal:
            self._out.append(Answered(ask.gate.address, ask.port, Outcome.UNKNOWN, refused=refusal))
            self._forget(ask)
            return
        # The same question in each round: a late answer to the first is an answer too.
        ask.asked, ask.started = ask.asked or _written(ask), now
        if ask.about.answered_at and self._replies is not None:
            self._marks[dhcp.mark(ask.asked)] = ask
        ask.rounds += 1
        try:
            if ask.about.elsewhere:
                ask.sock.sendto(ask.asked, ask.gate.sockaddr(ask.port))
            else:
                ask.sock.send(ask.asked)
            self._net.sent += 1
        except OSError as error:
            if error.errno in _CLOSED or error.errno in _PROHIBITED:
                self._failed(ask, error.errno or 0)
                return
            if error.errno not in BUSY:
                local = _local(error.errno or 0)
                self._settle(ask, local, why=local.value)
                return
        wait = FIRST_WAIT if ask.rounds == 1 else ROUND_WAIT
        heapq.heappush(self._due, (now + wait, ask.sock.fileno(), ask.rounds))

    def _collect(self, wait: float) -> None:
        for descriptor, _ in self._epoll.poll(wait, 256):
            ask = self._asks.get(descriptor)
            if ask is not None:
                self._receive(ask)
            elif self._replies is not None:
                self._overhear(self._replies)

    def _overhear(self, replies: "Replies") -> None:
        """Take answers that went to another port than the one that asked; their mark tells whose they are.

        A server may send from another of its addresses, and behind a relay it is another host: the port that was asked
        took the question all the same.
        """
        for message in replies.arrived():
            ask = self._marks.get(dhcp.mark(message))
            if ask is not None and (heard := ask.about.read(ask.asked, message)) is not None:
                self._settle(ask, Outcome.OPEN, heard)

    def _receive(self, ask: _Ask) -> None:
        try:
            got, sender = ask.sock.recvfrom(MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(ask, error.errno or 0)
            return
        if ask.about.elsewhere and sender[0] != ask.gate.address:
            return
        try:
            heard = ask.about.read(ask.asked, got)
        except READING:
            heard = None
        if heard is None and ask.about is not EMPTY:
            heard = EMPTY.read(ask.asked, got)
        self._settle(ask, Outcome.OPEN, heard)

    def _failed(self, ask: _Ask, number: int) -> None:
        self._errors[ask.gate.address] |= {ask.rounds, ask.rounds + 1}
        if number in _CLOSED or number in _PROHIBITED:
            self._settle(ask, Outcome.CLOSED if number in _CLOSED else Outcome.FILTERED)
        else:
            local = _local(number)
            self._settle(ask, local, why=local.value)

    def _rationed(self, ask: _Ask) -> bool:
        """Tell whether the host still sends errors, so that silence may be one that it has not sent yet."""
        return ask.rounds in self._errors[ask.gate.address]

    def _give_up(self, ask: _Ask, why: str = "") -> None:
        """Settle what is silent, unless an answer has come while this process did not run."""
        descriptor = ask.sock.fileno()
        self._receive(ask)
        if descriptor in self._asks:
            proven = ask.rounds >= LEAST_ROUNDS and not self._rationed(ask)
            self._settle(ask, Outcome.OPEN_FILTERED if proven else Outcome.UNKNOWN, why="" if proven else why)

    def _settle(self, ask: _Ask, outcome: Outcome, heard: Heard | None = None, *, why: str = "") -> None:
        seconds = time.monotonic() - ask.started if ask.started and outcome is Outcome.OPEN else 0.0
        self._out.append(Answered(ask.gate.address, ask.port, outcome, seconds, heard, why=why))
        self._forget(ask)

    def _forget(self, ask: _Ask) -> None:
        del self._asks[ask.sock.fileno()]
        if ask.about.answered_at:
            self._marks.pop(dhcp.mark(ask.asked), None)
        ask.sock.close()


def _written(ask: _Ask) -> bytes:
    """Write the question, with our own address where the protocol wants it."""
    asked, at = ask.about.make(), ask.about.own_address_at
    if at is None or ask.gate.family != 4:
        return asked
    return asked[:at] + socket.inet_aton(ask.sock.getsockname()[0]) + asked[at + 4 :]


def _local(number: int) -> Outcome:
    """Judge an error of this machine: nothing was learnt of the port."""
    return Outcome.DENIED if number in (errno.EPERM, errno.EACCES) else Outcome.UNREACHABLE
