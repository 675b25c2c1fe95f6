"""What the helper is asked about whole links, and what it says: which addresses answered, by which method."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from probes.kit.raw.helper.messages import Failed, Progress
from wire.types import Count, Line, Max, Name, ScopeEntry, Seconds

MAX_LINKS = 64
MOST_HEARD = 500
"""Answers in one line."""
MOST_UNASKED = 16_384
"""Addresses of one link that answers to a group may add; whoever invents more is not believed any more."""

ARP, ND, MLD, ECHO, OPT80, ICMP = "arp", "nd", "mld", "echo", "opt80", "icmp"
GROUP_METHODS = (MLD, ECHO, OPT80)
METHODS = (ARP, ND, *GROUP_METHODS, ICMP)


@dataclass(frozen=True, slots=True)
class LinkTask:
    """What to do on one Ethernet link: addresses to ask for by ARP or ND, and questions to all of its IPv6 hosts.

    `sweep` holds addresses and prefixes of both families that lie on this link, `groups` some of GROUP_METHODS; whether
    these may be asked of everybody on the link is for the one who asks to check, as only they know its prefixes.
    """

    interface: str
    sweep: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkJob:
    """Find hosts on links, and by ICMP echo behind routers (`echo`: addresses and prefixes).

    `rate` is packets per second over all links, `echo_rate` those that routers have to forward. What does not
    answer is asked `tries` times in all; `wait` is the longest wait after the last question. `scope` is checked in the
    helper, for each address, before a frame is built.
    """

    links: tuple[LinkTask, ...]
    scope: tuple[ScopeEntry, ...]
    echo: tuple[str, ...] = ()
    rate: float = 5_000.0
    echo_rate: float = 2_000.0
    tries: int = 3
    wait: float = 1.0
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class LinkDone:
    """The figures of a run, and the links whose silence proves nothing.

    `lossy` are interfaces at which answers found the socket's buffer full, or more answers came than anyone believes;
    `down` those that did not take our packets. Not `complete`: the time was over first.
    """

    complete: bool
    sent: Count
    answers: Count
    unasked: Count
    dropped: Count
    seconds: Seconds
    lossy: Annotated[tuple[Name, ...], Max(MAX_LINKS)] = ()
    down: Annotated[tuple[Line, ...], Max(MAX_LINKS)] = ()


@dataclass(frozen=True, slots=True)
class LinkSaid:
    """One line of the helper; exactly one field is set. `heard` are answers as `write_heard` writes them."""

    heard: Annotated[tuple[Name, ...], Max(MOST_HEARD)] = ()
    progress: Progress | None = None
    done: LinkDone | None = None
    failed: Failed | None = None


class Heard(NamedTuple):
    """An address that answered. `mac` is empty where it is not known, as it is behind routers; `interface` then too."""

    method: str
    address: str
    mac: str
    interface: str


def write_heard(heard: Heard) -> str:
    """Write an answer as one short text."""
    return f"{heard.method} {heard.address} {heard.mac or '-'} {heard.interface or '-'}"


def read_heard(text: str) -> Heard:
    """Read what `write_heard` wrote; raises ValueError."""
    method, address, mac, interface = text.split(" ")
    if method not in METHODS:
        raise ValueError(f"{method!r} is no method")
    return Heard(method, address, mac.removeprefix("-"), interface if interface != "-" else "")
