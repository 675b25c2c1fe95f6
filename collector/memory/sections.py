"""What each agent said last, in memory from the start: digests, run counts, spool heights.

This is what lets an unchanged section cost one row. It follows the store's transactions: the writer's thread changes a
layer on top, which is written just before the commit and adopted after it, or dropped with what was rolled back.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, TableClause, select

from collector.memory.allowance import BYTES
from collector.settings import Settings
from collector.sightings.compare import KnownRow
from collector.sightings.coverage import Area, area, from_text
from collector.store import tables
from collector.store.contract import Statements, Turn
from wire.types import RunStatus

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

COVERING = frozenset({RunStatus.DONE.value, RunStatus.PARTIAL.value})
PERIODS = 3
MAX_PERIOD = 31 * 86_400.0


@dataclass(slots=True)
class SectionState:
    """The last word of one task of one agent; never changed in place, since readers hold it.

    `runs` counts the runs that had coverage; `due` is the run at which the next absence is to be declared;
    `confirmed` is when the picture last held, and after `stale_at` it vouches for nothing. `held` is the size of
    what is stored (`collector.memory.allowance.size_of`).
    """

    county: str
    id: int
    agent: str
    name: str
    probe: str
    kind: str
    status: str
    reason: str
    digest: str
    started: float
    finished: float
    confirmed: float | None
    stale_at: float | None
    runs: int
    due: int | None
    held: int

    def fresh(self, now: float) -> bool:
        """Tell whether what this section said still counts."""
        return self.stale_at is not None and self.stale_at >= now


@dataclass(slots=True)
class AgentState:
    """What the last report said of its agent; `received` is the collector's own time, the rest is the agent's word.

    `source` is the address that it came from, as the collector saw it.
    `skew` is by how much the agent's clock is taken to be ahead, in seconds.
    """

    county: str
    agent: str
    received: float
    created: float
    software: str
    sequence: int
    dropped: int
    skew: float
    metrics_url: str
    scope: str
    source: str


@dataclass(slots=True)
class SpoolState:
    """The highest sequence taken from one spool, and the batch that had it."""

    county: str
    agent: str
    id: str
    sequence: int
    batch: str
    received: float


class Layered(Generic[K, V]):
    """A dictionary with two layers of changes on top: those of the piece of work at hand, and those of its group."""

    def __init__(self) -> None:
        """Start empty."""
        self.base: dict[K, V] = {}
        self.group: dict[K, V] = {}
        self._work: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Look from the newest layer down."""
        for layer in (self._work, self.group):
            if layer and key in layer:
                return layer[key]
        return self.base.get(key)

    def put(self, key: K, value: V) -> None:
        """Change the top layer."""
        self._work[key] = value

    def keep(self) -> None:
        """The work at hand succeeded."""
        self.group.update(self._work)
        self._work.clear()

    def drop(self) -> None:
        """The work at hand failed."""
        self._work.clear()

    def coming(self) -> set[K]:
        """Give the keys of both layers of changes."""
        return {*self.group, *self._work}

    def adopt(self) -> None:
        """The group is durable."""
        self.base.update(self.group)
        self.group.clear()

    def forget(self) -> None:
        """The group was rolled back."""
        self.group.clear()
        self._work.clear()


