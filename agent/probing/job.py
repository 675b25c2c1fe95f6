"""What the runner asks of a probe's process, and how it is written to that process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

from probes.kit.scope.model import Scope
from probes.kit.sending.net import DEFAULT_CONNECTIONS, DEFAULT_PER_HOST, Net
from probes.kit.sending.pacing import DEFAULT_RATE, Pace, QuietHours
from wire.codec import decode, encode
from wire.errors import DecodeError
from wire.types import MAX_PLAIN_BYTES, Code, Line, Max, Range, ScopeEntry, Value

MAX_ORDERS = 4 << 20
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one probe may use: sends per second, open connections, bytes of address space, quiet spans of local time."""

    rate: Annotated[float, Range(0.1, 1e6)] = DEFAULT_RATE
    connections: Annotated[int, Range(1, 60_000)] = DEFAULT_CONNECTIONS
    per_host: Annotated[int, Range(1, 60_000)] = DEFAULT_PER_HOST
    memory: Annotated[int, Range(1 << 20, 1 << 40)] = 512 << 20
    quiet_hours: Annotated[tuple[Code, ...], Max(16)] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a probe. Its section gets `name`; the scope always holds this machine.

    `scope_file` is the file of the scope where it is not the operator's own (see `Scope`). `policy` is the JSON of a
    wire Policy, `policy_file` one that agent.policy keeps; an empty one holds without either. The probe is asked to end
    after `seconds`, and is ended `grace` seconds later. A job that is `refused` runs nothing: its section says that it
    cannot run, and for this reason. With `follow` what it finds is told as it comes, too.
    """

    name: str
    probe: str
    seconds: float
    options: Mapping[str, Value] = field(default_factory=dict)
    scope: tuple[ScopeEntry, ...] = ()
    policy: bytes = b""
    policy_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    grace: float = GRACE
    refused: str = ""
    follow: bool = False
    scope_file: str = ""


@dataclass(frozen=True, slots=True)
class _Orders:
    name: Code
    probe: Code
    seconds: Annotated[float, Range(0, 1e6)]
    options: Annotated[Mapping[str, Value], Max(64)] = field(default_factory=dict)
    scope: Annotated[tuple[ScopeEntry, ...], Max(1_000)] = ()
    policy_file: Line = ""
    policy_bytes: Annotated[int, Range(0, MAX_PLAIN_BYTES)] = 0
    limits: Limits = field(default_factory=Limits)
    grace: Annotated[float, Range(0, 3600)] = GRACE
    refused: Line = ""
    follow: bool = False
    scope_file: Line = ""


_SHARED = tuple(item.name for item in fields(Job) if not item.name.startswith("policy"))


def net_of(job: Job) -> Net:
    """Make the Net that a job's probe gets: its scope, caps and quiet hours. Raises ScopeError."""
    limits = job.limits
    return Net(
        Scope(job.scope, job.scope_file),
        pace=Pace(limits.rate),
        per_host=limits.per_host,
        connections=limits.connections,
        quiet=[QuietHours.parse(text) for text in limits.quiet_hours],
    )


def write_job(job: Job) -> bytes:
    """Write a job as one line of JSON followed by the policy."""
    shared = {name: getattr(job, name) for name in _SHARED}
    orders = _Orders(**shared, policy_file=str(job.policy_file or ""), policy_bytes=len(job.policy))
    return encode(orders) + b"\n" + job.policy


def read_job(read: Callable[[int], bytes]) -> Job:
    """Read what `write_job` wrote; `read` gives at most so many bytes, none at the end. Raises DecodeError."""
    got = b""
    while b"\n" not in got:
        part = read(65_536)
        if not part:
            raise DecodeError("job", "ends before its first line does")
        got += part
        if len(got) > MAX_ORDERS:
            raise DecodeError("job", f"its first line is longer than {MAX_ORDERS} bytes")
    line, _, rest = got.partition(b"\n")
    orders = decode(_Orders, line)
    policy = bytearray(rest)
    while len(policy) < orders.policy_bytes:
        part = read(orders.policy_bytes - len(policy))
        if not part:
            raise DecodeError("job", "ends before its policy does")
        policy += part
    shared = {name: getattr(orders, name) for name in _SHARED}
    file = Path(orders.policy_file) if orders.policy_file else None
    return Job(**shared, policy=bytes(policy[: orders.policy_bytes]), policy_file=file)
