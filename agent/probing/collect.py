"""What a probe's process says, line by line, into one section; everything is bounded and checked on the way."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from probes.kit.contract import Progress, Words
from probes.kit.reasons import because
from wire.codec import from_plain, parse_json
from wire.coverage import joined
from wire.digest import section_digest
from wire.errors import DecodeError
from wire.types import Body, Count, Coverage, Max, Observation, RunStatus, Section, SectionKind, Skipped

MAX_LINE = 1 << 20
MAX_OUTPUT = 64 << 20
MAX_OBSERVATIONS = 50_000
MAX_COVERAGE = 1_000
MAX_SKIPPED = 1_000
_HELD_COVERAGE = 8 * MAX_COVERAGE
"""Lines of coverage that are held before they are joined; a probe says what it covered as it goes."""


class Ending(StrEnum):
    """Why a probe's process is over."""

    BY_ITSELF = "by_itself"
    DEADLINE = "deadline"
    STOPPED = "stopped"
    KILLED = "killed"
    TOO_MUCH = "too_much"
    BAD_OUTPUT = "bad_output"


@dataclass(frozen=True, slots=True)
class End:
    """How a probe's process ended: `death` says how it died, `detail` what was wrong with its words, if anything."""

    ending: Ending
    death: str = ""
    detail: str = ""


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

    def __init__(
        self,
        on_progress: Callable[[Progress], None],
        on_found: Callable[[str, object], None] = lambda _word, _value: None,
    ) -> None:
        """Start empty; progress is passed on at once, and so is what becomes part of the section, as it was said."""
        self.kind: SectionKind | None = None
        self.last: Last | None = None
        self._on_progress = on_progress
        self._on_found = on_found
        self._rest = b""
        self._bytes = 0
        self._words = Words()
        self._coverage: list[Coverage] = []
        self._silent: list[Coverage] = []
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
            self._cover(self._coverage, word, value)
        elif word == "silent":
            self._cover(self._silent, word, value)
        elif word == "skipped":
            self._skip(from_plain(Skipped, value))
            self._on_found(word, value)
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
            # One odd answer from the network (a text too long, say) must not cost the rest of the run, nor the fact
            # itself: what is covered and not told counts as absent.
            self._skip(Skipped("an observation", because("bad_output", str(error))))
            if type(value) is not dict or not value.pop("values", None):
                return
            self._observation(value)
            return
        self._words.add(observation)
        if len(self._words.all) > MAX_OBSERVATIONS:
            self._words.all.pop()
            raise TooMuch
        self._on_found("observation", value)

    def _cover(self, held: list[Coverage], word: str, value: object) -> None:
        held.append(from_plain(Coverage, value))
        if len(held) >= _HELD_COVERAGE:
            held[:] = joined(held)
            if len(held) > MAX_COVERAGE:
                del held[MAX_COVERAGE:]
                raise TooMuch
        self._on_found(word, value)

    def _skip(self, skipped: Skipped) -> None:
        if len(self._skipped) < MAX_SKIPPED - 1:
            self._skipped.append(skipped)
        else:
            self._unlisted += 1

    def section(self, end: End, *, name: str, probe: str, started: float, finished: float) -> Section:
        """Make the section of what came until the end."""
        coverage, silent = self._joined(self._coverage), self._joined(self._silent)
        status, reason = self._verdict(end)
        if self._unlisted:
            self._skipped.append(Skipped("further targets", because("too_large", f"more than {MAX_SKIPPED} skipped")))
        keeps_coverage = status in (RunStatus.DONE, RunStatus.PARTIAL)
        body = Body(
            tuple(self._words.all),
            coverage if keeps_coverage else (),
            tuple(self._skipped),
            silent if keeps_coverage else (),
        )
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

    def _joined(self, held: list[Coverage]) -> tuple[Coverage, ...]:
        whole = joined(held)
        if len(whole) > MAX_COVERAGE:
            self._skip(Skipped("further coverage", because("too_large", f"more than {MAX_COVERAGE} parts")))
        return whole[:MAX_COVERAGE]

    def _verdict(self, end: End) -> tuple[RunStatus, str]:
        something = bool(self._words.all or self._coverage or self._silent)
        if end.ending is Ending.BAD_OUTPUT:
            return RunStatus.CRASHED, because("bad_output", end.detail)
        if end.ending is Ending.TOO_MUCH:
            return RunStatus.PARTIAL, because("too_large", f"more than {MAX_OBSERVATIONS} observations")
        if self.last is not None:
            return self._own_verdict(self.last)
        if end.ending is Ending.DEADLINE:
            return (RunStatus.PARTIAL if something else RunStatus.TIMED_OUT), because("deadline")
        if end.ending is Ending.STOPPED:
            return (RunStatus.PARTIAL if something else RunStatus.CANNOT_RUN), because("stopped")
        # What it said before somebody else killed it stands, as with our own deadline.
        killed = end.ending is Ending.KILLED and something
        return (RunStatus.PARTIAL if killed else RunStatus.CRASHED), because("crashed", end.death)

    def _own_verdict(self, last: Last) -> tuple[RunStatus, str]:
        if last.status == "done":
            return (RunStatus.PARTIAL if self._skipped else RunStatus.DONE), ""
        return (RunStatus.CANNOT_RUN if last.status == "cannot_run" else RunStatus.CRASHED), last.reason


def say(word: str, value: object) -> bytes:
    """Write one line of the channel between a probe's process and its guard; raises ValueError for NaN and infinity."""
    text = json.dumps({word: value}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate is not text
