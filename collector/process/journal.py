"""The collector's log: one structured line per event on standard error; what repeats is said once a window."""

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from traceback import format_exception_only, format_tb

WINDOW_SECONDS = 300.0
MAX_PROBLEMS = 4096
"""Problems remembered at once; beyond it the one that was quiet longest is forgotten."""
MAX_PER_KIND = 200
"""Lines of one kind in a window, from whatever sources. Kinds are words of our own code, so there are few."""
MAX_VALUE = 1500

_log = logging.getLogger("edusec.collector")


def set_up(level: str) -> None:
    """Send every log record of this process to standard error, as one line of `key=value` pairs each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    handler.addFilter(_Calm())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for noisy in ("asyncio", "alembic", "litestar", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def line(event: str, /, **values: object) -> str:
    """Write an event and its values as `event=... key=value`; every value fits one line whatever it holds."""
    return " ".join([f"event={event}", *(f"{key}={_quoted(value)}" for key, value in values.items() if value != "")])


def info(event: str, /, **values: object) -> None:
    """Log what an operator may want to know."""
    _log.info("%s", line(event, **values))


def warning(event: str, /, **values: object) -> None:
    """Log what an operator should look at."""
    _log.warning("%s", line(event, **values))


def error(event: str, /, **values: object) -> None:
    """Log what an operator must look at."""
    _log.error("%s", line(event, **values))


def crash(event: str, problem: BaseException, /, **values: object) -> None:
    """Log a fault of our own with the place where it arose; clients never see this."""
    _log.error("%s", line(event, problem=_last(problem), trace=_trace(problem), **values))


@dataclass(slots=True)
class _Seen:
    since: float
    more: int = 0


class Once:
    """Lets a problem of one kind from one source through once in a window, and counts what it holds back."""

    def __init__(
        self,
        window: float = WINDOW_SECONDS,
        limit: int = MAX_PROBLEMS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember at most `limit` problems for `window` seconds each."""
        self._window, self._limit, self._clock = window, limit, clock
        self._seen: OrderedDict[tuple[str, str], _Seen] = OrderedDict()
        self._kinds: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def admit(self, kind: str, source: str) -> int | None:
        """Give how often this was held back since it was last let through, or None when it must be held back now."""
        now = self._clock()
        with self._lock:
            seen = self._seen.get((kind, source))
            if seen is not None and now - seen.since < self._window:
                seen.more += 1
                return None
            if not self._has_room(kind, now):
                return None
            self._seen[kind, source] = _Seen(now)
            self._seen.move_to_end((kind, source))
            while len(self._seen) > self._limit:
                self._seen.popitem(last=False)
            return 0 if seen is None else seen.more

    def _has_room(self, kind: str, now: float) -> bool:
        """Bound the lines of one kind: a stranger may have as many sources as he likes."""
        count = self._kinds.get(kind)
        if count is None or now - count.since >= self._window:
            count = self._kinds[kind] = _Seen(now)
        count.more += 1
        return count.more <= MAX_PER_KIND

    def warning(self, event: str, source: str, /, **values: object) -> None:
        """Log a problem once in a window; the next line of its kind says how many were held back."""
        more = self.admit(event, source)
        if more is not None:
            warning(event, source=source, **values, repeated=more or "")


class _Calm(logging.Filter):
    """Strangers can make a library complain as often as they like: each of its complaints passes once a window."""

    def __init__(self) -> None:
        super().__init__()
        self._once = Once()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.startswith("edusec") or self._once.admit(record.name, str(record.msg)[:200]) is not None


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if not message.startswith("event="):  # a library's own words
            message = line("log", logger=record.name, message=message)
        if record.exc_info and record.exc_info[1] is not None:
            problem = record.exc_info[1]
            message += f" problem={_quoted(_last(problem))} trace={_quoted(_trace(problem))}"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f"time={stamp} level={record.levelname.lower()} {message}"


def _last(problem: BaseException) -> str:
    return "".join(format_exception_only(problem)).strip()


def _trace(problem: BaseException) -> str:
    return " < ".join(part.strip().splitlines()[0] for part in reversed(format_tb(problem.__traceback__)[-8:]))


def _quoted(value: object) -> str:
    text = str(value)
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "..."
    if text and all(char.isprintable() and char not in ' "=\\' for char in text):
        return text
    # Control characters would let a stranger write lines of his own, or drive a terminal.
    safe = "".join(
        char if char.isprintable() and char not in '"\\' else char.encode("unicode_escape").decode() for char in text
    )
    return '"' + safe.replace('"', '\\"') + '"'
