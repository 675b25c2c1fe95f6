"""The one way in which a probe is run, by the daemon and by `edusec scan`: in processes of its own (the guard).

This side starts the guard, hands it the job, passes progress on, and takes back one section. Whatever happens to the
guard, a section comes of it, and nothing that was started outlives the run.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Annotated

from agent.probing.job import Job, write_job
from agent.process.start import end, start_python
from agent.spool.packing import MAX_PACKED, Packed, pack, unpack
from probes.kit.contract import Found, Progress, Silent
from probes.kit.reasons import because
from wire.codec import from_plain, parse_json
from wire.errors import DecodeError, WireError
from wire.types import Body, Count, Coverage, Max, Observation, Range, RunStatus, Section, SectionKind, Skipped

_STOP_SECONDS = 10.0
_HAND_OVER_SECONDS = 60.0
"""How long the guard may take to end its probe and hand over what it has: when stopped, and on a slow machine."""
_LOOK_SECONDS = 0.2
_MAX_LINE = 1 << 20
_TAIL = 2_000


_FOUND: Mapping[str, Callable[[object], Found]] = {
    "observation": partial(from_plain, Observation),
    "coverage": partial(from_plain, Coverage),
    "silent": lambda value: Silent(from_plain(Coverage, value)),
    "skipped": partial(from_plain, Skipped),
}


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a job: the section, and what only the agent itself wants to know."""

    packed: Packed
    refusals: int
    sent: int
    stderr: str


@dataclass(frozen=True, slots=True)
class _Result:
    section: Section
    packed: Annotated[int, Range(0, MAX_PACKED)]
    plain: Count
    observations: Count
    refusals: Count = 0
    sent: Count = 0
    stderr: Annotated[str, Max(_TAIL)] = ""


def run(
    job: Job,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_found: Callable[[Found], None] | None = None,
    stop: threading.Event | None = None,
) -> Section:
    """Run a probe to its end and give its section, with body. Blocks; `stop` ends the run early, keeping what it has.

    `on_found` is told what becomes part of the section, as soon as the probe says it. Never raises for anything that
    the probe does; raises OSError when not even the guard can be started.
    """
    return unpack(perform(job, on_progress=on_progress, on_found=on_found, stop=stop).packed)


def perform(
    job: Job,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    on_found: Callable[[Found], None] | None = None,
    stop: threading.Event | None = None,
) -> Run:
    """Like `run`, but the section stays packed, as the spool takes it."""
    started, wall = time.monotonic(), time.time()
    if on_found is not None:
        job = replace(job, follow=True)
    with start_python("agent.probing.guard") as guard:
        reader = _Reader(on_progress, on_found)
        try:
            death = _converse(guard, write_job(job), reader, job.seconds + job.grace + _HAND_OVER_SECONDS, stop)
        except WireError as error:
            death = f"said what is not a result: {error}"
        finally:
            end(guard)
    if reader.result is not None and len(reader.body) == reader.result.packed:
        result = reader.result
        packed = Packed(result.section, bytes(reader.body), result.plain, result.observations)
        return Run(packed, result.refusals, result.sent, result.stderr)
    why = death or _status(guard.returncode)
    section = _lost(job, because("crashed", f"the guard of the probe {why}"), wall, wall + time.monotonic() - started)
    return Run(pack(section), 0, 0, reader.errors.decode("utf-8", "replace"))


def _converse(
    guard: "subprocess.Popen[bytes]", orders: bytes, reader: "_Reader", seconds: float, stop: threading.Event | None
) -> str:
    """Write the orders and read until the guard ends; gives why it had to be ended, or "". Raises WireError."""
    stdin, stdout, stderr = _pipes(guard)
    deadline = time.monotonic() + seconds
    rest, stopping = memoryview(orders), False
    with selectors.DefaultSelector() as selector:
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(stderr, selectors.EVENT_READ)
        while stdout in (readers := [key.fileobj for key in selector.get_map().values()]) or stderr in readers:
            if time.monotonic() > deadline:
                return "did not end in time"
            if stop is not None and stop.is_set() and not stopping:
                stopping, deadline = True, min(deadline, time.monotonic() + _STOP_SECONDS)
            if stopping and stdin not in readers and not stdin.closed:
                stdin.close()  # this asks the guard to end its probe; half an order would be a fault of ours to it
            for key, _ in selector.select(_LOOK_SECONDS if stop is not None else deadline - time.monotonic()):
                if key.fileobj is stdin:
                    rest = _write_some(stdin, rest)
                    if not rest:
                        # Kept open: its end is what the guard takes for the end of this process.
                        selector.unregister(stdin)
                elif not (data := os.read(key.fd, 65_536)):
                    selector.unregister(key.fileobj)
                elif key.fileobj is stderr:
                    reader.errors = (reader.errors + data)[-_TAIL:]
                else:
                    reader.feed(data)
    return ""


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None  # noqa: S101 (start_python asks for all three)
    assert stdout is not None  # noqa: S101
    assert stderr is not None  # noqa: S101
    return stdin, stdout, stderr


def _write_some(pipe: IO[bytes], rest: memoryview) -> memoryview:
    try:
        return rest[os.write(pipe.fileno(), rest[:65_536]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]  # it ended already; its output says why


class _Reader:
    """Takes the guard's lines; once the result has come, all that follows is its body."""

    def __init__(
        self, on_progress: Callable[[Progress], None] | None, on_found: Callable[[Found], None] | None
    ) -> None:
        self.result: _Result | None = None
        self.body = bytearray()
        self.errors = b""
        self._on_progress = on_progress
        self._on_found = on_found
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if self.result is None:
            data = self._lines(self._rest + data)
        self.body += data
        if self.result is not None and len(self.body) > self.result.packed:
            raise DecodeError("result", "more follows than it announced")

    def _lines(self, data: bytes) -> bytes:
        """Take lines up to the result; gives what follows it."""
        while self.result is None:
            line, newline, rest = data.partition(b"\n")
            if not newline:
                if len(data) > _MAX_LINE:
                    raise DecodeError("line", f"longer than {_MAX_LINE} bytes")
                self._rest = data
                return b""
            self._line(line)
            data = rest
        return data

    def _line(self, line: bytes) -> None:
        plain = parse_json(line)
        if type(plain) is not dict or len(plain) != 1:
            raise DecodeError("line", "expected an object with one key")
        ((word, value),) = plain.items()
        if word == "result":
            self.result = from_plain(_Result, value)
        elif word == "progress":
            progress = from_plain(Progress, value)
            if self._on_progress is not None:
                self._on_progress(progress)
        elif word in _FOUND and self._on_found is not None:
            self._on_found(_FOUND[word](value))
        else:
            raise DecodeError("line", f"{word[:64]!r} is not a word of the guard")


def _status(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def _lost(job: Job, reason: str, started: float, finished: float) -> Section:
    from wire.digest import section_digest  # loads OpenSSL, which the daemon does without

    section = Section(
        name=job.name,
        probe=job.probe,
        kind=SectionKind.STATE,
        status=RunStatus.CRASHED,
        digest="",
        started=started,
        finished=max(started, finished),
        reason=reason,
        body=Body(),
    )
    return replace(section, digest=section_digest(section.probe, section.status, section.reason, Body()))
