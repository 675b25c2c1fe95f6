"""What a collector knows: its store, memory, rules and settings, in the one object that functions of all rooms take."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from collector.memory.allowance import Allowance
from collector.memory.board import Board
from collector.memory.directory import Directory
from collector.memory.due import Due
from collector.memory.makers import CardMakers
from collector.memory.registered import Register
from collector.memory.rules import Rules
from collector.memory.sections import Sections
from collector.memory.standing import Whitelists
from collector.settings import Settings
from collector.store import tables
from collector.store.contract import Store
from wire.types import Responder


@dataclass(slots=True)
class Stats:
    """Counters since the start, kept by the writer's thread: sections by what became of them, groups by size."""

    reports: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    groups: Counter[int] = field(default_factory=Counter)


class Core:
    """The store and what is held in memory of it; `collector.running` makes one that lives."""

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
        """Fill the memory from the store; `makers` is the folder of imported MAC prefixes."""
        self.store, self.settings, self.rules, self.stats = store, settings, rules, stats
        self.clock, self.responder = clock, responder
        self.since = clock()
        """From when on it can hear agents: while it was down, nobody was silent of their own doing."""
        self.directory, self.whitelists, self.sections = Directory(), Whitelists(), Sections(settings)
        self.register = Register()
        self.allowance = Allowance(settings)
        self.scans, self.due = Board(), Due()
        self.makers = CardMakers(makers)
        with store.reader() as connection:
            self.directory.load(connection)
            self.whitelists.load(connection)
            self.register.load(connection)
            self.sections.load(connection)
            self.scans.load(connection)
            self.ipv6_sections: set[int] = set(connection.execute(select(tables.ipv6_result.c.section)).scalars())
            """Sections that ever had results of IPv6 checks."""
        store.watch(self.sections)
