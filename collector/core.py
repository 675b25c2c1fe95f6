"""The running collector: store, memory, rules and schedule behind one object that every other function takes."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from collector.alerts.life import resolve_removed
from collector.inventory.allowance import Allowance
from collector.inventory.sections import Sections
from collector.inventory.stock import Stock
from collector.judge import Rules, mark_dirty
from collector.registry.directory import Directory
from collector.registry.registered import Register
from collector.registry.standing import Whitelists
from collector.scans.board import Board
from collector.schedule import Schedule
from collector.settings import Settings
from collector.store import tables
from collector.store.contract import Store, Turn
from collector.store.sqlite import SqliteStore
from collector.views import Counts
from wire.types import Responder


@dataclass(slots=True)
class Stats:
    """Counters since the start, kept by the writer's thread: sections by what became of them, groups by size."""

    reports: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    groups: Counter[int] = field(default_factory=Counter)


class Core:
    """A running collector; made by `open_core`, ended by `close`."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        rules: Rules,
        stats: Stats,
        clock: Callable[[], float],
        responder: Callable[[str], Responder | None],
    ) -> None:
        """Fill the memory from the store; the schedule does not run yet."""
        self.store, self.settings, self.rules, self.stats = store, settings, rules, stats
        self.clock, self.responder = clock, responder
        self.directory, self.whitelists, self.sections = Directory(), Whitelists(), Sections(settings)
        self.register = Register()
        self.allowance = Allowance(settings)
        self.scans = Board()
        with store.reader() as connection:
            self.directory.load(connection)
            self.whitelists.load(connection)
            self.register.load(connection)
            self.sections.load(connection)
            self.scans.load(connection)
            self.ipv6_sections: set[int] = set(connection.execute(select(tables.ipv6_result.c.section)).scalars())
            """Sections that ever had results of IPv6 checks."""
        store.watch(self.sections)
        self.schedule = Schedule(self)
        self._stock = Stock()

    def healthy(self) -> bool:
        """Tell whether the store takes writes and the schedule is alive."""
        return self.schedule.alive() and self.store.healthy()

    def counts(self) -> Counts:
        """Give the stock of the store, for metrics; at most a few seconds old."""
        return self._stock.counts(self)

    def tick(self) -> None:
        """Do a round of the schedule now and wait for it."""
        self.schedule.tick()

    def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        self.schedule.stop()
        self.store.close()


def open_core(
    database: Path,
    settings: Settings,
    packs: Sequence[Path] = (),
    clock: Callable[[], float] = time.time,
    responder: Callable[[str], Responder | None] = lambda _agent: None,
    *,
    scheduled: bool = True,
) -> Core:
    """Open or make a database, bring its schema up to date, load the rules and start the schedule.

    Raises StoreError and RulesError. With `scheduled` off nothing happens by itself, only by `Core.tick`.
    """
    rules, stats = Rules(packs), Stats()
    store = SqliteStore(
        database,
        queue_size=settings.queue_size,
        group_size=settings.group_size,
        retry_after=settings.retry_after,
        reserve=settings.room.free_bytes,
        group_done=lambda size: stats.groups.update((size,)),
    )
    try:
        core = Core(store, settings, rules, stats, clock, responder)
        store.write(lambda turn: _adopt_rules(core, turn))
    except BaseException:
        store.close()
        raise
    if scheduled:
        core.schedule.start()
    return core


def _adopt_rules(core: Core, turn: Turn) -> None:
    """When the rules or the local targets differ from those of the last start, everything is to be judged anew."""
    told = repr((core.rules.all, core.settings.ipv6_targets))
    digest = int(hashlib.sha256(told.encode()).hexdigest()[:15], 16)
    if turn.rows("SELECT value FROM mark WHERE name = 'rules'") == [(digest,)]:
        return
    now = core.clock()
    resolve_removed(turn, core.rules.by_id, now)
    roots = [node.code for node in core.directory.units.values() if node.parent is None]
    mark_dirty(core, turn, roots, now)
    turn.run(
        "INSERT INTO mark (name, value) VALUES ('rules', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (digest,),
    )
