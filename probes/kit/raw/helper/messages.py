"""What every job of the helper has in common, as JSON lines: bounds, how far it is, and why it fails."""

from dataclasses import dataclass

from wire.errors import EdusecError
from wire.types import Count, Line

MAX_HOSTS = 1 << 16
MAX_LINE_BYTES = 1 << 20


class BadJob(EdusecError):
    """The job cannot be done; the text names the field and what is allowed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is: questions settled or asked often enough, the rate of sending just now, and the loss so far.

    `lost` is the share (0-1) of the questions to pairs that answer which went unanswered.
    """

    settled: Count
    pairs: Count
    sent: Count
    rate: float
    lost: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The helper cannot do the job at all; `text` says what would mend it."""

    text: Line


@dataclass(frozen=True, slots=True)
class Failure:
    """The last line of a job that failed; the lines of every kind of work have this field."""

    failed: Failed
