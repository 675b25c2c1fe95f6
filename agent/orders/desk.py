"""Orders: what a person asks for at the collector, fetched by calling out, run at most once, ended by a section.

One thread asks the collector and waits on a connection that it holds; each order runs in a thread of its own, one at a
time (agent.orders.run). docs/design/005 says why it is done like this.
"""

import contextlib
import os
import select
import socket
import threading
import time
from functools import partial

from agent.errors import SpoolError
from agent.log import log
from agent.orders import book
from agent.orders.book import Entry
from agent.orders.run import (
    ABOUT,
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    QUESTION_SECONDS,
    UNKNOWN_SECONDS,
    OrderRunner,
    Surroundings,
    pause_after,
)
from agent.uplink.delivery import Ask, Told
from agent.uplink.line import Line, connect
from probes.kit.reasons import because
from wire.codec import decode
from wire.errors import WireError
from wire.orders import Order, Orders

HOLD_SECONDS = 240.0
"""How long the collector is asked to hold a question; shorter than most gateways remember a silent connection."""
FALSE_RING_SECONDS = 30.0
"""A ring this early that brings no news was none: the next one is answered later, up to the longest back-off."""
STOP_SECONDS = 15.0
MOST_HELD = 32
"""Orders that wait here at a time; a collector offers fewer. More are left with it."""
QUICK_ANSWERS = 8
"""Answers with news in a row, without one that was held, after which the next question waits longer each time."""


class OrderDesk:
    """Everything about orders in one agent."""

    def __init__(self, around: Surroundings) -> None:
        """Look at what is on disk; nothing is asked before `start`. Raises SpoolError."""
        self._around = around
        self._identity, self._spool = around.identity, around.spool
        self._problems, self._random = around.problems, around.random
        self._lock = threading.Lock()
        self._held: dict[str, Entry] = {}
        self._interrupted: list[Order] = []
        for entry in self._spool.within(book.unfinished):
            if entry.started:
                self._interrupted.append(entry.order)
            else:
                self._held[entry.order.id] = entry
        self._running: tuple[str, threading.Thread, threading.Event] | None = None
        self._stopping = threading.Event()
        self._runner = OrderRunner(around, self._stopping)
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
            self._runner.refuse(order, because("interrupted"))
        since, failures, rings, pause = "", 0, 0, self._random() * FIRST_BACK_OFF
        quick = 0
        while not self._wait(pause):
            accept = self._around.config().orders.accept
            try:
                with contextlib.closing(connect(self._identity)) as held:
                    told = self._question(held, since, HOLD_SECONDS if accept else 0.0)
                    if told.held:
                        failures = quick = 0
                        self._problems.clear(ABOUT)
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
                quick = quick + 1 if fresh else 0
                if quick > QUICK_ANSWERS:  # it never runs out of news, and must not keep this machine busy with them
                    pause = max(pause, (0.5 + self._random()) * min(LONGEST_BACK_OFF, 2.0 ** (quick - QUICK_ANSWERS)))
                if not accept:
                    pause = UNKNOWN_SECONDS
            else:
                pause = 0.0 if self._stopping.is_set() else pause_after(told, failures, self._problems, self._random)
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
            self._problems.report(ABOUT, f"an answer about orders cannot be used: {error}", "error")
            return LONGEST_BACK_OFF * (0.5 + self._random()), False, since
        self._problems.clear(ABOUT)
        word = found.revision if _is_word(found.revision) else ""
        return found.again * (1 + self._random()), bool(found.orders or found.cancelled), word

    def _take(self, order: Order, until: float) -> None:
        mine = (order.agent, order.unit) == (self._identity.agent, self._identity.unit)
        if not mine or not _is_word(order.id):
            log("warning", "an order for somebody else is passed over", about=ABOUT, order=order.id)
            return
        with self._lock:
            full = len(self._held) >= MOST_HELD
        if full:
            log("warning", f"{MOST_HELD} orders wait here already; one more is left with the collector", about=ABOUT)
            return
        if not self._spool.within(partial(book.keep, order, until)):
            return
        log("info", "an order has come", about=ABOUT, order=order.id, probe=order.probe, asked_by=order.asked_by)
        if why := self._runner.objection(order):
            self._runner.refuse(order, why)
            return
        with self._lock:
            self._held[order.id] = Entry(order, until, started=False)
        self._around.wake()

    def _run(self, entry: Entry, stop: threading.Event) -> None:
        try:
            self._runner.run(entry, stop)
        finally:
            with self._lock:
                self._held.pop(entry.order.id, None)
            self._around.wake()


def _is_word(text: str) -> bool:
    """Tell whether a text of the collector's may stand in the path of a request."""
    return text.isascii() and text.isalnum()
