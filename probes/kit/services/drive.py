"""Hold many conversations at once on epoll: connect, encrypt, send, receive and time out, all within the Net's bounds.

A hostile peer costs at most `seconds` of wall time and 64 KiB for each conversation, and some ten conversations.
"""

import select
import socket
import ssl
import struct
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from probes.kit.errors import Refused
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.net import Gate, Net
from probes.kit.outcomes import BUSY
from probes.kit.services import onvif
from probes.kit.services.plan import MOST_FURTHER, TELLING, imported, plan
from probes.kit.services.talk import Ciphered, Heard, Receive, Secure, Send, Start, Talk
from probes.kit.services.tls import lenient_context

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 16 << 10
_LOOK_EVERY = 0.05
MOST_BYTES = 1 << 20
"""Bytes that one connection may send us, encryption included; more than any conversation asks for."""
CONNECT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one open port: what was heard, or None when nothing in the plan was understood.

    `refused` is set instead when the sending layer did not allow it.
    """

    address: str
    port: int
    heard: Heard | None
    refused: Refused | None = None


@dataclass(slots=True, eq=False)
class _Call:
    """One port and the conversations that are left for it."""

    gate: Gate
    port: int
    starts: deque[Start]
    weak: Heard | None = None
    known: Heard | None = None
    further: int = 0
    looked: bool = False


@dataclass(slots=True, eq=False)
class _Line:
    """One conversation under way."""

    call: _Call
    sock: socket.socket
    start: Start
    talk: Talk
    due: float
    connected: bool = False
    answered: bool = False
    step: Send | Receive | Secure | None = None
    outgoing: bytearray = field(default_factory=bytearray)
    incoming: bytearray = field(default_factory=bytearray)
    received: int = 0
    closed: bool = False
    step_due: float = 0.0
    tls: ssl.SSLObject | None = None
    tls_in: ssl.MemoryBIO | None = None
    tls_out: ssl.MemoryBIO | None = None
    shaking: bool = False


class Drive:
    """One run over a Net; `connections` at once, `seconds` at most for each conversation.

    `probes` are an operator's own (`fingerprint.store`), tried where nothing else is understood.
    """

    def __init__(
        self, net: Net, *, connections: int = 256, seconds: float = 6.0, probes: Sequence[ServiceProbe] = ()
    ) -> None:
        """See the class; nothing is opened yet."""
        self._probes = probes
        self._net = net
        self._most = max(1, min(connections, net.connections))
        self._seconds = seconds
        self._epoll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._busy: Counter[str] = Counter()
        self._ready: deque[_Call] = deque()
        self._results: list[Result] = []
        self._context = lenient_context()

    def run(self, services: Iterable[tuple[str, int]], deadline: float) -> Iterator[Result]:
        """Identify (address, port) pairs; at the deadline (time.monotonic()) what is under way is given up as None."""
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
            for call in [*(line.call for line in self._lines.values()), *self._ready]:
                yield Result(call.gate.address, call.port, call.known or call.weak)
        finally:
            for line in self._lines.values():
                line.talk.close()
                line.sock.close()
            self._lines.clear()
            self._epoll.close()

    def _admit(self, address: str, port: int) -> None:
        try:
            gate = self._net.gate(address, port)
        except Refused as refusal:
            self._results.append(Result(address, port, None, refusal))
            return
        starts = deque(plan(port))
        if starts:
            self._ready.append(_Call(gate, port, deque((*starts, *imported(self._probes, port)))))
        else:
            self._results.append(Result(address, port, None))

    def _launch(self, now: float) -> None:
        for _ in range(len(self._ready)):
            if len(self._lines) >= self._most:
                return
            call = self._ready.popleft()
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
        start = call.starts.popleft()
        line = _Line(call, sock, start, start(call.gate.address, call.port), now + CONNECT_SECONDS)
        self._lines[sock.fileno()] = line
        self._busy[call.gate.address] += 1
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)

    def _collect(self, now: float) -> None:
        for descriptor, events in self._epoll.poll(_LOOK_EVERY, 256):
            line = self._lines.get(descriptor)
            if line is not None:
                self._touch(line, events)
        for line in [
            line for line in self._lines.values() if line.due <= now or (line.step_due and line.step_due <= now)
        ]:
            if not line.connected or line.due <= now or not isinstance(line.step, Receive):
                line.closed = True
            self._advance(line, timed_out=True)

    def _touch(self, line: _Line, events: int) -> None:
        now = time.monotonic()
        if not line.connected:
            if line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._end(line, None)
                return
            if not events & select.EPOLLOUT:
                return
            line.connected = True
            line.due = now + self._seconds
            self._next(line, None)
            if line.sock.fileno() < 0:
                return
        self._read(line)
        self._advance(line)

    def _read(self, line: _Line) -> None:
        while not line.closed:
            wanted = line.step.limit if isinstance(line.step, Receive) else _CHUNK
            if len(line.incoming) >= max(wanted, _CHUNK):
                return
            try:
                data = line.sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            line.answered = True  # hanging up is an answer too
            line.received += len(data)
            if not data or line.received > MOST_BYTES:
                # A flood of records that hold nothing for us would keep this loop, and all other lines, busy.
                line.closed = True
                if line.tls_in is not None:
                    line.tls_in.write_eof()
            elif line.tls_in is not None:
                line.tls_in.write(data)
                self._decrypt(line)
            else:
                line.incoming += data

    def _decrypt(self, line: _Line) -> None:
        if line.tls is None or line.shaking:
            return
        try:
            while data := line.tls.read(_CHUNK):
                line.incoming += data
                if len(line.incoming) >= 4 * _CHUNK:
                    return
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            line.closed = True

    def _advance(self, line: _Line, timed_out: bool = False) -> None:
        """Go on with a conversation as far as what has arrived allows."""
        while line.sock.fileno() >= 0:
            self._flush(line)
            step = line.step
            if isinstance(step, Receive):
                self._read(line)
                data = bytes(line.incoming[: step.limit])
                if not (timed_out or line.closed or len(data) >= step.limit or step.enough(data)):
                    return
                del line.incoming[: step.limit]
                timed_out = False
                self._next(line, data)
            elif isinstance(step, Secure):
                if not self._shake(line, give_up=timed_out or line.closed):
                    return
                timed_out = False
            elif line.closed or not line.connected:
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
                self._write(line, step.data)
                reply = b""
                continue
            if isinstance(step, Ciphered):
                reply = _cipher(line.tls)
                continue
            line.step = step
            line.step_due = min(line.due, now + step.seconds) if isinstance(step, Receive) else line.due
            if isinstance(step, Secure):
                self._secure(line)
            return

    def _write(self, line: _Line, data: bytes) -> None:
        if line.tls is not None:
            try:
                line.tls.write(data)
            except ssl.SSLError:
                line.closed = True
        else:
            line.outgoing += data
        self._flush(line)

    def _flush(self, line: _Line) -> None:
        if line.tls_out is not None:
            line.outgoing += line.tls_out.read()
        while line.outgoing and not line.closed:
            try:
                sent = line.sock.send(line.outgoing)
            except BlockingIOError:
                return
            except OSError:
                line.closed = True
                return
            del line.outgoing[:sent]

    def _secure(self, line: _Line) -> None:
        line.tls_in, line.tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        line.tls = self._context.wrap_bio(line.tls_in, line.tls_out, server_side=False, server_hostname=None)
        line.shaking = True

    def _shake(self, line: _Line, *, give_up: bool) -> bool:
        """Go on with the handshake; True when it ended either way and the conversation has its answer."""
        certificate = b""
        try:
            if line.tls is None:
                raise ValueError("the handshake has not begun")
            line.tls.do_handshake()
            certificate = line.tls.getpeercert(binary_form=True) or b""
        except ssl.SSLWantReadError:
            if not give_up:
                self._flush(line)
                return False
        except (ssl.SSLError, ValueError):
            certificate = b""
        line.shaking = False
        self._flush(line)
        self._decrypt(line)
        self._next(line, certificate)
        return True

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
            self._results.append(Result(call.gate.address, call.port, call.known))

    def _end(self, line: _Line, heard: Heard | None) -> None:
        descriptor = line.sock.fileno()
        line.talk.close()
        self._lines.pop(descriptor, None)
        self._busy[line.call.gate.address] -= 1
        line.sock.close()
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
        silent = not line.answered and line.start in TELLING
        if heard is not None or not call.starts or not line.connected or silent:
            self._results.append(Result(call.gate.address, call.port, heard or call.weak))
        else:
            self._ready.append(call)


def _add(known: Heard, heard: Heard) -> Heard:
    """Add what a further conversation heard; where both say something, the later one was the closer look."""
    return Heard(known.service, {**known.facts, **heard.facts}, (*known.answers, *heard.answers), heard.then)


def _cipher(tls: ssl.SSLObject | None) -> bytes:
    cipher = tls.cipher() if tls is not None else None
    return f"{tls.version()} {cipher[0]}".encode() if tls is not None and cipher else b""


def _join(before: Heard | None, heard: Heard) -> Heard:
    """Keep all that was said in no known form, for fingerprints to look at."""
    if before is None:
        return heard
    return Heard(before.service, {**heard.facts, **before.facts}, (*before.answers, *heard.answers))
