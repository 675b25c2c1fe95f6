"""What a section's body says, keyed so that it can be laid over what the section said before. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from collector.sightings.addresses import address
from wire.ports import contains, parse_ports
from wire.types import Observation, Outcome, TargetKind, Transport, Value

HOST, SERVICE, SITE, FACT = "h", "s", "w", "f"
"""First letter of a key: host, service, site (web), and what is said of the agent itself or of a network."""

ALIVE = frozenset({Outcome.SEEN, Outcome.OPEN, Outcome.CLOSED, Outcome.PASS, Outcome.WARN, Outcome.MEASURED})
STRENGTH = {"open": 4, "present": 4, "open_filtered": 3, "closed": 2, "filtered": 1}
ANYWHERE = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 (what a listening socket shows, not where we listen)

_write = msgspec.json.Encoder(order="sorted").encode


Seen = tuple[str, str]
"""One thing that was seen: its state, and the observation's values as text (empty when there are none)."""


class Place(NamedTuple):
    """A key read back: what kind of thing, its name, and for a service its transport and port."""

    kind: str
    name: str
    transport: str
    port: int


@dataclass(slots=True)
class Picture:
    """All that was seen, by key; `closed` holds, by host, the port sets that it refused.

    `own` are addresses of the agent's machine: a port that was merely SEEN comes from its own table of sockets.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    closed: dict[str, list[str]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)


def draw(observations: Iterable[Observation]) -> Picture:
    """Key every observation; of two about the same thing the one that shows more wins, and their values are joined.

    A port that gave no answer was not seen: what that means for one that was known is for the coverage to say.
    """
    picture = Picture()
    seen, closed = picture.seen, picture.closed
    alive, doubtful = dict[str, None](), list[str]()
    for observation in observations:
        target, outcome = observation.target, observation.outcome
        kind, name = target.kind, target.name
        if kind is TargetKind.SERVICE:
            if outcome is Outcome.OPEN:
                state = "open"
                alive[name] = None
            elif outcome is Outcome.SEEN:
                state = "open"
                alive[name] = None
                picture.own.add(name)
            elif outcome is Outcome.CLOSED:
                closed.setdefault(name, []).append(str(target.port or 0))
                alive[name] = None
                continue
            elif outcome is Outcome.OPEN_FILTERED:
                state = "open_filtered"
                doubtful.append(name)
            else:
                continue
            transport = "udp" if target.transport is Transport.UDP else "tcp"
            key = f"{SERVICE}|{name}|{transport}|{target.port or 0}"
        elif kind is TargetKind.HOST:
            ports = observation.values.get("closed")
            if isinstance(ports, str) and ports:
                closed.setdefault(name, []).append(ports)
            if outcome not in ALIVE:
                continue
            key, state = f"{HOST}|{name}", "present"
        elif kind is TargetKind.SITE and "evidence" not in observation.values:
            key, state = f"{SITE}|{name}", outcome.value
        elif kind is TargetKind.UNKNOWN:
            continue
        else:  # also the single checks of a site, which carry evidence: each is a fact of its own
            key, state = f"{FACT}|{kind.value}|{name}|{observation.method}", outcome.value
        values = observation.values
        found = (state, _write(dict(values)).decode() if values else "")
        seen[key] = found if key not in seen else _join(seen[key], found)
    for name in alive:
        seen.setdefault(f"{HOST}|{name}", ("present", ""))
    if doubtful:  # silence of a host that never answers shows no service
        _drop_doubtful(seen)
    return picture


def _drop_doubtful(seen: dict[str, Seen]) -> None:
    for key in [key for key, (state, _) in seen.items() if state == "open_filtered" and key[0] == SERVICE]:
        if f"{HOST}|{place(key).name}" not in seen:
            del seen[key]


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


def refused(closed: Mapping[str, Iterable[str]], name: str, port: int) -> bool:
    """Tell whether a host answered that this port is closed."""
    return any(holds(ports, port) for ports in closed.get(name, ()))


def holds(ports: str, port: int) -> bool:
    """Tell whether a port set from the network holds a port; one that cannot be read holds none."""
    try:
        return contains(parse_ports(ports), port)
    except ValueError:
        return False


def _join(first: Seen, second: Seen) -> Seen:
    stronger, weaker = (first, second) if _strength(first) >= _strength(second) else (second, first)
    joined = {**values_of(weaker[1]), **values_of(stronger[1])}
    return stronger[0], _write(joined).decode() if joined else ""


def _strength(found: Seen) -> int:
    return STRENGTH.get(found[0], 0)
