"""A line to the collector for small questions, through a process that speaks TLS (the caller) and can be ended."""

import contextlib
import select
import socket
import threading
import time

from agent.process.start import end, start_python
from agent.uplink.delivery import MAX_TOLD_BYTES, Ask, Opening, Told
from agent.uplink.identity import Identity
from wire.codec import decode, encode
from wire.errors import WireError

CONNECT_SECONDS = 15.0
SPARE_SECONDS = 5.0
# A NAT in between forgets a connection on which nothing moves (RFC 5382); one byte a minute keeps it in mind.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))


def connect(identity: Identity) -> socket.socket:
    """Connect to the collector; the kernel keeps the connection alive and notices when it is dead. Raises OSError."""
    made = socket.create_connection((identity.host, identity.port), timeout=CONNECT_SECONDS)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        made.setsockopt(socket.IPPROTO_TCP, name, value)
    return made


class Line:
    """Asks one question after the other; use it in a `with` block, from one thread at a time."""

    def __init__(self, identity: Identity, held: socket.socket | None = None) -> None:
        """Start the process; with a connection, questions may be held on that. Raises OSError."""
        self._handle = -1 if held is None else held.fileno()
        opening = Opening(identity.host, identity.port, identity.ca, identity.credential, self._handle)
        self._opening = encode(opening) + b"\n"
        self._lock = threading.Lock()
        self._aborted = self._broken = False
        self._start()

    def _start(self) -> None:
        self._process = start_python("agent.uplink.caller", () if self._handle < 0 else (self._handle,))
        self._rest = bytearray()
        self._first = self._opening
        self._broken = False

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, ask: Ask) -> Told:
        """Ask, and give what came of it; never raises for what happens on the way.

        A process that failed (a small gateway may have run out of memory) makes room for another; so does one that is
        late, whose answer must not be taken for the next one's.
        """
        try:
            with self._lock:
                if self._broken and not self._aborted and self._handle < 0:
                    self.close()
                    self._start()
        except OSError as error:
            return Told(0, error=f"no process can be started: {error}"[:1024])
        try:
            return self._exchange(ask)
        except (OSError, ValueError, WireError) as error:
            self._broken = True
            return Told(0, error=f"the caller failed: {error}"[:1024])

    def _exchange(self, ask: Ask) -> Told:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 (start_python asks for both)
        assert stdout is not None  # noqa: S101
        stdin.write(self._first + encode(ask) + b"\n")
        self._first = b""
        deadline = time.monotonic() + ask.seconds + SPARE_SECONDS
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("no answer in time")
            piece = stdout.read(1 << 16)
            if not piece or len(self._rest) > 2 * MAX_TOLD_BYTES:
                raise BrokenPipeError("it ended")
            self._rest += piece
        line, _, rest = bytes(self._rest).partition(b"\n")
        self._rest = bytearray(rest)
        return decode(Told, line)

    def abort(self) -> None:
        """End the question under way, from any thread; no other can be asked."""
        with self._lock:
            self._aborted = True
            self._process.kill()

    def close(self) -> None:
        """End the process."""
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
