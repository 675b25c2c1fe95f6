"""The orders that are not over, in memory from the start, with what agents last said of them, and who waits for news.

Only durable changes are adopted here: after the commit, on the writer's thread. Progress is no more than a comfort and
lives here alone.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from collector.memory.orders import FINAL
from collector.store import tables
from wire.codec import decode
from wire.orders import Order, OrderProgress, Orders, OrderState

MAX_OFFERED = 8
"""Orders that may wait for one agent, or run there, at a time."""


@dataclass(frozen=True, slots=True)
class Open:
    """An order that is not over; `changed` is when its state did, on the collector's clock."""

    order: Order
    county: str
    scan: str
    state: OrderState
    changed: float


@dataclass(frozen=True, slots=True)
class Word:
    """What the agent last said of a run, and when."""

    progress: OrderProgress
    heard: float


class Board:
    """Readers see each order as it was or as it is."""

    def __init__(self) -> None:
        """Start empty; `load` fills it from a store."""
        self._lock = threading.Lock()
        self._open: dict[str, Open] = {}
        self._of_agent: dict[str, dict[str, None]] = {}
        self._words: dict[str, Word] = {}
        self._listeners: dict[str, dict[object, Callable[[], None]]] = {}

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        columns = tables.scan_order.c
        query = select(columns.county, columns.scan, columns.message, columns.state, columns.changed)
        for row in connection.execute(query.where(columns.state.not_in([state.value for state in FINAL]))):
            self.put(
                Open(decode(Order, row.message.encode()), row.county, row.scan, OrderState(row.state), row.changed)
            )

    def put(self, entry: Open) -> None:
        """Adopt an order as it is now; one that is over is forgotten."""
        ident, agent = entry.order.id, entry.order.agent
        with self._lock:
            if entry.state in FINAL:
                self._open.pop(ident, None)
                self._words.pop(ident, None)
                mine = self._of_agent.get(agent, {})
                mine.pop(ident, None)
                if not mine:
                    self._of_agent.pop(agent, None)
            else:
                self._open[ident] = entry
                self._of_agent.setdefault(agent, {})[ident] = None

    def get(self, ident: str) -> Open | None:
        """Give an order that is not over."""
        return self._open.get(ident)

    def all(self) -> list[Open]:
        """Give every order that is not over."""
        with self._lock:
            return list(self._open.values())

    def of_agent(self, agent: str) -> list[Open]:
        """Give an agent's orders that are not over, the oldest first."""
        if agent not in self._of_agent:
            return []
        with self._lock:
            return [self._open[ident] for ident in self._of_agent.get(agent, ())]

    def waiting(self, agent: str, now: float) -> int:
        """Count the orders that an agent should ask for."""
        return sum(
            (entry.state is OrderState.WAITING and entry.order.expires > now) or entry.state is OrderState.CANCELLING
            for entry in self.of_agent(agent)
        )

    def offer(self, agent: str, now: float) -> Orders:
        """Give what an agent is told when it asks."""
        mine = self.of_agent(agent)
        orders = tuple(e.order for e in mine if e.state is OrderState.WAITING and e.order.expires > now)[:MAX_OFFERED]
        cancelled = tuple(entry.order.id for entry in mine if entry.state is OrderState.CANCELLING)[:MAX_OFFERED]
        said = "\n".join((*(order.id for order in orders), "", *cancelled))
        revision = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
        return Orders(now, revision, orders, cancelled)

    def heard(self, ident: str, progress: OrderProgress, now: float) -> None:
        """Note how far an order is."""
        with self._lock:
            if ident in self._open:
                self._words[ident] = Word(progress, now)

    def word(self, ident: str) -> Word | None:
        """Give what was heard of an order last."""
        return self._words.get(ident)

    def moved(self, ident: str, state: OrderState, now: float) -> None:
        """Adopt another state of an order that is not over, and tell who waits for it."""
        entry = self._open.get(ident)
        if entry is None:
            return
        self.put(replace(entry, state=state, changed=now))
        self.ring(entry.scan)
        if state is OrderState.CANCELLING:
            self.ring(entry.order.agent)

    def ring(self, key: str) -> None:
        """Tell whoever waits for news of a scan or an agent."""
        with self._lock:
            calls = list(self._listeners.get(key, {}).values())
        for call in calls:
            call()

    @contextmanager
    def listening(self, key: str, call: Callable[[], None]) -> Iterator[None]:
        """Be called, from any thread, at each news of a scan or an agent."""
        mark = object()
        with self._lock:
            self._listeners.setdefault(key, {})[mark] = call
        try:
            yield
        finally:
            with self._lock:
                mine = self._listeners[key]
                del mine[mark]
                if not mine:
                    del self._listeners[key]
