"""Units, people and agents in memory: small, asked for with every request, replaced only after a commit."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from collector.answers.said import out_of_reach
from collector.errors import Forbidden, NotFound
from collector.memory.people import Person, Role
from collector.store import tables
from rules.facts import UNKNOWN
from wire.text import Text

RANKS = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Node:
    """A unit of the tree; `county` is the code that its data is kept under, `path` ends with its own code and "/"."""

    code: str
    name: str
    kind: str
    parent: str | None
    path: str
    county: str
    division_code: str


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """An authenticated agent and where it stands."""

    id: str
    name: str
    unit: str
    county: str


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What was written when an agent enrolled, the metrics address that a person approved, and from where it looks."""

    identity: AgentIdentity
    credential_hash: str
    enrolled: float
    revoked: float | None = None
    scrape: str = ""
    vantage: str = UNKNOWN


def secret_hash(secret: str) -> str:
    """Hash a secret of 256 random bits; there is nothing to guess, so it needs neither salt nor stretching."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Directory:
    """Readers see a dictionary as it was or as it is, never half of a change."""

    def __init__(self) -> None:
        """Start empty; `load` fills it from a store."""
        self.units: dict[str, Node] = {}
        self.agents: dict[str, AgentRecord] = {}
        self.vantages: dict[str, dict[str, tuple[str, ...]]] = {}
        """The agents whose vantage was declared, by unit and vantage."""
        self._agents_by_hash: dict[str, AgentRecord] = {}
        self._people_by_hash: dict[str, tuple[str, str, Role, str | None]] = {}
        self._by_unit: tuple[int, dict[str, list[str]]] = (-1, {})
        self.revision = 0
        """Rises whenever units or agents change."""

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        self.load_units(connection)
        for row in connection.execute(select(tables.person)):
            self.put_person(row.id, row.name, Role(row.role), row.unit, row.token_hash)
        for row in connection.execute(select(tables.agent)):
            identity = AgentIdentity(row.id, row.name, row.unit, row.county)
            record = AgentRecord(identity, row.credential_hash, row.enrolled, row.revoked, row.scrape, row.vantage)
            self.put_agent(record)

    def load_units(self, connection: Connection) -> None:
        """Read the tree anew."""
        columns = [tables.unit.c[name] for name in Node.__dataclass_fields__]
        self.units = {row.code: Node(*row) for row in connection.execute(select(*columns))}

    def put_units(self, units: dict[str, Node]) -> None:
        """Adopt a tree that was stored."""
        self.units = units
        self.revision += 1

    def put_person(self, ident: str, name: str, role: Role, unit: str | None, token_hash: str) -> None:
        """Adopt a person who was stored."""
        self._people_by_hash[token_hash] = (ident, name, role, unit)

    def drop_person(self, name: str) -> None:
        """Forget a person who was taken out."""
        self._people_by_hash = {key: known for key, known in self._people_by_hash.items() if known[1] != name}

    def put_agent(self, record: AgentRecord) -> None:
        """Adopt an agent that was stored, revoked or declared to look from elsewhere."""
        before = self.agents.get(record.identity.id)
        self.agents[record.identity.id] = record
        if (before.vantage if before else UNKNOWN) != record.vantage:
            self._declare()
        self.revision += 1
        self._agents_by_hash[record.credential_hash] = record

    def _declare(self) -> None:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for ident, record in self.agents.items():
            if record.vantage != UNKNOWN:
                of_unit = found.setdefault(record.identity.unit, {})
                of_unit[record.vantage] = (*of_unit.get(record.vantage, ()), ident)
        self.vantages = found

    def person(self, token: str) -> Person | None:
        """Give the person behind a token, with the path of their unit as of now."""
        found = self._people_by_hash.get(secret_hash(token))
        if found is None:
            return None
        ident, name, role, unit = found
        return Person(ident, name, role, unit, self.units[unit].path if unit else "")

    def agent(self, credential: str) -> AgentIdentity | None:
        """Give the agent behind a credential unless it was revoked.

        The look-up is by hash: how long it takes tells nothing about the secret.
        """
        record = self._agents_by_hash.get(secret_hash(credential))
        return None if record is None or record.revoked is not None else record.identity

    def node(self, person: Person, code: str) -> Node:
        """Give a unit of the person's subtree; raises NotFound for any other."""
        found = self.units.get(code)
        if found is None or not found.path.startswith(person.path):
            raise NotFound(out_of_reach(Text("单位", "unit"), code, person.name))
        return found

    def held(self, person: Person, agent: str) -> AgentRecord:
        """Give an agent of the person's subtree; raises NotFound for any other."""
        record = self.agents.get(agent)
        if record is None or not self.units[record.identity.unit].path.startswith(person.path):
            raise NotFound(out_of_reach(Text("代理", "agent"), agent, person.name))
        return record

    def agents_of(self, unit: str) -> Sequence[str]:
        """Give the agents that were ever enrolled for a unit."""
        revision, found = self._by_unit
        if revision != self.revision:
            revision, found = self.revision, {}
            for record in list(self.agents.values()):
                found.setdefault(record.identity.unit, []).append(record.identity.id)
            self._by_unit = (revision, found)
        return found.get(unit, ())

    def reach(self, person: Person, code: str | None) -> str:
        """Give the path under which a request may look: that of the unit, or of the person's own; raises NotFound."""
        return person.path if code is None else self.node(person, code).path

    def within(self, codes: Iterable[str], path: str) -> list[str]:
        """Give those of some units that belong to a subtree, in the order of the tree."""
        found = (self.units[code] for code in codes)
        return [node.code for node in sorted(found, key=lambda node: node.path) if node.path.startswith(path)]

    def counties(self, path: str) -> tuple[str, ...]:
        """Give the counties that the data of a subtree is kept under, so that a look-up by id goes straight there."""
        return tuple({node.county for node in self.units.values() if node.path.startswith(path)})

    def chain(self, code: str) -> tuple[str, ...]:
        """Give the codes from the root of the tree down to a unit."""
        return tuple(self.units[code].path[:-1].split("/"))


def require(person: Person, role: Role) -> None:
    """Raise Forbidden unless the person's role includes the one needed."""
    if RANKS[person.role] < RANKS[role]:
        raise Forbidden(
            Text(
                f"{person.name} 的角色是 {person.role}，此操作需要 {role}",
                f"{person.name} is {person.role}; this needs {role}",
            )
        )
