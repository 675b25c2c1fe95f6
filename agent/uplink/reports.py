"""Takes sealed batches to the collector: one at a time, again until acknowledged, backing off, never losing one.

What each refusal means for the spool is in docs/agent.md. One bad section must not block the rest for ever: a refused
batch is halved until one section is left, and only if the collector takes an empty report in between is that section
set aside; a collector that refuses everything is at fault itself, and nothing is set aside for that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import SpoolError
from agent.log import Problems, log
from agent.metrics.stats import Stats
from agent.spool.sections import MAX_SECTIONS, Batch, Spool
from agent.uplink.delivery import Delivery
from wire.types import Answer, Policy, Report

ATTEMPT_SECONDS = 240.0
BATCH_BYTES = 256 << 10
"""Compressed bytes of a batch with several sections: half a minute at 64 kbit/s, which some lines still have."""
FIRST_BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
UNAUTHORISED_SECONDS = 900.0
DRAIN_SECONDS = 1.0
FAR_CLOCK_SECONDS = 60.0
_ABOUT = "uplink"

Send = Callable[[bytes, float], Delivery]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the uplink asks of the daemon.

    `report` gives the envelope of the next report, `interval` the seconds between reports; `adopt_policy` puts the
    staged policy in force, given its head; `random` gives numbers in [0, 1); `orders` is told that the collector has
    orders for this agent.
    """

    report: Callable[[], Report]
    interval: Callable[[], float]
    adopt_policy: Callable[[Policy], None]
    random: Callable[[], float]
    orders: Callable[[], None] = lambda: None


