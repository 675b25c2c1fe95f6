"""One order on this machine: held against the configuration, claimed, performed, and ended by its section."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent.config import Config
from agent.errors import SpoolError
from agent.files import names_files
from agent.log import Problems, log
from agent.metrics.stats import Stats
from agent.orders import book
from agent.orders.book import Entry
from agent.probing.job import Job
from agent.probing.runner import perform
from agent.spool.packing import Packed
from agent.spool.sections import Spool
from agent.uplink.delivery import Ask, Told
from agent.uplink.identity import Identity
from agent.uplink.line import Line
from probes.kit.contract import Progress
from probes.kit.reasons import because
from wire.codec import decode, encode
from wire.errors import WireError
from wire.orders import Order, OrderProgress, OrderReply, OrderState

ABOUT = "orders"
"""Under which problems with orders are logged."""
REPORT_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses between two words on a run: soon at first, then seldom. The last one stays."""
SILENT_SECONDS = 30.0
FIRST_BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
QUESTION_SECONDS = 30.0
UNAUTHORISED_SECONDS = 900.0
UNKNOWN_SECONDS = 3600.0
"""A collector of an earlier release knows no orders; it may be a later one tomorrow."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What orders need of the daemon: who and where it is, its settings, the job that an order is, and whom to tell.

    `wake` is called at news, `deliver` once there is something to report; `random` gives a number in [0, 1).
    """

    identity: Identity
    spool: Spool
    stats: Stats
    problems: Problems
    random: Callable[[], float]
    config: Callable[[], Config]
    job: Callable[[Order], Job]
    wake: Callable[[], None]
    deliver: Callable[[], None]


