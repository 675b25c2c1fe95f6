"""What a section's body says, keyed so that it can be laid over what the section said before. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.inventory.addresses import address
from wire.ports import contains, parse_ports
from wire.types import Observation, Outcome, TargetKind, Transport, Value

HOST, SERVICE, SITE, FACT = "h", "s", "w", "f"
"""First letter of a key: host, service, site (web), and what is said of the agent itself or of a network."""

ALIVE = frozenset({Outcome.SEEN, Outcome.OPEN, Outcome.CLOSED, Outcome.PASS, Outcome.WARN, Outcome.MEASURED})
PORT_STATES: Mapping[Outcome, str] = {
    Outcome.OPEN: "open",
    Outcome.SEEN: "open",
    Outcome.CLOSED: "closed",
    Outcome.FILTERED: "filtered",
    Outcome.TIMEOUT: "filtered",
    Outcome.OPEN_FILTERED: "open_filtered",
}
STRENGTH = {"open": 4, "present": 4, "open_filtered": 3, "closed": 2, "filtered": 1}
ANYWHERE = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 (what a listening socket shows, not where we listen)

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Seen(NamedTuple):
    """One thing that was seen: its state, and the observation's values as text (empty when there are none)."""

    state: str
    detail: str


class Place(NamedTuple):
    """A key read back: what kind of thing, its name, and for a service its transport and port."""

    kind: str
    name: str
    transport: str
    port: int


@dataclass(slots=True)
class Picture:
    """All that was seen, by key; `closed` and `filtered` are the port sets that hosts answered or dropped."""

    seen: dict[str, Seen] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)


def draw(observations: Iterable[Observation]) -> Picture:
    """Key every observation; of two about the same thing the one that shows more wins, and their values are joined."""
    picture = Picture()
    seen, hosts = picture.seen, set[str]()
    for observation in observations:
        target, outcome = observation.target, observation.outcome
        if target.kind is TargetKind.SERVICE:
            state = PORT_STATES.get(outcome, "unknown")
            key = service_key(target.name, target.transport or Transport.TCP, target.port or 0)
            if state in ("open", "closed"):
                hosts.add(target.name)
        elif target.kind is TargetKind.HOST:
            ports = observation.values.get("closed")
            if isinstance(ports, str) and ports:
                picture.closed[target.name] = ports
            if outcome not in ALIVE:
                continue
            key, state = f"{HOST}|{target.name}", "present"
        elif target.kind is TargetKind.SITE:
            key, state = f"{SITE}|{target.name}", outcome.value
        elif target.kind is TargetKind.UNKNOWN:
            continue
        else:
            key, state = f"{FACT}|{target.kind}|{target.name}|{observation.method}", outcome.value
        values = observation.values
        found = Seen(state, _write(values) if values else "")
        seen[key] = found if key not in seen else _join(seen[key], found)
    for name in hosts:
        seen.setdefault(f"{HOST}|{name}", Seen("present", ""))
    return picture


def service_key(name: str, transport: Transport, port: int) -> str:
    """Key a service."""
    return f"{SERVICE}|{name}|{transport}|{port}"


def place(key: str) -> Place:
    """Read a key back; names may themselves hold the separator."""
    kind, _, rest = key.partition("|")
    if kind == SERVICE:
        name, transport, port = rest.rsplit("|", 2)
        return Place(kind, name, transport, int(port))
    return Place(kind, rest, "", 0)


def own_machine(name: str) -> bool:
    """Tell whether a name means the machine that looked: loopback, or a socket that listens everywhere."""
    if name in ANYWHERE:
        return True
    found = address(name)
    return found is not None and found.is_loopback


def values_of(detail: str) -> Mapping[str, Value]:
    """Read an observation's values back."""
    found: Mapping[str, Value] = json.loads(detail) if detail else {}
    return found


def refused(closed: Mapping[str, str], name: str, port: int) -> bool:
    """Tell whether a host answered that this port is closed."""
    ports = closed.get(name)
    if not ports:
        return False
    try:
        return contains(parse_ports(ports), port)
    except ValueError:
        return False


def _join(first: Seen, second: Seen) -> Seen:
    stronger, weaker = (first, second) if _strength(first) >= _strength(second) else (second, first)
    joined = {**values_of(weaker.detail), **values_of(stronger.detail)}
    return Seen(stronger.state, _write(joined) if joined else "")


def _strength(found: Seen) -> int:
    return STRENGTH.get(found.state, 0)
