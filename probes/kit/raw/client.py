"""The door to the SYN engine: start the helper for one job and read what it says."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator

from probes.kit.errors import CannotRun
from probes.kit.raw.messages import MAX_LINE_BYTES, Done, HostStates, Job, Opened, Progress, Said
from probes.kit.raw.syscalls import ambient_net_raw, holds_net_raw
from wire.codec import decode, encode
from wire.errors import WireError

_MODULE = "probes.kit.raw"
_STDERR_BYTES = 2000
_END_SECONDS = 10.0


def why_not() -> str | None:
    """Reason why the SYN engine cannot work in this process, or None when it can; nothing is sent or started."""
    if not holds_net_raw():
        return "the SYN engine needs CAP_NET_RAW, which this process does not hold"
    return None


def run(job: Job) -> Generator[Opened | Progress | HostStates | Done, None, None]:
    """Start the helper, give it the job and yield what it says; closing the iterator ends the helper.

    One HostStates per target comes near the end, then Done. Raises CannotRun when it fails. The helper dies with the
    thread that started it.
    """
    with tempfile.TemporaryFile() as errors:
        with ambient_net_raw():
            helper = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        assert helper.stdin is not None and helper.stdout is not None  # noqa: S101, PT018 (both are pipes)
        done = False
        try:
            with contextlib.suppress(BrokenPipeError):
                helper.stdin.write(encode(job) + b"\n")
                helper.stdin.flush()
            while line := helper.stdout.readline(MAX_LINE_BYTES):
                said = _read(line)
                yield said
                done = done or isinstance(said, Done)
            if not done:
                status = helper.wait()
                raise CannotRun(f"the helper of the SYN engine ended early ({status}): {_last_words(errors.fileno())}")
        finally:
            with contextlib.suppress(BrokenPipeError):
                helper.stdin.close()
            helper.stdout.close()
            _end(helper)


def _read(line: bytes) -> Opened | Progress | HostStates | Done:
    try:
        said = decode(Said, line, MAX_LINE_BYTES)
    except WireError as error:
        raise CannotRun(f"the helper of the SYN engine said something that cannot be read: {error}") from None
    if said.failed is not None:
        raise CannotRun(said.failed.text)
    found = said.opened or said.progress or said.host or said.done
    if found is None:
        raise CannotRun("the helper of the SYN engine said nothing in a line")
    return found


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
