"""The guard of one probe run: `python -P -m agent.probing.guard`, started by the runner.

It reads the job, forks the confined process that runs the probe (the worker), takes what that says, and gives back one
section. It ends the probe, with everything that the probe started, at the hard deadline and as soon as its own standard
input closes: that is how a stop is asked for, and also what the kernel does when the daemon is killed.
"""

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from agent.probing import worker
from agent.probing.collect import Collected, End, Ending, TooMuch, say
from agent.probing.job import Job, read_job
from agent.process import confine
from agent.spool.packing import Packed, pack
from probes.kit.contract import Progress
from wire.codec import to_plain
from wire.errors import DecodeError, WireError

_TAIL = 2_000
_SWEEP_SECONDS = 5.0


def main() -> int:
    """Do one job; exit code 0 once a section was given back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    confine.adopt_orphans()
    try:
        job = read_job(lambda most: os.read(0, most))
    except DecodeError as error:
        print(error, file=sys.stderr)
        return 2
    packed, last = _refused(job) if job.refused else _guard(job)
    head = {
        "section": to_plain(packed.section),
        "packed": len(packed.body),
        "plain": packed.plain,
        "observations": packed.observations,
        **last,
    }
    try:
        _write(say("result", head) + packed.body)
    except BrokenPipeError:
        return 1
    return 0


@dataclass(slots=True)
class _Run:
    """The probe's process and what is read from it."""

    pid: int
    handle: int
    channel: int
    errors: int
    tail: bytes = b""


def _guard(job: Job) -> tuple[Packed, dict[str, object]]:
    started, wall = time.monotonic(), time.time()
    run = _start(job, started)
    collected = Collected(_progress, *((_found,) if job.follow else ()))
    ending, detail = _watch(run, collected, started + job.seconds + job.grace)
    status = _end(run.pid)
    if ending is Ending.BY_ITSELF and os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        ending = Ending.KILLED
    _drain_errors(run)
    for handle in (run.handle, run.channel, run.errors):
        os.close(handle)
    finished = wall + time.monotonic() - started
    end = End(ending, _death(status), detail)
    section = collected.section(end, name=job.name, probe=job.probe, started=wall, finished=finished)
    last = collected.last
    tail = run.tail.decode("utf-8", "replace")
    return pack(section), {
        "refusals": last.refusals if last else 0,
        "sent": last.sent if last else 0,
        "stderr": tail,
    }


def _refused(job: Job) -> tuple[Packed, dict[str, object]]:
    collected, now = Collected(_progress), time.time()
    collected.feed(say("last", {"status": "cannot_run", "reason": job.refused}))
    section = collected.section(End(Ending.BY_ITSELF), name=job.name, probe=job.probe, started=now, finished=now)
    return pack(section), {"refusals": 0, "sent": 0, "stderr": ""}


def _start(job: Job, started: float) -> _Run:
    channel, channel_in = os.pipe()
    errors, errors_in = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        worker.work(job, channel_in, errors_in, guard, started)
    os.close(channel_in)
    os.close(errors_in)
    os.set_blocking(channel, False)
    os.set_blocking(errors, False)
    return _Run(pid, os.pidfd_open(pid), channel, errors)


def _watch(run: _Run, collected: Collected, deadline: float) -> tuple[Ending, str]:
    """Take what the process says until it ends, or must end."""
    poll = select.poll()
    poll.register(0, 0)  # only its hang-up counts
    for handle in (run.handle, run.channel, run.errors):
        poll.register(handle, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return Ending.DEADLINE, ""
        ready = {handle for handle, _ in poll.poll(left * 1000)}
        try:
            if run.channel in ready and not _take(run.channel, collected):
                poll.unregister(run.channel)
            if run.handle in ready:
                # A pipe may hold a last piece, and a grandchild may keep it open for ever.
                _take(run.channel, collected)
                return Ending.BY_ITSELF, ""
        except TooMuch:
            return Ending.TOO_MUCH, ""
        except WireError as error:
            return Ending.BAD_OUTPUT, str(error)
        if run.errors in ready and not _read_errors(run):
            poll.unregister(run.errors)
        if 0 in ready:
            return Ending.STOPPED, ""


def _take(channel: int, collected: Collected) -> bool:
    """Read all that is there now; False at the end."""
    for _ in range(64):  # let the deadline have its look at an endless flood
        try:
            data = os.read(channel, 65_536)
        except BlockingIOError:
            return True
        if not data:
            return False
        collected.feed(data)
    return True


def _read_errors(run: _Run) -> bool:
    try:
        data = os.read(run.errors, 65_536)
    except BlockingIOError:
        return True
    run.tail = (run.tail + data)[-_TAIL:]
    return bool(data)


def _drain_errors(run: _Run) -> None:
    # Everything that could write is dead by now, so this ends.
    with contextlib.suppress(BlockingIOError):
        while data := os.read(run.errors, 65_536):
            run.tail = (run.tail + data)[-_TAIL:]


def _end(pid: int) -> int:
    """End the process, its group and whatever got away from both; gives the wait status of the process."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    deadline = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < deadline:
        # Orphans become our children (see confine.adopt_orphans), also those that left the group.
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not reaped:
            time.sleep(0.005)
    return status


def _children() -> list[int]:
    mine = str(os.getpid())
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 (thousands of Path objects in a hurry)
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
                if stat.rpartition(")")[2].split()[1] == mine:
                    found.append(int(entry))
    return found


def _death(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return "used more CPU time than it may"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit status {code} before it was done"


def _progress(progress: Progress) -> None:
    with contextlib.suppress(BrokenPipeError):
        _write(say("progress", to_plain(progress)))


def _found(word: str, value: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        _write(say(word, value))


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    sys.exit(main())
