"""The helper's pipes: lines out without ever blocking, and the parent's end of standard input as a lifeline."""

import os
import select
import time

from wire.codec import encode

_MUCH = 1 << 20
"""Bytes that the parent has not read yet, above which nothing more is asked."""


class ParentGone(Exception):
    """Nobody reads what is said."""


class Outlet:
    """Writes lines to one descriptor and watches another for its end."""

    def __init__(self, out: int, lifeline: int) -> None:
        """Make the output non-blocking."""
        os.set_blocking(out, False)
        os.set_blocking(lifeline, False)
        self._out = out
        self._lifeline = lifeline
        self._pending = bytearray()

    @property
    def crowded(self) -> bool:
        """Whether the parent is far behind."""
        return len(self._pending) > _MUCH

    def say(self, line: object) -> None:
        """Add a message as a line, and write what the pipe takes."""
        self._pending += encode(line) + b"\n"
        if len(self._pending) > 1 << 16:
            self.flush()

    def flush(self) -> None:
        """Write what the pipe takes; raises ParentGone."""
        while self._pending:
            try:
                del self._pending[: os.write(self._out, memoryview(self._pending)[: 1 << 16].tobytes())]
            except BlockingIOError:
                return
            except BrokenPipeError:
                raise ParentGone from None

    def check(self) -> None:
        """Raise ParentGone when the parent has closed its end."""
        try:
            if not os.read(self._lifeline, 4096):
                raise ParentGone
        except BlockingIOError:
            return

    def finish(self, seconds: float) -> None:
        """Write everything, waiting for the parent for a bounded time."""
        end = time.monotonic() + seconds
        while self._pending and (left := end - time.monotonic()) > 0:
            select.select([], [self._out], [self._lifeline], left)
            self.flush()
            self.check()
