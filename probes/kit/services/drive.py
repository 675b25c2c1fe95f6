"""Hold many conversations at once on epoll: connect, encrypt, send, receive and time out, all within the Net's bounds.

A hostile peer costs at most `seconds` of wall time and 64 KiB for each conversation, and some dozen conversations; a
host costs MOST_CPU at most, over all of its ports.
"""

import math
import select
import socket
import struct
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from probes.kit.errors import READING, Refused
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.sending.lenient import lenient_context
from probes.kit.sending.net import Gate, Net
from probes.kit.sending.outcomes import BUSY
from probes.kit.services.plan import MOST_FURTHER, OTHERS, PATIENT, TELLING, imported, patience, plan
from probes.kit.services.protocols import onvif
from probes.kit.services.stream import Stream
from probes.kit.services.talk import MAX_FACT, Ciphered, Heard, Receive, Secure, Send, Start, Talk

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LOOK_EVERY = 0.05
CONNECT_SECONDS = 3.0
MOST_TRYING = 20.0
"""Seconds after which nothing more is begun with a port that nothing understood."""
MOST_CPU = 10.0
"""Seconds of our own CPU that one host may cost in a run. Ordinary ports cost milliseconds, but in TLS a server may
choose numbers that cost us half a second for each of its ports."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one open port: what was heard, or None when nothing in the plan was understood.

    `refused` is set instead when the sending layer did not allow it. `fault` names a defect of ours that an answer met.
    """

    address: str
    port: int
    heard: Heard | None
    refused: Refused | None = None
    fault: str = ""


@dataclass(slots=True, eq=False)
class _Call:
    """One port and the conversations that are left for it."""

    gate: Gate
    port: int
    starts: deque[Start]
    since: float = math.inf
    weak: Heard | None = None
    known: Heard | None = None
    further: int = 0
    looked: bool = False
    fault: str = ""


@dataclass(slots=True, eq=False)
class _Line:
    """One conversation under way."""

    call: _Call
    stream: Stream
    start: Start
    talk: Talk
    due: float
    connected: bool = False
    step: Send | Receive | Secure | None = None
    step_due: float = 0.0

    def read(self) -> None:
        """Take what has arrived, as much as the step under way asks for."""
        self.stream.read(self.step.limit if isinstance(self.step, Receive) else 0)