class Sections:
    """The memory of all agents; a watcher of the store. Only the writer's thread changes it."""

    def __init__(self, settings: Settings) -> None:
        """Start empty; `load` fills it from a store."""
        self._settings = settings
        self._states: Layered[tuple[str, str], SectionState] = Layered()
        self._agents: Layered[str, AgentState] = Layered()
        self._spools: Layered[tuple[str, str], SpoolState] = Layered()
        self._keys: dict[int, tuple[str, str]] = {}
        self._of_agent: dict[str, tuple[int, ...]] = {}
        self._counts: Counter[str] = Counter()
        self._areas: dict[int, tuple[str, Area]] = {}
        self._held: Counter[str] = Counter()
        self.refused: dict[str, float] = {}
        """When an agent was last refused more than it may hold."""
        self._pictures: dict[int, list[KnownRow]] = {}
        self._room = settings.sightings_in_memory
        self._next_id = 1

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        for section in connection.execute(_all(tables.section, _SECTION)):
            state = SectionState(*section)
            self._states.base[state.agent, state.name] = state
            self._name(state.id, state.agent, state.name)
            self._counts[state.agent] += 1
            self._held[state.agent] += state.held
            self._next_id = max(self._next_id, state.id + 1)
        for agent in connection.execute(_all(tables.agent_state, _AGENT)):
            self._agents.base[agent.agent] = AgentState(*agent)
        for spool in connection.execute(_all(tables.spool, _SPOOL)):
            self._spools.base[spool.agent, spool.id] = SpoolState(*spool)

    @contextmanager
    def work(self) -> Iterator[None]:
        """Keep what is changed inside when it succeeds, drop it when it raises."""
        try:
            yield
        except BaseException:
            self._forget_pictures()
            for layered in (self._states, self._agents, self._spools):
                layered.drop()
            raise
        for layered in (self._states, self._agents, self._spools):
            layered.keep()

    def flush(self, statements: Statements) -> None:
        """Write every state that the group touched, each once."""
        statements.many(_put_section, map(_section_row, self._states.group.values()))
        statements.many(_put_agent, map(_agent_row, self._agents.group.values()))
        statements.many(_put_spool, map(_spool_row, self._spools.group.values()))

    def committed(self) -> None:
        """Adopt what was written."""
        self._counts.update(agent for agent, name in self._states.group if (agent, name) not in self._states.base)
        for key, state in self._states.group.items():
            before = self._states.base.get(key)
            self._held[state.agent] += state.held - (before.held if before else 0)
        for layered in (self._states, self._agents, self._spools):
            layered.adopt()

    def abandoned(self) -> None:
        """Forget what was rolled back."""
        self._forget_pictures()
        for layered in (self._states, self._agents, self._spools):
            layered.forget()

    def section(self, agent: str, name: str) -> SectionState | None:
        """Give the last word of a task, as the work at hand sees it."""
        return self._states.get((agent, name))

    def count(self, agent: str) -> int:
        """Count the tasks of an agent, as the work at hand sees them."""
        coming = sum(key[0] == agent and key not in self._states.base for key in self._states.coming())
        return self._counts[agent] + coming

    def stored(self, agent: str) -> int:
        """Give the size of what is stored of an agent, as of the last commit; for the threads that read."""
        return self._held[agent]

    def held(self, agent: str) -> int:
        """Give the same, as the work at hand sees it."""
        more = 0
        for key in self._states.coming():
            if key[0] == agent and (state := self._states.get(key)) is not None:
                before = self._states.base.get(key)
                more += state.held - (before.held if before else 0)
        return self._held[agent] + more

    def by_id(self, ident: int) -> SectionState | None:
        """Give the last word of a task by its number, as the work at hand sees it."""
        key = self._keys.get(ident)
        return None if key is None else self._states.get(key)

    def of_agent(self, agent: str) -> list[SectionState]:
        """Give the last word of every task of an agent, as the work at hand sees it."""
        found = (self.by_id(ident) for ident in self._of_agent.get(agent, ()))
        return [state for state in found if state is not None]

    def agent_of(self, ident: int) -> str:
        """Give the agent whose task it is, "" for a number that is none."""
        state = self.by_id(ident)
        return "" if state is None else state.agent

    def put(self, state: SectionState) -> None:
        """Change the last word of a task."""
        self._states.put((state.agent, state.name), state)

    def number(self, agent: str, name: str) -> int:
        """Give a number for a new section; one that is rolled back stays unused."""
        ident, self._next_id = self._next_id, self._next_id + 1
        self._name(ident, agent, name)
        return ident

    def _name(self, ident: int, agent: str, name: str) -> None:
        self._keys[ident] = (agent, name)
        self._of_agent[agent] = (*self._of_agent.get(agent, ()), ident)

    def picture(self, section: int) -> list[KnownRow] | None:
        """Give the sightings of a section where they are at hand; else they are in the store."""
        return self._pictures.get(section)

    def keep_picture(self, section: int, known: list[KnownRow]) -> None:
        """Keep the sightings of a section at hand as the work at hand leaves them; a rollback forgets them all."""
        self._room += len(self._pictures.pop(section, ())) - len(known)
        self._pictures[section] = known
        while self._room < 0:
            self._room += len(self._pictures.pop(next(iter(self._pictures))))

    def forget(self, ident: int, keys: Set[str], size: int) -> None:
        """Take out sightings that were removed, with so many characters of details; the next run counts exactly."""
        state, known = self.by_id(ident), self.picture(ident)
        if state is not None:
            self.put(replace(state, held=max(0, state.held - len(keys) - size // BYTES)))
        if known is not None:
            self.keep_picture(ident, [row for row in known if row[0] not in keys])

    def doubt(self, ident: int, keys: Set[str]) -> None:
        """Hold sightings for unknown, and have the next run sent in full, also where it says nothing new.

        The sightings in the store are the caller's.
        """
        state, known = self.by_id(ident), self.picture(ident)
        if state is not None:
            self.put(replace(state, digest=""))
        if known is not None:
            self.keep_picture(ident, [(row[0], "unknown", "", 0) if row[0] in keys else row for row in known])

    def covered(self, statements: Statements, state: SectionState) -> Area:
        """Give what a section's last covering run covered, read anew when it says something else."""
        digest, found = self._areas.get(state.id, ("", None))
        if found is None or digest != state.digest:
            rows = statements.rows(
                "SELECT coverage FROM section_detail WHERE county = ? AND section = ?", (state.county, state.id)
            )
            found = area(from_text(rows[0][0])) if rows else Area()
            self._areas[state.id] = state.digest, found
        return found

    def _forget_pictures(self) -> None:
        self._pictures.clear()
        self._room = self._settings.sightings_in_memory

    def agent(self, ident: str) -> AgentState | None:
        """Give what the last report said of an agent."""
        return self._agents.get(ident)

    def agents(self) -> Mapping[str, AgentState]:
        """Give what every agent's last report said, as of the last commit; for the threads that read."""
        return self._agents.base

    def put_agent(self, state: AgentState) -> None:
        """Change what is known of an agent."""
        self._agents.put(state.agent, state)

    def spool(self, agent: str, ident: str) -> SpoolState | None:
        """Give the height of a spool."""
        return self._spools.get((agent, ident))

    def put_spool(self, turn: Turn, state: SpoolState) -> None:
        """Raise the height of a spool; of many spools of one agent only the last used ones are remembered."""
        if self.spool(state.agent, state.id) is None:
            known = [spool for (agent, _), spool in self._spools.base.items() if agent == state.agent]
            for old in sorted(known, key=lambda spool: spool.received)[: -self._settings.spools]:
                turn.run("DELETE FROM spool WHERE county = ? AND agent = ? AND id = ?", (old.county, old.agent, old.id))
                turn.after_commit(partial(self._forget_spool, (old.agent, old.id)))
        self._spools.put((state.agent, state.id), state)

    def _forget_spool(self, key: tuple[str, str]) -> None:
        self._spools.base.pop(key, None)

    def states(self) -> list[SectionState]:
        """Give every section as of the last commit; for the threads that read."""
        return list(self._states.base.values())

    def retire(self, agent: str, now: float) -> None:
        """Let everything that an agent said count no more."""
        with self.work():
            for state in self.states():
                if state.agent == agent and state.fresh(now):
                    self.put(replace(state, stale_at=now))

    def confirmed(self, before: SectionState | None, finished: float, *, on_order: bool = False) -> tuple[float, float]:
        """Give (confirmed, stale_at) after a covering run that ended at a time; a task's own rhythm counts."""
        if on_order:
            confirmed = max(finished, (before and before.confirmed) or finished)
            return confirmed, confirmed + min(self._settings.scan_holds, self._settings.unknown_after)
        if before is None or before.confirmed is None:
            return finished, finished + self._settings.unknown_after
        period = min(max(finished - before.confirmed, 0.0), MAX_PERIOD)
        confirmed = max(finished, before.confirmed)
        return confirmed, confirmed + max(self._settings.unknown_after, PERIODS * period)


def _all(table: TableClause, columns: tuple[str, ...]) -> Select[Any]:
    return select(*(table.c[name] for name in columns))


def _upsert(name: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    marks = ", ".join("?" for _ in columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks}) "  # noqa: S608 (names of our own)
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


_SECTION = tuple(field.name for field in fields(SectionState))
_AGENT = tuple(field.name for field in fields(AgentState))
_SPOOL = tuple(field.name for field in fields(SpoolState))
_put_section = _upsert("section", _SECTION, ("county", "id"))
_put_agent = _upsert("agent_state", _AGENT, ("county", "agent"))
_put_spool = _upsert("spool", _SPOOL, ("county", "agent", "id"))
_section_row, _agent_row, _spool_row = attrgetter(*_SECTION), attrgetter(*_AGENT), attrgetter(*_SPOOL)
