"""The register in memory: asked for with every report, replaced only after a commit."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from sqlalchemy import Connection, select

from collector.memory.directory import Directory
from collector.store import tables
from probes.kit.exchange.web import urls_of

VANTAGES = 3
"""Agents that look at what a unit without an agent of its own has registered: more would only load those sites."""


class Kind(StrEnum):
    """What is registered."""

    WEBSITE = "website"
    SYSTEM = "system"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered website, system or network. `key` is its address in the one form that all spellings share.

    `system` names the information system that it belongs to; that of a row of kind `system` is its own name.
    `source` says where it came from: `import`, or `whitelist` for an approved domain that was taken over.
    """

    unit: str
    kind: Kind
    key: str
    address: str
    name: str
    system: str
    mlps_level: int | None
    owner: str
    source: str = "import"

    @property
    def id(self) -> str:
        """The same thing of the same unit has the same id each time it is imported."""
        return hashlib.sha256(f"{self.unit}\n{self.kind}\n{self.key}".encode()).hexdigest()[:24]


def key_of(address: str) -> str:
    """Give the one form of a domain or URL that all its spellings share; raises ValueError when it is neither.

    The scheme is left out, and a bare page and the ports of HTTP and HTTPS with it: https://www.Example.edu.cn/ and
    www.example.edu.cn are one website.
    """
    url = urls_of(address.rstrip("."))[0]
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port in (80, 443) else f":{url.port}"
    return f"{host}{port}{'' if url.path == '/' else url.path}"


def spelling(address: str) -> str:
    """Give the one form of an address that was not checked; what is neither domain nor URL stands for itself."""
    try:
        return key_of(address)
    except ValueError:
        return address


FIELDS = tuple(field.name for field in fields(Entry))


class Register:
    """All registered entries in memory, by unit; replaced only after a commit."""

    def __init__(self) -> None:
        """Start empty; `load` fills it from a store."""
        self._own: dict[str, dict[str, Entry]] = {}
        self._digests: dict[str, str] = {}
        self._lock = threading.Lock()
        self._watched: tuple[object, dict[str, tuple[str, ...]]] = (None, {})
        self._revision = 0

    def load(self, connection: Connection) -> None:
        """Read everything anew."""
        found: dict[str, dict[str, Entry]] = {}
        for row in connection.execute(select(*(tables.registered.c[name] for name in FIELDS))):
            entry = entry_of(*row)
            found.setdefault(entry.unit, {})[entry.id] = entry
        self._own, self._digests = {}, {}
        self.put(found)

    def put(self, entries: Mapping[str, Mapping[str, Entry]]) -> None:
        """Adopt the entries of some units that were stored, by unit and id."""
        ordered = {
            unit: dict(sorted(of_unit.items(), key=lambda item: (item[1].kind, item[1].key)))
            for unit, of_unit in entries.items()
        }
        self._digests = self._digests | {unit: _digest(of_unit.values()) for unit, of_unit in ordered.items()}
        self._own = self._own | ordered
        self._revision += 1

    def own(self, unit: str) -> tuple[Entry, ...]:
        """Give what a unit registered, by kind and address."""
        return tuple(self._own.get(unit, {}).values())

    def units(self) -> tuple[str, ...]:
        """Give the units that registered something."""
        return tuple(unit for unit, found in self._own.items() if found)

    def holds(self, unit: str, kind: Kind, key: str) -> bool:
        """Tell whether a unit registered this."""
        return Entry(unit, kind, key, "", "", "", None, "").id in self._own.get(unit, {})

    def holds_site(self, unit: str, key: str) -> bool:
        """Tell whether a unit registered a domain or URL, as a website or for a system."""
        return self.holds(unit, Kind.WEBSITE, key) or self.holds(unit, Kind.SYSTEM, key)

    def digest(self, units: Iterable[str]) -> str:
        """Give a text that changes when anything that these units registered changes."""
        return ",".join(self._digests.get(unit, "") for unit in units)

    def watched(self, directory: Directory, agent: str) -> tuple[str, ...]:
        """Give the units whose websites an agent looks at: its own, and those above that have no agent themselves.

        Of the agents below such a unit the few that enrolled first look, each time the same ones.
        """
        stamp = (self._revision, directory.revision)
        with self._lock:
            if self._watched[0] != stamp:
                self._watched = (stamp, self._watchers(directory))
            return self._watched[1].get(agent, ())

    def _watchers(self, directory: Directory) -> dict[str, tuple[str, ...]]:
        units = directory.units
        agents = sorted(
            (record for record in list(directory.agents.values()) if record.revoked is None),
            key=lambda record: (record.enrolled, record.identity.id),
        )
        below: dict[str, list[str]] = {}
        for record in agents:
            for above in directory.chain(record.identity.unit)[:-1]:
                if self._own.get(above):
                    below.setdefault(above, []).append(record.identity.id)
        manned = {record.identity.unit for record in agents}
        watched = {record.identity.id: [record.identity.unit] for record in agents}
        for unit in sorted((unit for unit in below if unit not in manned), key=lambda code: units[code].path):
            for agent in below[unit][:VANTAGES]:
                watched[agent].append(unit)
        return {agent: tuple(found) for agent, found in watched.items()}


def entry_of(
    unit: str, kind: str, key: str, address: str, name: str, system: str, level: int | None, owner: str, source: str
) -> Entry:
    """Make an entry of a row of `FIELDS`."""
    return Entry(unit, Kind(kind), key, address, name, system, level, owner, source)


def _digest(entries: Iterable[Entry]) -> str:
    return hashlib.sha256(repr([(entry.kind.value, entry.address) for entry in entries]).encode()).hexdigest()
