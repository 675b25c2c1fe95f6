"""A collector that runs: what it knows, opened from a database and a set of rules, with its schedule at work."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from collector.alerts.life import resolve_removed
from collector.core import Core, Stats
from collector.judging.judge import mark_dirty
from collector.memory.rules import Rules
from collector.schedule.rounds import Schedule
from collector.settings import Settings
from collector.store import marks
from collector.store.contract import Store, Turn
from collector.store.sqlite import SqliteStore
from wire.types import Responder


class Running(Core):
    """A core with a schedule; made by `open_core`, ended by `close`."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        rules: Rules,
        stats: Stats,
        clock: Callable[[], float],
        responder: Callable[[str], Responder | None],
        makers: Path | None = None,
    ) -> None:
        """Fill the memory from the store; the schedule does not run yet."""
        super().__init__(store, settings, rules, stats, clock, responder, makers)
        self.schedule = Schedule(self)

    def healthy(self) -> bool:
        """Tell whether the store takes writes and the schedule is alive."""
        return self.schedule.alive() and self.store.healthy()

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
    makers: Path | None = None,
    scheduled: bool = True,
) -> Running:
    """Open or make a database, bring its schema up to date, load the rules and start the schedule.

    `makers` is the folder of imported MAC prefixes. With `scheduled` off nothing happens by itself, only by
    `Running.tick`. Raises StoreError and RulesError.
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
        core = Running(store, settings, rules, stats, clock, responder, makers)
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
    if marks.read(turn, "rules") == digest:
        return
    now = core.clock()
    resolve_removed(turn, core.rules.by_id, now)
    roots = [node.code for node in core.directory.units.values() if node.parent is None]
    mark_dirty(core, turn, roots, now)
    marks.write(turn, "rules", digest)