class OrderRunner:
    """Runs orders through the same runner as the tasks; one that cannot run is ended by a section that says why."""

    def __init__(self, around: Surroundings, stopping: threading.Event) -> None:
        """Run nothing yet; once `stopping` is set nothing is claimed any more."""
        self._around, self._stopping = around, stopping
        self._spool, self._problems = around.spool, around.problems

    def objection(self, order: Order) -> str:
        """Say why the gateway does not run an order; empty when it does."""
        settings = self._around.config().orders
        if not settings.accept:
            return because("not_accepted", "[orders] accept = true")
        if order.probe not in settings.probes:
            return because("not_accepted", f'[orders] probes = [..., "{order.probe[:64]}"]')
        for name in order.options:
            if names_files(name):
                return because("bad_options", f"{name}: an order names no files of the gateway")
        return ""

    def refuse(self, order: Order, why: str) -> None:
        """End an order without running it; its section says why."""
        try:
            run = perform(Job(section_name(order), order.probe, 30.0, refused=why))
            self._keep(order, run.packed)
            self._around.deliver()
            log("info", f"an order is not run: {why}", about=ABOUT, order=order.id)
        except OSError as error:
            self._problems.report("processes", f"no process can be started: {error.strerror}", "error")
        except SpoolError as error:
            self._problems.report("spool", str(error), "error")

    def run(self, entry: Entry, stop: threading.Event) -> None:
        """Claim an order and perform it until `stop`; whatever happens, it runs at most once."""
        order = entry.order
        try:
            # Once more: the configuration may be another one by now, or a refusal was cut off before it was on disk.
            if why := self.objection(order):
                self.refuse(order, why)
                return
            with Line(self._around.identity) as line:
                if self._claimed(line, entry) and self._spool.within(partial(book.start, order.id)):
                    self._perform(line, order, stop)
        except OSError as error:
            self._problems.report("processes", f"an order cannot be run: {error.strerror}", "error")
            self.refuse(order, because("resources", error.strerror or ""))
        except SpoolError as error:
            # It stays as it is on disk; the next start of this agent says what came of it.
            self._problems.report("spool", f"{error}; an order is put off", "error")

    def _claimed(self, line: Line, entry: Entry) -> bool:
        """Claim an order, again until there is a reply; False when it must not run (any more).

        Also one that was cancelled or has expired meanwhile: an earlier claim may have arrived, and only the next one
        tells the collector that nothing runs here.
        """
        failures = 0
        while not self._stopping.is_set():
            told = self._say(line, entry.order, OrderProgress(OrderState.TAKEN))
            expired = time.time() >= entry.until
            reply = _reply(told)
            if reply is True and not expired:
                return True
            if reply is not None or told.status == 404:
                self._over(entry.order, "it has expired" if expired else "the collector has withdrawn it")
                return False
            if not self._stopping.is_set():
                self._stopping.wait(pause_after(told, failures, self._problems, self._around.random))
            failures += 1
        return False

    def _over(self, order: Order, why: str) -> None:
        self._spool.within(partial(book.end, order.id))
        log("info", f"an order does not run: {why}", about=ABOUT, order=order.id)

    def _perform(self, line: Line, order: Order, stop: threading.Event) -> None:
        latest: list[Progress] = [Progress(0, 0)]
        over = threading.Event()
        reporter = threading.Thread(
            target=self._report, args=(line, order, latest, stop, over), name="progress", daemon=True
        )
        reporter.start()
        started = time.monotonic()
        try:
            run = perform(self._around.job(order), on_progress=latest.append, stop=stop)
        finally:
            over.set()
        self._around.stats.ran(run.packed.section, time.monotonic() - started, run.refusals)
        self._keep(order, run.packed)
        line.abort()  # a word under way is of no use any more
        reporter.join()
        self._around.deliver()
        log("info", "an order has ended", about=ABOUT, order=order.id, status=run.packed.section.status.value)

    def _report(
        self, line: Line, order: Order, latest: list[Progress], stop: threading.Event, over: threading.Event
    ) -> None:
        """Say how far it is, now and then; the reply may say that it was cancelled."""
        pauses = iter(REPORT_SECONDS)
        pause, said, when = next(pauses), Progress(-1, -1), 0.0
        while not over.wait(pause):
            now = latest[-1]
            del latest[:-1]
            pause = next(pauses, pause)
            if now == said and time.monotonic() - when < SILENT_SECONDS:
                continue
            step = OrderProgress(OrderState.RUNNING, now.done, now.total, now.note[:1024], now.rate, now.lost)
            told = self._say(line, order, step)
            if _reply(told) is False:
                stop.set()
            if told.status == 200:
                said, when = now, time.monotonic()

    def _say(self, line: Line, order: Order, progress: OrderProgress) -> Told:
        path = f"/api/v1/orders/{order.id}/progress"
        return line.ask(Ask("POST", path, QUESTION_SECONDS, encode(progress).decode()))

    def _keep(self, order: Order, packed: Packed) -> None:
        """Spool the section of an order and mark the order as ended, both or neither."""
        made = replace(packed, section=replace(packed.section, order=order.id))
        done = partial(book.end, order.id)
        if self._spool.add(made, done):
            return
        small = perform(Job(section_name(order), order.probe, 30.0, refused=because("resources", "the spool is full")))
        self._spool.add(replace(small.packed, section=replace(small.packed.section, order=order.id)), done)


def pause_after(told: Told, failures: int, problems: Problems, random: Callable[[], float]) -> float:
    """Give the seconds to wait before the next question, after one that brought no answer; the reason is reported."""
    if told.status == 404:
        return UNKNOWN_SECONDS * (0.5 + random())
    said = told.error or f"the collector answers {told.status}"
    problems.report(ABOUT, f"orders cannot be asked for: {said}")
    if told.status in (401, 403):
        return UNAUTHORISED_SECONDS * (0.5 + random())
    pause = random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures, 30))
    return pause + (told.retry_after or 0.0)


def section_name(order: Order) -> str:
    """Name the section of an order: one for each probe, whatever the number of orders."""
    return f"scan/{order.probe}"[:64]


def _reply(told: Told) -> bool | None:
    """Read the reply to a word on an order; None when there is none."""
    if told.status != 200:
        return None
    try:
        return decode(OrderReply, told.body.encode()).go
    except WireError:
        return None
