"""The door to the SYN engine: start the helper for one job and read what it says."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from probes.kit.errors import CannotRun
from probes.kit.raw.messages import MAX_LINE_BYTES, MOST_STATES, Done, Hosts, Job, Progress, Said, read_opened
from probes.kit.raw.states import unpack_states
from probes.kit.raw.syscalls import ambient_net_raw, holds_net_raw
from probes.kit.reasons import REASONS, because
from wire.codec import decode, encode
from wire.errors import WireError

_MODULE = "probes.kit.raw"
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
    """Start the helper, give it the job and yield what it says; closing the iterator ends the helper.

    One HostStates per target comes near the end, then Done. Raises CannotRun when it fails. The helper dies with the
    thread that started it.
    """
    with contextlib.closing(lines(encode(job))) as said:
        for line in said:
            yield from _events(_read(line))


def lines(job: bytes) -> Generator[bytes, None, None]:
    """Start the helper, give it a job of any kind and yield its lines; see `run`. Each line has to be checked."""
    with os.fdopen(os.memfd_create("errors"), "r+b") as errors:
        with ambient_net_raw():
            helper = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        assert helper.stdin is not None and helper.stdout is not None  # noqa: S101, PT018 (both are pipes)
        try:
            with contextlib.suppress(BrokenPipeError):
                helper.stdin.write(job + b"\n")
                helper.stdin.flush()
            while line := helper.stdout.readline(MAX_LINE_BYTES):
                yield line
            status = helper.wait()
            if status:
                raise _failed(f"ended early ({status}): {_last_words(errors.fileno())}")
        finally:
            with contextlib.suppress(BrokenPipeError):
                helper.stdin.close()
            helper.stdout.close()
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


def _end(helper: "subprocess.Popen[bytes]") -> None:
    # It ends by itself once its standard input is closed; a moment for that, then by force.
    try:
        helper.wait(_END_SECONDS if helper.poll() is None else 0)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()


def _last_words(errors: int) -> str:
    size = os.lseek(errors, 0, os.SEEK_END)
    os.lseek(errors, max(0, size - _STDERR_BYTES), os.SEEK_SET)
    text = os.read(errors, _STDERR_BYTES).decode("utf-8", "replace").strip()
    last = text.splitlines()[-1] if text else "it left no message"
    return "".join(char if char.isprintable() else "?" for char in last)