class Uplink:
    """Decides what to send, what an answer means, and how long to wait; `step` does one attempt."""

    def __init__(self, spool: Spool, send: Send, hooks: Hooks, stats: Stats, problems: Problems, where: str) -> None:
        """`where` is the collector as the log names it."""
        self._spool = spool
        self._send = send
        self._hooks = hooks
        self._stats = stats
        self._problems = problems
        self._where = where
        self._failures = 0
        self._most = MAX_SECTIONS
        self._vouched = False

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @property
    def has_news(self) -> bool:
        """Whether a last attempt makes sense: the line works and sections wait."""
        try:
            return not self.failing and self._spool.waiting() > 0
        except SpoolError:
            return False

    def step(self, seconds: float = ATTEMPT_SECONDS) -> float:
        """Send the sealed batch or a new one; gives the seconds to wait before the next step."""
        try:
            batch = self._spool.seal(self._hooks.report(), max_sections=self._most, max_bytes=BATCH_BYTES)
            payload = self._spool.payload(batch.sequence)
            return self._settle(batch, self._send(payload, seconds))
        except SpoolError as error:
            self._problems.report("spool", str(error), "error")
            self._stats.attempt("spool_error")
            return self._back_off(None)

    def _settle(self, batch: Batch, delivery: Delivery) -> float:
        if delivery.answer is not None:
            answer = delivery.answer
            if (answer.batch, answer.sequence) == (batch.batch, batch.sequence):
                return self._accepted(batch, delivery, answer)
            return self._failed("unreachable", "the answer is for another batch than the one sent", delivery)
        code = delivery.refusal.code if delivery.refusal is not None else ""
        said = f"{delivery.status} {code}".strip()
        if delivery.refusal is not None and delivery.refusal.message:
            said = f"{said}: {delivery.refusal.message}"
        if delivery.status == 0:
            return self._failed("unreachable", delivery.error, delivery)
        if delivery.status in (401, 403):
            return self._unauthorised(said)
        if delivery.status == 409 and code == "unknown_digest" and delivery.refusal is not None:
            return self._unknown_digest(batch, delivery.refusal.sections, delivery)
        if delivery.status == 409:
            name = self._spool.rename(batch.sequence)
            message = (
                "the collector knows another batch under this spool's name; was the state folder copied or restored?"
            )
            return self._failed("conflict", f"{message} It reports under a new name now", delivery, spool=name)
        if delivery.status in (400, 413, 422) and code != "unsupported_schema":
            return self._refused(batch, said, delivery)
        if delivery.status == 408:
            return self._too_slow(batch, said, delivery)
        if delivery.status in (429, 503):
            return self._failed("busy", f"the collector is busy ({said})", delivery)
        return self._failed("refused", f"the collector answers {said}", delivery)

    def _accepted(self, batch: Batch, delivery: Delivery, answer: Answer) -> float:
        if answer.policy is not None:
            self._hooks.adopt_policy(answer.policy)
        elif delivery.unstaged:
            message = f"a new policy cannot be stored ({delivery.unstaged}); the one before stays in force"
            self._problems.report("policy", message, "error")
        self._spool.acknowledge(batch.sequence)
        self._stats.attempt("accepted")
        self._stats.accepted(time.time(), delivery.skew)
        self._spool.note(last_success=time.time(), last_error="", skew=delivery.skew or 0.0)
        self._problems.clear(_ABOUT, f"the collector takes reports again: {self._where}")
        self._problems.clear("spool")
        self._look_at_clock(delivery.skew)
        self._look_at_responder(delivery.foreign_responder)
        if answer.orders:
            self._hooks.orders()
        self._failures = 0
        if self._most == 0:
            # The empty report was taken, so it was the section after all if it is refused again.
            self._vouched, self._most = True, 1
        elif batch.sections:
            self._vouched, self._most = False, min(MAX_SECTIONS, 2 * self._most)
        if self._spool.free_sections():
            return self._hooks.random() * DRAIN_SECONDS
        return self._hooks.interval() * (0.9 + 0.2 * self._hooks.random())

    def _unauthorised(self, said: str) -> float:
        self._failures += 1
        self._stats.attempt("unauthorised")
        self._fail(
            f"the collector does not accept this agent's credential ({said}); it was revoked, or the collector is a new"
            " one. Get a token and run: edusec agent enroll --collector URL --token TOKEN --force",
        )
        return UNAUTHORISED_SECONDS * (0.9 + 0.2 * self._hooks.random())

    def _unknown_digest(self, batch: Batch, names: tuple[str, ...], delivery: Delivery) -> float:
        self._spool.release(batch.sequence, forget=names or None)
        self._stats.attempt("unknown_digest")
        if not batch.whole < batch.sections:
            # All of it went whole, so this cannot be mended by sending more.
            return self._failed("refused", "the collector asks for sections in full that it got in full", delivery)
        log("info", "the collector asks for sections in full", about=_ABOUT, sections=",".join(names))
        return self._hooks.random() * DRAIN_SECONDS

    def _refused(self, batch: Batch, said: str, delivery: Delivery) -> float:
        self._stats.attempt("too_large" if delivery.status == 413 else "refused")
        if batch.sections > 1:
            self._spool.release(batch.sequence)
            self._most = batch.sections // 2
            log("warning", "the collector refuses a report; it is sent in parts", about=_ABOUT, said=said)
            return self._hooks.random() * DRAIN_SECONDS
        if batch.sections == 1 and self._vouched:
            names = self._spool.set_aside(batch.sequence, said[:500])
            self._vouched = False
            log(
                "error",
                "the collector takes an empty report but not this section, which is kept aside until the next start",
                about=_ABOUT,
                section=names[0],
                said=said,
            )
            return self._hooks.random() * DRAIN_SECONDS
        self._spool.release(batch.sequence)
        self._most = 0
        if batch.sections == 1:
            return self._hooks.random() * DRAIN_SECONDS
        return self._failed("", f"the collector refuses even an empty report ({said})", delivery)

    def _too_slow(self, batch: Batch, said: str, delivery: Delivery) -> float:
        if batch.sections > 1:
            self._spool.release(batch.sequence)
            self._most = batch.sections // 2
        return self._failed("too_slow", f"the line is too slow for what was sent ({said}); less is sent now", delivery)

    def _failed(self, result: str, message: str, delivery: Delivery, **fields: object) -> float:
        if result:
            self._stats.attempt(result)
        self._fail(message, **fields)
        return self._back_off(delivery.retry_after)

    def _fail(self, message: str, **fields: object) -> None:
        self._problems.report(_ABOUT, message, "error", collector=self._where, **fields)
        self._spool.note(last_failure=time.time(), last_error=message)

    def _back_off(self, retry_after: float | None) -> float:
        """Wait at random up to twice as long each time (full jitter), but no longer than a report's interval."""
        longest = min(LONGEST_BACK_OFF, max(FIRST_BACK_OFF, self._hooks.interval()))
        pause = self._hooks.random() * min(longest, FIRST_BACK_OFF * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return pause + (retry_after or 0.0)

    def _look_at_clock(self, skew: float | None) -> None:
        if skew is not None and abs(skew) > FAR_CLOCK_SECONDS:
            way = "behind" if skew > 0 else "ahead of"
            message = f"this machine's clock is far {way} the collector's; times in reports are wrong until it is set"
            self._problems.report("clock", message, seconds=round(abs(skew)))
        else:
            self._problems.clear("clock", "this machine's clock agrees with the collector's")

    def _look_at_responder(self, foreign: str) -> None:
        if foreign:
            message = "the policy names a bandwidth responder that is not the collector's own host; it is not used"
            self._problems.report("responder", message, responder=foreign)
