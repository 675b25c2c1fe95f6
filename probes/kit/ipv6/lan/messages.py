"""What the helper is asked about a link, and what it heard there: JSON lines, whose bounds `wire.codec` checks."""

from dataclasses import dataclass
from typing import Annotated

from probes.kit.raw.helper.messages import Failed
from wire.types import Code, Count, Line, Max, Name, Seconds

MAX_LINKS = 64
MAX_ADVERTISEMENTS = 64
"""Different router advertisements kept of one link; whoever floods it with more is told of as a flood."""
MAX_SERVERS = 64
MAX_QUERIERS = 32
MAX_HOSTS = 1000
"""Pairs of address and hardware address in one line, and ten lines of them at most for one link."""
MAX_LINES = 10
MAX_PREFIXES = 32


@dataclass(frozen=True, slots=True)
class LinkTask:
    """One link to listen on.

    `ask` lets one Router Solicitation, one DHCPv6 Information-Request and one Solicit out: whoever sets it has checked
    that the link is in scope. `guard_to` names the interface that listens while a test of RA guard is sent from here.
    """

    interface: str
    ask: bool = False
    guard_to: str = ""


@dataclass(frozen=True, slots=True)
class ListenJob:
    """Listen on links for so many seconds."""

    links: tuple[LinkTask, ...]
    seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix information option (RFC 4861 section 4.6.2)."""

    prefix: Name
    on_link: bool
    autonomous: bool
    valid: Count
    preferred: Count


@dataclass(frozen=True, slots=True)
class Advertisement:
    """One router advertisement; those that say the same are kept once.

    `own` was sent by this machine itself, which nobody else can pretend. `through` names extension headers before it,
    `flaw` why hosts would not accept it (empty: they do).
    """

    source: Name
    mac: Name
    own: bool
    hops: Count
    lifetime: Count = 0
    managed: bool = False
    other: bool = False
    prefixes: Annotated[tuple[Prefix, ...], Max(MAX_PREFIXES)] = ()
    dns: Annotated[tuple[Name, ...], Max(MAX_PREFIXES)] = ()
    pref64: Annotated[tuple[Name, ...], Max(MAX_PREFIXES)] = ()
    through: Annotated[tuple[Code, ...], Max(64)] = ()
    flaw: Code = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A DHCPv6 server that answered, by its DUID in hexadecimal (RFC 8415 section 11)."""

    duid: Name
    source: Name
    mac: Name
    own: bool = False
    dns: Annotated[tuple[Name, ...], Max(MAX_PREFIXES)] = ()


@dataclass(frozen=True, slots=True)
class Querier:
    """Somebody who asks for multicast listeners (RFC 3810); `version` is that of MLD."""

    source: Name
    mac: Name
    own: bool
    version: Count


@dataclass(frozen=True, slots=True)
class HeardOnLink:
    """All that was heard on a link, in one line; `hosts` come in lines before it.

    `hidden` are packets from link-local addresses whose header chain is not in the first fragment, as "source mac".
    `guard` are the variants of the RA guard test that arrived here. Not `complete`: more came than anyone keeps, or the
    socket's buffer was full. `asked`: what was to be sent went out.
    """

    interface: Name
    asked: bool
    seconds: Seconds
    packets: Count = 0
    complete: bool = True
    problem: Line = ""
    advertisements: Annotated[tuple[Advertisement, ...], Max(MAX_ADVERTISEMENTS)] = ()
    servers: Annotated[tuple[Server, ...], Max(MAX_SERVERS)] = ()
    queriers: Annotated[tuple[Querier, ...], Max(MAX_QUERIERS)] = ()
    hidden: Annotated[tuple[Name, ...], Max(MAX_QUERIERS)] = ()
    guard: Annotated[tuple[Code, ...], Max(16)] = ()
    guard_sent: bool = False


@dataclass(frozen=True, slots=True)
class Hosts:
    """Who was heard on a link, as "address mac"; of IPv4 by ARP, of IPv6 by neighbour discovery and MLD reports."""

    interface: Name
    pairs: Annotated[tuple[Name, ...], Max(MAX_HOSTS)]


@dataclass(frozen=True, slots=True)
class ListenSaid:
    """One line of the helper; exactly one field is set."""

    hosts: Hosts | None = None
    heard: HeardOnLink | None = None
    waited: Seconds | None = None
    failed: Failed | None = None
