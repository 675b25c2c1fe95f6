"""The door to the SYN engine: start the helper for one job and read what it says."""

import contextlib
import os
import select
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

from probes.kit.errors import CannotRun
from probes.kit.raw.messages import MAX_LINE_BYTES, MOST_STATES, Done, Hosts, Job, Progress, Said, read_opened
from probes.kit.raw.process import Helper, Work, start
from probes.kit.raw.states import unpack_states
from probes.kit.raw.syscalls import holds_net_raw
from probes.kit.reasons import REASONS, because
from wire.codec import decode
from wire.errors import WireError

_UNREADABLE = "it said something that cannot be read"
_STDERR_BYTES = 2000
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A port that answered with a SYN-ACK, soon after it did; `seconds` is the round trip where it is certain."""

    address: str
    port: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class HostStates:
    """All that is known of one host at the end: a `State` byte per port of the job, ascending.

    `seconds` is its shortest round trip. Where it is not `certain`, packets got lost on the way to the end, or the time
    was over, and silence proves nothing.
    """

    address: str
    states: bytes
    seconds: float | None
    certain: bool


Event = Opened | Progress | HostStates | Done


def why_not() -> str | None:
    """Reason (see `kit.reasons`) why the SYN engine cannot work in this process, or None; sends and starts nothing."""
    if not holds_net_raw():
        return because("no_raw_packets", "CAP_NET_RAW")
    return None


def run(job: Job) -> Generator[Event, None, None]:
    """Start the helper for a job and yield what it says; closing the iterator ends the helper.

    One HostStates per target comes near the end, then Done. Raises CannotRun when it fails. The helper dies with the
    thread that started it.
    """
    from probes.kit.raw.helper import work

    with contextlib.closing(lines(partial(work, job), job.seconds)) as said:
        for line in said:
            yield from _events(_read(line))


def lines(work: Work, seconds: float) -> Generator[bytes, None, None]:
    """Have work of any kind done by a helper and yield its lines; see `run`. Each line has to be checked.

    The work's modules are to be loaded by now: a lock of the import system that another thread holds at the fork stays
    locked in the helper.
    """
    with os.fdopen(os.memfd_create("errors"), "r+b") as errors:
        helper = start(work, seconds, errors.fileno())
        ended = None
        try:
            with os.fdopen(helper.said, "rb") as said:
                while line := said.readline(MAX_LINE_BYTES):
                    yield line
            ended = _status(helper, None)
            if ended:
                raise _failed(f"ended early ({ended}): {_last_words(errors.fileno())}")
        finally:
            os.close(helper.lifeline)
            if ended is None:
                _end(helper)


def _read(line: bytes) -> Said:
    try:
        said = decode(Said, line, MAX_LINE_BYTES)
    except WireError as error:
        raise _failed(f"{_UNREADABLE}: {error}") from None
    if said.failed is not None:
        raise _failed(said.failed.text)
    return said


def _failed(what: str) -> CannotRun:
    known = what.partition(":")[0] in REASONS
    return CannotRun(what if known else because("engine_failed", what))


def _events(said: Said) -> Iterator[Event]:
    try:
        for text in said.opened:
            yield Opened(*read_opened(text))
        if said.hosts is not None:
            yield from _hosts(said.hosts)
    except ValueError as error:
        raise _failed(f"{_UNREADABLE}: {error}") from None
    if said.progress is not None:
        yield said.progress
    if said.done is not None:
        yield said.done


def _hosts(hosts: Hosts) -> Iterator[HostStates]:
    states = unpack_states(hosts.states, MOST_STATES)
    count, rest = divmod(len(states), len(hosts.names) or 1)
    if rest:
        raise ValueError("the states do not belong to the hosts")
    for number, (name, seconds, certain) in enumerate(zip(hosts.names, hosts.seconds, hosts.certain, strict=True)):
        row = states[number * count : (number + 1) * count]
        yield HostStates(name, row, seconds if seconds >= 0 else None, certain)


def _end(helper: Helper) -> None:
    # It ends by itself once its lifeline is closed; a moment for that, then by force.
    if _status(helper, _END_SECONDS) is None:
        os.kill(helper.pid, signal.SIGKILL)
        _status(helper, None)


def _status(helper: Helper, seconds: float | None) -> int | None:
    """Wait for the helper's end and give its exit status (a signal's number below zero); None when it goes on."""
    handle = os.pidfd_open(helper.pid)
    try:
        if not select.select([handle], [], [], seconds)[0]:
            return None
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(helper.pid, 0)[1])


def _last_words(errors: int) -> str:
    size = os.lseek(errors, 0, os.SEEK_END)
    os.lseek(errors, max(0, size - _STDERR_BYTES), os.SEEK_SET)
    text = os.read(errors, _STDERR_BYTES).decode("utf-8", "replace").strip()
    last = text.splitlines()[-1] if text else "it left no message"
    return "".join(char if char.isprintable() else "?" for char in last)
