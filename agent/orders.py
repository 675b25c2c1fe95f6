"""Orders: what a person asks for at the collector, fetched by calling out, run at most once, ended by a section.

One thread asks the collector and waits on a connection that it holds; each order runs in a thread of its own, one at a
time, through the same runner as the tasks. docs/design/005 says why it is done like this.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent import order_book
from agent.config import Config
from agent.delivery import Ask, Told
from agent.errors import SpoolError
from agent.identity import Identity
from agent.job import Job
from agent.line import Line, connect
from agent.log import Problems, log
from agent.metrics import Stats
from agent.order_book import Entry
from agent.packing import Packed
from agent.runner import perform
from agent.spool import Spool
from probes.kit.contract import Progress
from probes.kit.reasons import because
from wire.codec import decode, encode
from wire.errors import WireError
from wire.types import Order, OrderProgress, OrderReply, Orders, OrderState

HOLD_SECONDS = 240.0
"""How long the collector is asked to hold a question; shorter than most gateways remember a silent connection."""
QUESTION_SECONDS = 30.0
FIRST_BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
UNAUTHORISED_SECONDS = 900.0
UNKNOWN_SECONDS = 3600.0
"""A collector of an earlier release knows no orders; it may be a later one tomorrow."""
FALSE_RING_SECONDS = 30.0
"""A ring this early that brings no news was none: the next one is answered later, up to the longest back-off."""
REPORT_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses between two words on a run: soon at first, then seldom. The last one stays."""
SILENT_SECONDS = 30.0
STOP_SECONDS = 15.0
_ABOUT = "orders"
_OF_FILES = frozenset({"fingerprints", "leases", "credentials", "disk"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What orders need of the daemon: its settings, the job that an order is, and whom to tell about news and ends."""

    config: Callable[[], Config]
    job: Callable[[Order], Job]
    wake: Callable[[], None]
    deliver: Callable[[], None]


class OrderDesk:
    """Everything about orders in one agent."""

    def __init__(
        self,
        identity: Identity,
        spool: Spool,
        around: Surroundings,
        stats: Stats,
        problems: Problems,
        random: Callable[[], float],
    ) -> None:
        """Look at what is on disk; nothing is asked before `start`. Raises SpoolError."""
        self._identity, self._spool, self._around = identity, spool, around
        self._stats, self._problems, self._random = stats, problems, random
        self._lock = threading.Lock()
        self._held: dict[str, Entry] = {}
        self._interrupted: list[Order] = []
        for entry in spool.within(order_book.unfinished):
            if entry.started:
                self._interrupted.append(entry.order)
            else:
                self._held[entry.order.id] = entry
        self._running: tuple[str, threading.Thread, threading.Event] | None = None
        self._stopping = threading.Event()
        self._pipe, self._pipe_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._asker = threading.Thread(target=self._work, name="orders", daemon=True)
        self._line: Line | None = None

    # ---- what the supervisor calls

    def start(self) -> None:
        """Begin to ask."""
        self._asker.start()

    @property
    def alive(self) -> bool:
        """Whether orders are asked for; the thread ends only when stopped, or by a fault."""
        return self._asker.is_alive()

    @property
    def busy(self) -> bool:
        """Whether an order runs."""
        return self._running is not None

    def start_due(self, *, disturbed: bool) -> None:
        """Run the order that has waited longest, unless one runs or what runs must not be disturbed."""
        if self._running is not None or disturbed or self._stopping.is_set():
            return
        with self._lock:
            entry = next(iter(self._held.values()), None)
        if entry is None:
            return
        stop = threading.Event()
        name = f"order {entry.order.id}"
        thread = threading.Thread(target=self._run, args=(entry, stop), name=name, daemon=True)
        self._running = (entry.order.id, thread, stop)
        thread.start()

    def tidy(self) -> None:
        """Note that the order that ran is over, if it is."""
        if self._running is not None and self._running[0] not in self._held:
            self._running[1].join()
            self._running = None

    def hurry(self) -> None:
        """Ask now: the answer to a report says that there are orders."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._pipe_in, b"x")

    def stop(self) -> None:
        """End the order that runs, keeping what it found, and the question under way."""
        self._stopping.set()
        running = self._running
        if running is not None:
            running[2].set()
        self.hurry()
        if (line := self._line) is not None:
            line.abort()
        if running is not None:
            running[1].join(STOP_SECONDS)
        if self._asker.ident is not None:
            self._asker.join(1.0)  # it may hang in a look-up of the collector's name; it has nothing to lose then

    # ---- asking

    def _work(self) -> None:
        for order in self._interrupted:
            self._refuse(order, because("interrupted"))
        since, failures, rings, pause = "", 0, 0, self._random() * FIRST_BACK_OFF
        while not self._wait(pause):
            accept = self._around.config().orders.accept
            try:
                with contextlib.closing(connect(self._identity)) as held:
                    told = self._question(held, since, HOLD_SECONDS if accept else 0.0)
                    if told.held:
                        failures = 0
                        self._problems.clear(_ABOUT)
                        began = time.monotonic()
                        self._wait(HOLD_SECONDS + QUESTION_SECONDS, held)
                        rings = rings + 1 if time.monotonic() - began < FALSE_RING_SECONDS else 0
                        pause = self._random() * min(LONGEST_BACK_OFF, 2.0**rings) if rings > 2 else 0.0
                        continue
            except OSError as error:
                told = Told(0, error=f"no connection: {error.strerror or error}")
            if told.status == 200:
                pause, fresh, since = self._heard(told, since)
                rings, failures = (0 if fresh else rings), 0
                if not accept:
                    pause = UNKNOWN_SECONDS
            else:
                pause = self._failed(told, failures)
                failures += 1

    def _wait(self, seconds: float, held: socket.socket | None = None) -> bool:
        """Wait until the time is over, the daemon hurries, or something arrives; True when the agent stops."""
        if self._stopping.is_set():
            return True
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if held is not None:
            poll.register(held, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe, 4096)
        return self._stopping.is_set()

    def _question(self, held: socket.socket, since: str, seconds: float) -> Told:
        path = f"/api/v1/orders?wait={seconds:.0f}&since={since}"
        with Line(self._identity, held) as line:
            self._line = line
            try:
                return Told(0) if self._stopping.is_set() else line.ask(Ask("GET", path, QUESTION_SECONDS, hold=True))
            finally:
                self._line = None

    def _heard(self, told: Told, since: str) -> tuple[float, bool, str]:
        """Take an answer; gives when to ask again, whether it brought anything, and the revision to ask with."""
        try:
            found = decode(Orders, told.body.encode())
            for order in found.orders:
                self._take(order, time.time() + order.expires - found.time)
            running = self._running
            if running is not None and running[0] in found.cancelled:
                running[2].set()
        except (WireError, SpoolError) as error:
            self._problems.report(_ABOUT, f"an answer about orders cannot be used: {error}", "error")
            return LONGEST_BACK_OFF * (0.5 + self._random()), False, since
        self._problems.clear(_ABOUT)
        word = found.revision if all(char.isalnum() for char in found.revision) else ""
        return found.again * (1 + self._random()), bool(found.orders or found.cancelled), word

    def _failed(self, told: Told, failures: int) -> float:
        if self._stopping.is_set():
            return 0.0
        if told.status == 404:
            return UNKNOWN_SECONDS * (0.5 + self._random())
        said = told.error or f"the collector answers {told.status}"
        self._problems.report(_ABOUT, f"orders cannot be asked for: {said}")
        if told.status in (401, 403):
            return UNAUTHORISED_SECONDS * (0.5 + self._random())
        pause = self._random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures, 30))
        return pause + (told.retry_after or 0.0)

    def _take(self, order: Order, until: float) -> None:
        mine = (order.agent, order.unit) == (self._identity.agent, self._identity.unit)
        if not mine or not order.id.isalnum():
            log("warning", "an order for somebody else is passed over", about=_ABOUT, order=order.id)
            return
        if not self._spool.within(partial(order_book.keep, order, until)):
            return
        log("info", "an order has come", about=_ABOUT, order=order.id, probe=order.probe, asked_by=order.asked_by)
        if why := self._objection(order):
            self._refuse(order, why)
            return
        with self._lock:
            self._held[order.id] = Entry(order, until, started=False)
        self._around.wake()

    def _objection(self, order: Order) -> str:
        settings = self._around.config().orders
        if not settings.accept:
            return because("not_accepted", "[orders] accept = true")
        if order.probe not in settings.probes:
            return because("not_accepted", f'[orders] probes = [..., "{order.probe[:64]}"]')
        for name in order.options:
            if names_files(name):
                return because("bad_options", f"{name}: an order names no files of the gateway")
        return ""

    # ---- running

    def _run(self, entry: Entry, stop: threading.Event) -> None:
        order = entry.order
        try:
            # Once more: the configuration may be another one by now, or a refusal was cut off before it was on disk.
            if why := self._objection(order):
                self._refuse(order, why)
                return
            with Line(self._identity) as line:
                if self._claimed(line, entry) and self._spool.within(partial(order_book.start, order.id)):
                    self._perform(line, order, stop)
        except OSError as error:
            self._problems.report("processes", f"an order cannot be run: {error.strerror}", "error")
            self._refuse(order, because("resources", error.strerror or ""))
        except SpoolError as error:
            # It stays as it is on disk; the next start of this agent says what came of it.
            self._problems.report("spool", f"{error}; an order is put off", "error")
        finally:
            with self._lock:
                self._held.pop(order.id, None)
            self._around.wake()

    def _claimed(self, line: Line, entry: Entry) -> bool:
        """Claim an order, again until there is a reply; False when it must not run (any more).

        Also one that was cancelled meanwhile: an earlier claim may have arrived, and only the next one tells the
        collector that nothing runs here.
        """
        failures = 0
        while not self._stopping.is_set():
            if time.time() >= entry.until:
                self._over(entry.order, "it has expired")
                return False
            told = self._say(line, entry.order, OrderProgress(OrderState.TAKEN))
            reply = _reply(told)
            if reply is True:
                return True
            if reply is False or told.status == 404:
                self._over(entry.order, "the collector has withdrawn it")
                return False
            self._stopping.wait(self._failed(told, failures))
            failures += 1
        return False

    def _over(self, order: Order, why: str) -> None:
        self._spool.within(partial(order_book.end, order.id))
        log("info", f"an order does not run: {why}", about=_ABOUT, order=order.id)

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
        section = run.packed.section
        self._stats.ran(
            section.name, order.probe, section.status, time.monotonic() - started, run.refusals, section.finished
        )
        self._keep(order, run.packed)
        line.abort()  # a word under way is of no use any more
        reporter.join()
        self._around.deliver()
        log("info", "an order has ended", about=_ABOUT, order=order.id, status=section.status.value)

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
            told = self._say(line, order, OrderProgress(OrderState.RUNNING, now.done, now.total, now.note[:1024]))
            if _reply(told) is False:
                stop.set()
            if told.status == 200:
                said, when = now, time.monotonic()

    def _say(self, line: Line, order: Order, progress: OrderProgress) -> Told:
        path = f"/api/v1/orders/{order.id}/progress"
        return line.ask(Ask("POST", path, QUESTION_SECONDS, encode(progress).decode()))

    def _refuse(self, order: Order, why: str) -> None:
        """End an order without running it; its section says why."""
        try:
            run = perform(Job(section_name(order), order.probe, 30.0, refused=why))
            self._keep(order, run.packed)
            self._around.deliver()
            log("info", f"an order is not run: {why}", about=_ABOUT, order=order.id)
        except OSError as error:
            self._problems.report("processes", f"no process can be started: {error.strerror}", "error")
        except SpoolError as error:
            self._problems.report("spool", str(error), "error")

    def _keep(self, order: Order, packed: Packed) -> None:
        """Spool the section of an order and mark the order as ended, both or neither."""
        made = replace(packed, section=replace(packed.section, order=order.id))
        done = partial(order_book.end, order.id)
        if self._spool.add(made, done):
            return
        small = perform(Job(section_name(order), order.probe, 30.0, refused=because("resources", "the spool is full")))
        self._spool.add(replace(small.packed, section=replace(small.packed.section, order=order.id)), done)


def names_files(option: str) -> bool:
    """Tell whether an option of a probe names files or folders of this machine, which an order must not choose."""
    return option in _OF_FILES or option.endswith(("file", "files", "credentials"))


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
