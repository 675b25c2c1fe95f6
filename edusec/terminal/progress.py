"""How far a run is, on standard error: a live line on a terminal, a rare line elsewhere, nothing when quiet."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from edusec.lang import current, t
from edusec.terminal.render import cells, clip, safe
from probes.kit import contract
from probes.kit.reasons import explain

_LIVE_SECONDS = 0.1
_RARE_SECONDS = 10.0
_WIDTH = 78
_WORTH_SAYING = 0.001


class Progress:
    """Shows done, total, rate, time left, what is sent and what gets lost.

    Call it with each step, and `clear` before other output.
    """

    def __init__(
        self, *, quiet: bool, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock; `quiet` shows nothing at all."""
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._live = self._stream.isatty()
        self._clock = clock
        self._started = clock()
        self._shown = self._started if not self._live else self._started - _LIVE_SECONDS
        self._width = 0

    def __call__(self, step: contract.Progress) -> None:
        """Take one step; most calls show nothing."""
        now = self._clock()
        if self._quiet or now - self._shown < (_LIVE_SECONDS if self._live else _RARE_SECONDS):
            return
        self._shown = now
        line = _line(step, now - self._started)
        if not self._live:
            print(line, file=self._stream, flush=True)
            return
        line = clip(line, min(_WIDTH, _columns(self._stream) - 1))
        self._stream.write("\r" + line + " " * max(0, self._width - cells(line)))
        self._stream.flush()
        self._width = cells(line)

    def clear(self) -> None:
        """Wipe the live line."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def _columns(stream: TextIO) -> int:
    """Give how wide a terminal is just now; a longer line would break, and could not be written over."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def _line(step: contract.Progress, seconds: float) -> str:
    done, total = step.done, step.total
    rate = done / seconds if seconds > 0 else 0.0
    share = f"{100 * done // total}% " if total else ""
    left = ""
    if total > done > 0 and rate:
        left = t(f"，还需 {span((total - done) / rate)}", f", {span((total - done) / rate)} left")
    sent = t(f"  发送 {step.rate:.0f}/s", f"  sending {step.rate:.0f}/s") if step.rate else ""
    lost = t(f"，丢包 {step.lost:.1%}", f", {step.lost:.1%} lost") if step.lost >= _WORTH_SAYING else ""
    note = safe(explain(step.note, current()))
    speed = "" if note and done >= total else f"  {rate:.0f}/s"  # then it waits for something else
    return f"{share}{done}/{total}{speed}{left}{sent}{lost}{'  ' if note else ''}{note}"


def span(seconds: float) -> str:
    """Write a duration as people read it: 1:05, or 2:00:00."""
    whole = round(seconds)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
