"""The messages between agent and collector, as frozen dataclasses.

Times are seconds since 1970-01-01 UTC as float, durations are seconds, sizes are bytes, rates are bit/s and say so in
their name (`_bps`). Every text and every tuple has a bound (`Max`); the codec enforces it before a value is built.
A field that has a default may be missing on the wire, and unknown fields are ignored: that is how a major version
grows. A change that old readers would misunderstand raises the major version in the schema name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from wire.ports import MAX_SPEC, parse_ports

REPORT_SCHEMA = "edusec.report/1"
ANSWER_SCHEMA = "edusec.answer/1"
REFUSAL_SCHEMA = "edusec.refusal/1"
ENROLMENT_SCHEMA = "edusec.enrolment/1"

MAX_REPORT_BYTES = 1 << 20
"""Largest compressed report that a collector reads."""
MAX_PLAIN_BYTES = 16 << 20
"""Largest report after decompression."""


class Max(NamedTuple):
    """Bound of a text in characters, of a tuple or mapping in items."""

    size: int


class Range(NamedTuple):
    """Inclusive bounds of a number."""

    low: float
    high: float


class Check(NamedTuple):
    """What a text must be: `read` raises ValueError, which says what is allowed, for anything else."""

    read: Callable[[str], object]


Code = Annotated[str, Max(64)]
Name = Annotated[str, Max(256)]
Line = Annotated[str, Max(1024)]
Time = Annotated[float, Range(0, 253402300799)]
Seconds = Annotated[float, Range(0, 1e9)]
Port = Annotated[int, Range(0, 65535)]
PortSet = Annotated[str, Max(MAX_SPEC), Check(parse_ports)]
Count = Annotated[int, Range(0, 2**53)]

Value = str | int | float | bool | None | tuple[str, ...]
"""What an observation may say: a scalar or a list of short texts (each at most 1,024 characters, 1,000 items)."""


class Outcome(StrEnum):
    """What came of looking at a target. A word this release does not know reads as UNKNOWN, never as a "no"."""

    OPEN = "open"
    CLOSED = "closed"
    FILTERED = "filtered"
    OPEN_FILTERED = "open_filtered"
    SEEN = "seen"
    MEASURED = "measured"
    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    WARN = "warn"
    FAIL = "fail"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    UNKNOWN = "unknown"


class TargetKind(StrEnum):
    """What a target is."""

    AGENT = "agent"
    HOST = "host"
    SERVICE = "service"
    SITE = "site"
    NETWORK = "network"
    UNKNOWN = "unknown"


class SectionKind(StrEnum):
    """STATE is a picture that stands until it changes; MEASUREMENT is a sample that is new each time."""

    STATE = "state"
    MEASUREMENT = "measurement"


class RunStatus(StrEnum):
    """How a probe run ended; only DONE and PARTIAL carry coverage."""

    DONE = "done"
    PARTIAL = "partial"
    CANNOT_RUN = "cannot_run"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    UNKNOWN = "unknown"


class Transport(StrEnum):
    """Transport protocols whose ports are scanned."""

    TCP = "tcp"
    UDP = "udp"


Family = Literal[4, 6]


@dataclass(frozen=True, slots=True)
class Target:
    """What was looked at: an address, a domain or URL, a prefix, or one port of an address."""

    kind: TargetKind
    name: Line
    port: Port | None = None
    transport: Transport | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One fact that a probe saw. `time` and `duration` say when and how long; all else is the fact itself."""

    probe: Code
    method: Code
    target: Target
    outcome: Outcome
    time: Time
    values: Annotated[Mapping[str, Value], Max(64)] = field(default_factory=dict)
    duration: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a run really covered: every address of `prefixes` on every port of `ports` was looked at and settled.

    Only coverage lets a collector say "absent". `ports` is empty where ports do not apply (`transport` is None then).
    """

    prefixes: Annotated[tuple[Name, ...], Max(4096)]
    family: Family
    ports: PortSet = ""
    transport: Transport | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a run was asked for and did not cover, and why, so that nobody takes silence for absence."""

    what: Line
    reason: Line