class Drive:
    """One run over a Net; `connections` at once, `seconds` at most for each conversation.

    `probes` are an operator's own (`fingerprint.store`), tried where nothing else is understood. `starts` gives the
    conversations for an address and port, which are those of the plan by default.
    """

    def __init__(
        self,
        net: Net,
        *,
        connections: int = 256,
        seconds: float = 6.0,
        probes: Sequence[ServiceProbe] = (),
        starts: Callable[[str, int], Iterable[Start]] | None = None,
    ) -> None:
        """See the class; nothing is opened yet."""
        self._starts = starts or (lambda _, port: _planned(port, probes))
        self._net = net
        self._most = max(1, min(connections, net.connections))
        self._seconds = seconds
        self._epoll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._busy: Counter[str] = Counter()
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._ready: deque[_Call] = deque()
        self._results: list[Result] = []
        self._context = lenient_context()

    def run(self, services: Iterable[tuple[str, int]], deadline: float) -> Iterator[Result]:
        """Identify (address, port) pairs; nothing comes of those silent until the deadline (time.monotonic()).

        Nor does anything of those that were not asked to the end, since their host had cost too much.
        """
        return (result for result in self.steps(services, deadline) if result is not None)

    def steps(self, services: Iterable[tuple[str, int]], deadline: float) -> Iterator[Result | None]:
        """Do the same, with None in between many times a second as a sign of life."""
        source = iter(services)
        more = True
        try:
            while True:
                now = time.monotonic()
                while more and len(self._ready) < self._most and now < deadline:
                    pair = next(source, None)
                    if pair is None:
                        more = False
                    else:
                        self._admit(*pair)
                if now < deadline:
                    self._launch(now)
                yield from self._results
                self._results.clear()
                if now >= deadline or not (more or self._ready or self._lines):
                    break
                self._collect(now)
                yield None
            for call in [*(line.call for line in self._lines.values()), *self._ready]:
                self._tell(call, call.known or call.weak, asked=False)
            yield from self._results
        finally:
            for line in self._lines.values():
                line.talk.close()
                line.stream.sock.close()
            self._lines.clear()
            self._epoll.close()

    def _admit(self, address: str, port: int) -> None:
        try:
            gate = self._net.gate(address, port)
        except Refused as refusal:
            self._results.append(Result(address, port, None, refusal))
            return
        starts = deque(() if port in PRINTER_PORTS else self._starts(address, port))
        if starts:
            self._ready.append(_Call(gate, port, starts))
        else:
            self._results.append(Result(address, port, None))

    def _launch(self, now: float) -> None:
        for _ in range(len(self._ready)):
            if len(self._lines) >= self._most:
                return
            call = self._ready.popleft()
            if self._spent[call.gate.address] > MOST_CPU:
                self._tell(call, call.known or call.weak, asked=False)
                continue
            if self._busy[call.gate.address] >= self._net.per_host:
                self._ready.append(call)
                continue
            if call.gate.paced:
                if self._net.pace.available() < 1:
                    self._ready.appendleft(call)
                    return
                self._net.pace.spend(1)
            self._connect(call, now)

    def _connect(self, call: _Call, now: float) -> None:
        try:
            self._net.gate(call.gate.address, call.port)  # quiet hours may have begun, or the scope's last day ended
            sock = socket.socket(call.gate.af, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except Refused as refusal:
            self._results.append(Result(call.gate.address, call.port, call.known or call.weak, refusal))
            return
        except OSError:
            self._ready.append(call)
            self._most = max(1, len(self._lines))
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        number = sock.connect_ex(call.gate.sockaddr(call.port))
        self._net.sent += 1
        if number in BUSY and number != 0:
            sock.close()
            self._ready.append(call)
            return
        start, call.since = call.starts.popleft(), min(call.since, now)
        line = _Line(call, Stream(sock), start, start(call.gate.address, call.port), now + CONNECT_SECONDS)
        self._lines[sock.fileno()] = line
        self._busy[call.gate.address] += 1
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)

    def _collect(self, now: float) -> None:
        for descriptor, events in self._epoll.poll(_LOOK_EVERY, 256):
            line = self._lines.get(descriptor)
            if line is not None:
                self._work(line, partial(self._touch, line, events))
        for line in [
            line for line in self._lines.values() if line.due <= now or (line.step_due and line.step_due <= now)
        ]:
            if not line.connected or line.due <= now or not isinstance(line.step, Receive):
                line.stream.closed = True
            self._work(line, partial(self._advance, line, timed_out=True))

    def _work(self, line: _Line, step: Callable[[], None]) -> None:
        """Take a step and charge its host for it; an answer that a reader fails at costs its conversation only."""
        before = time.thread_time()
        try:
            step()
        except READING as error:
            line.call.fault = f"{type(error).__name__}: {error}"[:MAX_FACT]
            if line.stream.sock.fileno() >= 0:
                self._end(line, None)
            else:
                self._tell(line.call, line.call.known or line.call.weak)
        self._charge(line.call.gate.address, time.thread_time() - before)

    def _charge(self, address: str, seconds: float) -> None:
        self._spent[address] += seconds
        if seconds > _LOOK_EVERY:
            for line in self._lines.values():  # what one peer costs us is not the others' silence
                line.due += seconds
                line.step_due += seconds if line.step_due else 0.0

    def _touch(self, line: _Line, events: int) -> None:
        if self._spent[line.call.gate.address] > MOST_CPU:
            self._close(line)
            self._ready.append(line.call)  # which `_launch` takes off again
            return
        now = time.monotonic()
        if not line.connected:
            if line.stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._end(line, None)
                return
            if not events & select.EPOLLOUT:
                return
            line.connected = True
            line.due = now + self._seconds
            self._next(line, None)
            if line.stream.sock.fileno() < 0:
                return
        line.read()
        self._advance(line)

    def _advance(self, line: _Line, timed_out: bool = False) -> None:
        """Go on with a conversation as far as what has arrived allows."""
        stream = line.stream
        while stream.sock.fileno() >= 0:
            stream.flush()
            step = line.step
            if isinstance(step, Receive):
                line.read()
                data = bytes(stream.incoming[: step.limit])
                if not (timed_out or stream.closed or len(data) >= step.limit or step.enough(data)):
                    return
                del stream.incoming[: step.limit]
                timed_out = False
                self._next(line, data)
            elif isinstance(step, Secure):
                certificate = stream.shake(give_up=timed_out or stream.closed)
                if certificate is None:
                    return
                timed_out = False
                self._next(line, certificate)
            elif stream.closed or not line.connected:
                self._end(line, None)
            else:
                return

    def _next(self, line: _Line, reply: bytes | None) -> None:
        """Give the conversation its answer and take up what it wants next."""
        now = time.monotonic()
        while True:
            try:
                step = line.talk.send(reply)  # type: ignore[arg-type]  # None starts a generator
            except StopIteration as end:
                self._end(line, end.value)
                return
            if isinstance(step, Send):
                line.stream.write(step.data)
                reply = b""
                continue
            if isinstance(step, Ciphered):
                reply = line.stream.cipher()
                continue
            line.step = step
            longest = patience(line.start, line.call.port)
            seconds = min(step.seconds, longest) if isinstance(step, Receive) else longest
            line.step_due = min(line.due, now + seconds)
            if isinstance(step, Secure):
                line.stream.secure(self._context)
            return

    def _go_on(self, call: _Call, heard: Heard) -> None:
        """Have the further conversations that a service is worth, a few at most."""
        if call.known is None:
            call.starts.clear()
        call.known = replace(heard, then=())
        for start in heard.then[: MOST_FURTHER - call.further]:
            call.starts.append(start)
            call.further += 1
        if not call.starts and not call.looked:
            # Last of all: the hint may come from its icon or from where it redirects to.
            call.looked = True
            closer = onvif.worth(call.known, call.port)
            if closer is not None and call.further < MOST_FURTHER:
                call.starts.append(closer)
        if call.starts:
            self._ready.append(call)
        else:
            self._tell(call, call.known)

    def _tell(self, call: _Call, heard: Heard | None, *, asked: bool = True) -> None:
        """Give what came of a port; nothing comes of one that was not `asked` to the end and of which nothing is known.

        That it met a defect of ours is said in any case.
        """
        if asked or heard is not None or call.fault:
            self._results.append(Result(call.gate.address, call.port, heard, fault=call.fault))

    def _close(self, line: _Line) -> None:
        line.talk.close()
        self._lines.pop(line.stream.sock.fileno(), None)
        self._busy[line.call.gate.address] -= 1
        line.stream.sock.close()

    def _end(self, line: _Line, heard: Heard | None) -> None:
        self._close(line)
        call = line.call
        if call.known is not None:
            self._go_on(call, call.known if heard is None else _add(call.known, heard))
            return
        if heard is not None and heard.service != "unknown" and heard.then:
            self._go_on(call, heard)
            return
        if heard is not None and heard.service == "unknown":
            # A text in no known form; what follows in the plan may still understand more.
            call.weak, heard = _join(call.weak, heard), None
            call.starts = deque(start for start in call.starts if start not in OTHERS)  # none of them speaks first
        if not line.stream.answered and line.start in TELLING:
            call.starts = deque(start for start in call.starts if start in PATIENT)
        if time.monotonic() - call.since > MOST_TRYING:
            call.starts.clear()
        if heard is not None or not call.starts or not line.connected:
            self._tell(call, heard or call.weak)
        else:
            self._ready.append(call)


def _planned(port: int, probes: Sequence[ServiceProbe]) -> tuple[Start, ...]:
    starts = plan(port)
    return (*starts, *imported(probes, port)) if starts else ()


def _add(known: Heard, heard: Heard) -> Heard:
    """Add what a further conversation heard; where both say something, the later one was the closer look."""
    return Heard(known.service, {**known.facts, **heard.facts}, (*known.answers, *heard.answers), heard.then)


def _join(before: Heard | None, heard: Heard) -> Heard:
    """Keep all that was said in no known form, for fingerprints to look at."""
    if before is None:
        return heard
    return Heard(before.service, {**heard.facts, **before.facts}, (*before.answers, *heard.answers))
