"""What the supervisor waits for: events from other threads, and signals. None is seen late."""

import collections
import contextlib
import io
import os
import select
import signal
import time
from collections.abc import Iterator


class Events:
    """A queue that one thread reads, the main one, and any may put to.

    A queue of the standard library is not enough: Python calls handlers between its own instructions, so a signal that
    arrives just before the wait would be seen only after it. This waits for a pipe instead, to which the interpreter
    writes each signal's number at once (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        """Hold nothing; events may be put from now on."""
        self._held: collections.deque[tuple[str, object]] = collections.deque()
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._reader, self._writer = io.FileIO(reader, "r"), io.FileIO(writer, "w")
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._woken = False

    @contextlib.contextmanager
    def hearing(self, *numbers: signal.Signals) -> Iterator[None]:
        """Take these signals as events `("signal", number)`; at the end they are what they were, and nothing waits."""
        written_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(written_before)
            self._reader.close()
            self._writer.close()

    def put(self, kind: str, value: object = None) -> None:
        """Add an event and wake the reader; without effect once nobody reads any more."""
        self._held.append((kind, value))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(ValueError, OSError):  # closed, also just now
                self._writer.write(b"\0")  # a pipe that is full wakes as well

    def get(self, seconds: float) -> tuple[str, object] | None:
        """Give the next event; None when none came within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            self._woken = False  # before the look: what is put after it ends the wait
            if self._held:
                return self._held.popleft()
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            self._held.extend(("signal", number) for number in self._reader.read(4096) or b"" if number)
