"""One line of the self-check."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What came of one check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Line(NamedTuple):
    """One line of the self-check; a line that failed always has the command that mends it."""

    check: str
    state: State
    detail: str
    fix: str = ""
