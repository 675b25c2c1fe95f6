"""What a probe's process says, line by line, into one section; everything is bounded and checked on the way."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from probes.kit.contract import Progress
from probes.kit.reasons import because
from wire.codec import from_plain, parse_json
from wire.digest import section_digest
from wire.errors import DecodeError
from wire.types import Body, Count, Coverage, Max, Observation, RunStatus, Section, SectionKind, Skipped

MAX_LINE = 1 << 20
MAX_OUTPUT = 64 << 20
MAX_OBSERVATIONS = 50_000
MAX_COVERAGE = 1_000
MAX_SKIPPED = 1_000


class Ending(StrEnum):
    """Why a probe's process is over."""

    BY_ITSELF = "by_itself"
    DEADLINE = "deadline"
    STOPPED = "stopped"
    TOO_MUCH = "too_much"
    BAD_OUTPUT = "bad_output"


@dataclass(frozen=True, slots=True)
class Last:
    """The last line of a probe's process: how it ended, how many targets the scope refused, how much it sent."""

    status: Literal["done", "cannot_run", "crashed"]
    reason: Annotated[str, Max(1024)] = ""
    refusals: Count = 0
    sent: Count = 0


class TooMuch(Exception):
    """The probe says more than one section holds; what came before stands."""


class Collected:
    """Takes bytes as they come. Raises TooMuch, or WireError for what is not a result."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        """Start empty; progress is passed on at once."""
        self.kind: SectionKind | None = None
        self.last: Last | None = None
        self._on_progress = on_progress
        self._rest = b""
        self._bytes = 0
        self._observations: list[Observation] = []
        self._coverage: list[Coverage] = []
        self._skipped: list[Skipped] = []
        self._unlisted = 0

    def feed(self, data: bytes) -> None:
        """Take what was read from the process."""
        self._bytes += len(data)
        if self._bytes > MAX_OUTPUT:
            raise TooMuch
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise DecodeError("line", f"longer than {MAX_LINE} bytes")
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        plain = parse_json(line)
        if type(plain) is not dict or len(plain) != 1:
            raise DecodeError("line", "expected an object with one key")
        ((word, value),) = plain.items()
        if self.last is not None:
            raise DecodeError("line", "something follows the end")
        if word == "observation":
            self._observation(value)
        elif word == "coverage":
            self._add(self._coverage, from_plain(Coverage, value), MAX_COVERAGE)
        elif word == "skipped":
            self._skip(from_plain(Skipped, value))
        elif word == "progress":
            self._on_progress(from_plain(Progress, value))
        elif word == "kind":
            self.kind = from_plain(SectionKind, value)
        elif word == "last":
            self.last = from_plain(Last, value)
        else:
            raise DecodeError("line", f"{word[:64]!r} is not a word of a probe's process")

    def _observation(self, value: object) -> None:
        try:
            observation = from_plain(Observation, value)
        except DecodeError as error:
            # One odd answer from the network (a text too long, say) must not cost the rest of the run.
            self._skip(Skipped("an observation", because("bad_output", str(error))))
            return
        self._add(self._observations, observation, MAX_OBSERVATIONS)

    def _skip(self, skipped: Skipped) -> None:
        if len(self._skipped) < MAX_SKIPPED - 1:
            self._skipped.append(skipped)
        else:
            self._unlisted += 1

    @staticmethod
    def _add(found: list[Any], item: object, most: int) -> None:
        if len(found) >= most:
            raise TooMuch
        found.append(item)

    def section(
        self, *, name: str, probe: str, ending: Ending, death: str, detail: str, started: float, finished: float
    ) -> Section:
        """Make the section. `death` says how the process died, `detail` what was wrong with its words, if anything."""
        status, reason = self._verdict(ending, death, detail)
        if self._unlisted:
            self._skipped.append(Skipped("further targets", because("too_large", f"more than {MAX_SKIPPED} skipped")))
        keeps_coverage = status in (RunStatus.DONE, RunStatus.PARTIAL)
        body = Body(tuple(self._observations), tuple(self._coverage) if keeps_coverage else (), tuple(self._skipped))
        return Section(
            name=name,
            probe=probe,
            kind=self.kind or SectionKind.STATE,  # a probe that cannot even be loaded: said once, then by digest
            status=status,
            digest=section_digest(probe, status, reason, body),
            started=started,
            finished=max(started, finished),
            reason=reason,
            body=body,
        )

    def _verdict(self, ending: Ending, death: str, detail: str) -> tuple[RunStatus, str]:
        something = bool(self._observations or self._coverage)
        if ending is Ending.BAD_OUTPUT:
            return RunStatus.CRASHED, because("bad_output", detail)
        if ending is Ending.TOO_MUCH:
            return RunStatus.PARTIAL, because("too_large", f"more than {MAX_OBSERVATIONS} observations")
        if self.last is not None:
            return self._own_verdict(self.last)
        if ending is Ending.DEADLINE:
            return (RunStatus.PARTIAL if something else RunStatus.TIMED_OUT), because("deadline")
        if ending is Ending.STOPPED:
            return (RunStatus.PARTIAL if something else RunStatus.CANNOT_RUN), because("stopped")
        return RunStatus.CRASHED, because("crashed", death)

    def _own_verdict(self, last: Last) -> tuple[RunStatus, str]:
        if last.status == "done":
            return (RunStatus.PARTIAL if self._skipped else RunStatus.DONE), ""
        return (RunStatus.CANNOT_RUN if last.status == "cannot_run" else RunStatus.CRASHED), last.reason


def say(word: str, value: object) -> bytes:
    """Write one line of the channel between a probe's process and its guard; raises ValueError for NaN and infinity."""
    text = json.dumps({word: value}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate is not text
