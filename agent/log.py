"""Log lines of the daemon: one line each on standard error, as key=value, and each distinct problem once."""

import os
import sys
import threading
import time
from typing import Literal

Level = Literal["info", "warning", "error"]

# Prefixes that journald reads as priorities (sd-daemon(3)).
_PRIORITY = {"info": "<6>", "warning": "<4>", "error": "<3>"}
_MAX_VALUE = 2000


def log(level: Level, message: str, **fields: object) -> None:
    """Write one line: time, level, message, then the fields but those that are None; control characters are escaped."""
    if "JOURNAL_STREAM" in os.environ:
        start = f"{_PRIORITY[level]}level={level}"
    else:
        start = f"time={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} level={level}"
    said = [f"{key}={_quoted(str(value))}" for key, value in fields.items() if value is not None]
    parts = [start, f"message={_quoted(message)}", *said]
    try:
        sys.stderr.write(" ".join(parts) + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads the log any more; the work goes on


class Problems:
    """Says each problem once until it changes or is over; safe to use from several threads."""

    def __init__(self) -> None:
        """Start with no problem known."""
        self._current: dict[str, str] = {}
        self._lock = threading.Lock()

    def report(self, about: str, message: str, level: Level = "warning", **fields: object) -> None:
        """Log a problem of one thing, unless the same message stands for it already; fields are not compared."""
        with self._lock:
            if self._current.get(about) == message:
                return
            self._current[about] = message
        log(level, message, about=about, **fields)

    def clear(self, about: str, message: str = "works again") -> None:
        """Forget the problem of one thing; logged if there was one."""
        with self._lock:
            if self._current.pop(about, None) is None:
                return
        log("info", message, about=about)

    def current(self) -> dict[str, str]:
        """What stands now."""
        with self._lock:
            return dict(self._current)


def _quoted(text: str) -> str:
    text = text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "..."
    if text and all(char.isalnum() or char in "._:/+-" for char in text):
        return text
    escaped = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return '"' + escaped.replace('"', "'") + '"'