@dataclass(frozen=True, slots=True)
class Body:
    """The contents of one section.

    `silent` is what was asked in full and gave no answer where silence proves nothing: UDP ports, which are then open
    or filtered, and whole parts of a network of which nothing answered. It is not covered, and need not be asked again.
    """

    observations: Annotated[tuple[Observation, ...], Max(50_000)] = ()
    coverage: Annotated[tuple[Coverage, ...], Max(1_000)] = ()
    skipped: Annotated[tuple[Skipped, ...], Max(1_000)] = ()
    silent: Annotated[tuple[Coverage, ...], Max(1_000)] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one task's run. An unchanged STATE section travels without its body: the digest stands for it.

    The digest is SHA-256 over probe, status, reason and body without times and durations (`wire.digest`). `order` is
    the id of the order that this was the run of; such a section always travels whole.
    """

    name: Code
    probe: Code
    kind: SectionKind
    status: RunStatus
    digest: Code
    started: Time
    finished: Time
    reason: Line = ""
    body: Body | None = None
    order: Code = ""


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """What someone with a name authorised for probing, until a date; `until` None is only for this machine itself."""

    value: Name
    authoriser: Name
    reason: Line
    until: date | None
    ports: PortSet = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A batch of sections from one agent. (`agent`, `spool`, `sequence`) is the idempotency key, `batch` its check."""

    agent: Code
    spool: Code
    sequence: Annotated[int, Range(1, 2**53)]
    batch: Code
    created: Time
    software: Code
    sections: Annotated[tuple[Section, ...], Max(256)]
    scope: Annotated[tuple[ScopeEntry, ...], Max(1_000)] = ()
    policy: Code = ""
    dropped: Count = 0
    metrics_url: Name = ""
    schema: Code = REPORT_SCHEMA


class EntryKind(StrEnum):
    """The three whitelists that the policies name (Henan plan, section 3(7)25): domains, hosts and ports."""

    DOMAIN = "domain"
    HOST = "host"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class WhitelistEntry:
    """An approval. `value` is a domain, an address, a prefix or a MAC; for PORT it may be `*` (any host of the unit).

    `expires` is the last day on which the entry holds (UTC); None means that it does not expire.
    """

    kind: EntryKind
    value: Name
    owner: Name
    reason: Line
    approver: Name
    expires: date | None = None
    ports: PortSet = ""
    transport: Transport = Transport.TCP
    id: Code = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A probe to run every `interval` seconds with these options; its name is the section's name."""

    name: Code
    probe: Code
    interval: Annotated[float, Range(1, 31_622_400)]
    options: Annotated[Mapping[str, Value], Max(64)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Responder:
    """Where bandwidth may be measured: a responder of the collector and the ticket that it asks for."""

    host: Name
    port: Port
    ticket: Line


@dataclass(frozen=True, slots=True)
class Policy:
    """What a collector hands down to one agent. An agent holds the last one it got, also over restarts."""

    digest: Code
    unit: Code
    unit_name: Name
    report_interval: Annotated[float, Range(1, 86_400)]
    whitelist: Annotated[tuple[WhitelistEntry, ...], Max(20_000)] = ()
    targets: Annotated[tuple[Name, ...], Max(1_000)] = ()
    tasks: Annotated[tuple[Task, ...], Max(64)] = ()
    responder: Responder | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The acknowledgement of a report, sent after the commit. `policy` is there only if the agent's is not current.

    `orders` is how many orders wait for this agent: reason enough to ask for them.
    """

    batch: Code
    sequence: Count
    time: Time
    duplicate: bool = False
    policy: Policy | None = None
    orders: Count = 0
    schema: Code = ANSWER_SCHEMA


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was refused; nothing of it was kept.

    Codes: bad_request, unsupported_schema, too_large, unauthorised, forbidden, not_found, conflict, busy, internal,
    full (the agent or its unit holds all that it may),
    unknown_digest (send the named sections in full), bad_file (`problems` says file:line:field: what).
    """

    code: Code
    message: Line
    sections: Annotated[tuple[Code, ...], Max(256)] = ()
    problems: Annotated[tuple[Line, ...], Max(1_000)] = ()
    schema: Code = REFUSAL_SCHEMA


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A one-time token in exchange for a credential of the agent's own."""

    token: Name
    name: Name
    software: Code
    schema: Code = ENROLMENT_SCHEMA


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an agent is given at enrolment. `kind` is the door for mTLS: `bearer` today, `certificate` later."""

    agent: Code
    unit: Code
    unit_name: Name
    kind: Code
    credential: Line
    schema: Code = ENROLMENT_SCHEMA
