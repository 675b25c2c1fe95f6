"""What is asked of a SYN scan, and what it says: JSON lines, whose types and bounds `wire.codec` checks."""

from dataclasses import dataclass
from typing import Annotated

from probes.kit.raw.helper.messages import Failed, Progress
from wire.types import Count, Max, Name, ScopeEntry, Seconds

MAX_PAIRS = 1 << 24
"""Most (address, port) pairs of one job; each costs the helper about one byte."""
MAX_PACKED_STATES = 1 << 19
MOST_STATES = 1 << 18
"""State bytes in one line."""
MOST_HOSTS = 1000
"""Hosts in one line."""
MOST_OPENED = 500
MOST_ROUNDS = 40
"""How often a pair is asked at most, where packets get lost."""
UNKNOWN_SECONDS = -1.0


@dataclass(frozen=True, slots=True)
class Job:
    """Ask every port of every target. `targets` are addresses (link-local ones with %interface) or small prefixes.

    `rate` is SYNs per second over all hosts, `host_rate` at one host. An unanswered pair is asked `retries` times more,
    and further while a host proves by late answers that packets get lost. `wait` is the longest last wait, `seconds`
    the time for all. `scope` is checked in the helper, for each address and port, before a frame is built.
    """

    targets: tuple[str, ...]
    ports: str
    scope: tuple[ScopeEntry, ...]
    rate: float = 5_000.0
    host_rate: float = 1_000.0
    retries: int = 1
    wait: float = 1.0
    seconds: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Hosts:
    """All that is known of some hosts at the end; every tuple has one item per host.

    `states` is one state byte per port, ports ascending, host after host, zlib-packed, in base64. `seconds` is the
    shortest round trip seen, UNKNOWN_SECONDS for none. Not `certain`: packets still got lost in the last round, or the
    time was over, so that silence proves nothing. `macs` are twelve digits for hosts on the link, empty for others.
    """

    names: Annotated[tuple[Name, ...], Max(MOST_HOSTS)]
    states: Annotated[str, Max(MAX_PACKED_STATES)]
    seconds: Annotated[tuple[float, ...], Max(MOST_HOSTS)]
    certain: Annotated[tuple[bool, ...], Max(MOST_HOSTS)]
    macs: Annotated[tuple[Name, ...], Max(MOST_HOSTS)]


@dataclass(frozen=True, slots=True)
class Done:
    """The figures of a run. `dropped` packets found the receive ring full, `forged` ones failed the cookie.

    `lossy`: it was given up, since more and more got lost on the way and slower sending did not help.
    """

    complete: bool
    sent: Count
    answers: Count
    forged: Count
    dropped: Count
    unsent: Count
    rounds: Count
    send_seconds: Seconds
    seconds: Seconds
    lost: float = 0.0
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the helper; exactly one field is set. `opened` are ports that were just found, as `write_opened`."""

    opened: Annotated[tuple[Name, ...], Max(MOST_OPENED)] = ()
    progress: Progress | None = None
    hosts: Hosts | None = None
    done: Done | None = None
    failed: Failed | None = None


def write_opened(address: str, port: int, seconds: float | None) -> str:
    """Write an open port as one short text; there may be a million of them."""
    return f"{address} {port} {UNKNOWN_SECONDS if seconds is None else seconds:.6f}"


def read_opened(text: str) -> tuple[str, int, float | None]:
    """Read what `write_opened` wrote; raises ValueError."""
    address, port, seconds = text.split(" ")
    trip = float(seconds)
    return address, int(port), trip if 0 <= trip < 1e6 else None
