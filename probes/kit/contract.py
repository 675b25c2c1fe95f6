"""The contract between a probe and its runner.

A probe file ends with `PROBE = Probe(...)`; its file name is its name. `run` yields what it saw as it goes and raises
only CannotRun: a refusal or a timeout is an observation, never an error. The runner, not the probe, records duration,
success and isolation, and enforces time and memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from probes.kit import errors
from probes.kit.sending.net import Net
from wire.text import Text
from wire.types import Count, Coverage, Family, Line, Observation, Policy, Range, SectionKind, Skipped, Target

O = TypeVar("O")  # noqa: E741 (the options dataclass of a probe)

CannotRun = errors.CannotRun


class Privilege(StrEnum):
    """What a probe's process must hold beyond an ordinary user's rights."""

    NET_RAW = "net_raw"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, in work items of the probe's own choosing (address-port pairs, targets, bytes).

    `rate` is what it sends a second just now, 0 when it does not say; `lost` is the share (0-1) of the packets to those
    who do answer that got lost on the way. `note` may be a reason (`kit.reasons`).
    """

    done: Count
    total: Count
    note: Line = ""
    rate: Annotated[float, Range(0, 1e12)] = 0.0
    lost: Annotated[float, Range(0, 1)] = 0.0


@dataclass(frozen=True, slots=True)
class Silent:
    """What was asked in full and gave no answer where silence proves nothing (see `wire.types.Body`)."""

    area: Coverage


Found = Observation | Coverage | Silent | Skipped
"""What becomes part of a section."""
Yield = Found | Progress

IDENTIFIED = "identified"
"""The value of a service's first word, which is False: it is open, and not asked yet who it is.

The next observation of the same service takes the place of its first word (`Words`)."""


class Words:
    """The observations of one run in their order; what is said of a service later takes the place of its first word."""

    def __init__(self) -> None:
        """Start empty."""
        self.all: list[Observation] = []
        self._first: dict[Target, int] = {}

    def add(self, item: Observation) -> None:
        """Take the next one."""
        place = self._first.pop(item.target, len(self.all)) if self._first else len(self.all)
        if is_first_word(item):
            self._first[item.target] = place
        self.all[place : place + 1] = [item]


def is_first_word(item: Observation) -> bool:
    """Tell whether an open service was not asked yet who it is."""
    return item.values.get(IDENTIFIED) is False


@dataclass(frozen=True, slots=True)
class Context:
    """What a runner gives to a probe.

    `net` is the only door to the network. `policy` is what the collector handed down, or an empty one. `deadline` is
    on time.monotonic(): a probe that sees it near ends its round, yields coverage for what it finished and Skipped for
    the rest. `relinquish` gives up for good the privileges that the probe declares, once it needs them no more.
    """

    net: Net
    policy: Policy
    deadline: float
    relinquish: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Portion:
    """Addresses of one family that would be asked on the same ports; `local` ones are this machine's loopback.

    `on_link` of them lie on a link of this machine, which therefore asks for their hardware addresses first (ARP, ND).
    """

    family: Family
    prefixes: tuple[str, ...]
    addresses: int
    ports: str
    pairs: int
    local: bool
    on_link: int


@dataclass(frozen=True, slots=True)
class Step:
    """One of the ways in which a run that has several would ask.

    `to` are prefixes, or the group by which everybody on `interface` is asked; `ports` such as `udp 5353`, or empty.
    `addresses` counts whom it asks one by one. `packets` are sent at most when nobody answers; none of a step that asks
    those only who were `found` by another one.
    """

    method: str
    to: tuple[str, ...] = ()
    interface: str = ""
    ports: str = ""
    addresses: int = 0
    packets: int = 0
    found: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would send, worked out without sending anything. A run with more time than `seconds` sends just this.

    `method`          as on the observations: `syn`, `connect` or `datagram`; `why` says why it is not the one asked for
    `portions`        every address and port that would be asked; `refused` what would not, with the reason of each
    `pairs`           (address, port) pairs of all portions
    `packets`         SYNs or datagrams at most, when nobody answers and nothing gets lost on the way
    `most_packets`    the same where loss or rationed answers are proven, so that silence is asked again and again
    `per_open`        further packets (ACK, RST) at most for each open port, unless its server talks a lot at once
    `conversations`   connections for each open port to tell its service, at most; 0 when none is asked who it is
    `no_payload`      printers' ports among them: connected to if TCP, and never written to; left out if UDP
    `rate`            SYNs, connections or datagrams a second over all hosts; `host_rate` at one host, 0 without a limit
    `connections`     connections or questions under way at a time; `per_host` at one address; 0 where none are held
    `seconds`         how long it takes when all ports answer at once, and when none answers; identification not counted
    `link_questions`  ARP or ND questions for each neighbour (`on_link`) at most, unless they get lost
    `steps`           for a run that asks in several ways, each of them, in place of portions
    """

    method: str
    why: str = ""
    portions: tuple[Portion, ...] = ()
    refused: tuple[Skipped, ...] = ()
    pairs: int = 0
    packets: int = 0
    most_packets: int = 0
    per_open: int = 0
    conversations: int = 0
    no_payload: str = ""
    rate: float = 0.0
    host_rate: float = 0.0
    connections: int = 0
    per_host: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)
    link_questions: int = 3
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe(Generic[O]):
    """A probe: what it is for, how it runs, its options, and what it needs.

    `needs` names extras of the package (`raw`, `snmp`); `memory` is the limit of its process in bytes of address space.
    `preview` says what a run would send from the Net that it would be given, and sends nothing; it raises CannotRun.
    """

    summary: Text
    kind: SectionKind
    options: type[O]
    run: Callable[[O, Context], Iterator[Yield]]
    needs: tuple[str, ...] = ()
    privileges: frozenset[Privilege] = frozenset()
    memory: int = 256 << 20
    preview: Callable[[O, Net], Preview] | None = None
