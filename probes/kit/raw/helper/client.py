"""The door to the helper: whether it can work here, one job that it is started for, and what it says of it."""

import contextlib
import os
import select
import signal
from collections.abc import Generator
from typing import Protocol, TypeVar

from probes.kit.errors import CannotRun
from probes.kit.raw.helper.messages import MAX_LINE_BYTES, Failed
from probes.kit.raw.helper.privilege import NOT_ALLOWED
from probes.kit.raw.helper.process import Helper, Work, start
from probes.kit.raw.syscalls import holds_net_raw
from probes.kit.reasons import REASONS, because
from wire.codec import decode
from wire.errors import WireError

_STDERR_BYTES = 2000
_END_SECONDS = 10.0


class Said(Protocol):
    """A line of the helper: a dataclass of the work's own, and the reason where it failed."""

    @property
    def failed(self) -> Failed | None:
        """Set in the last line of a job that failed."""


SaidT = TypeVar("SaidT", bound=Said)


def why_not() -> str | None:
    """Reason (see `kit.reasons`) why the helper cannot work for this process, or None; sends and starts nothing."""
    return None if holds_net_raw() else NOT_ALLOWED


def hear(work: Work, seconds: float, kind: type[SaidT]) -> Generator[SaidT, None, None]:
    """Have a job done by a helper and yield its lines, read as `kind`; closing the iterator ends the helper.

    Raises CannotRun when it fails. The helper dies with the thread that started it. The work's modules are to be loaded
    by now: a lock of the import system that another thread holds at the fork stays locked in the helper.
    """
    with contextlib.closing(_lines(work, seconds)) as lines:
        for line in lines:
            try:
                said = decode(kind, line, MAX_LINE_BYTES)
            except WireError as error:
                raise unreadable(error) from None
            if said.failed is not None:
                raise _failed(said.failed.text)
            yield said


def unreadable(why: Exception | str) -> CannotRun:
    """Say that a line of the helper is none of its work's."""
    return _failed(f"it said something that cannot be read: {why}")


def _failed(what: str) -> CannotRun:
    known = what.partition(":")[0] in REASONS
    return CannotRun(what if known else because("engine_failed", what))


def _lines(work: Work, seconds: float) -> Generator[bytes, None, None]:
    with contextlib.ExitStack() as closing:
        try:
            errors = closing.enter_context(os.fdopen(os.memfd_create("errors"), "r+b"))
            helper = start(work, seconds, errors.fileno())
        except OSError as error:  # no descriptor or no process is left here
            raise _failed(f"it cannot be started: {error.strerror or error}") from None
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
