"""What the checks of the vantage point say, as pure functions of what was seen; no network, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from statistics import median

from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import TELLING, Answer
from probes.kit.ipv6.ladder import together
from probes.kit.ipv6.model import Check, Verdict, unknown
from probes.kit.machine.neighbours import Link, Own, Route

GLOBAL = IPv6Network("2000::/3")
TUNNELS = frozenset({"sit", "ip6tnl", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "vti6", "tun", "wireguard"})
"""What the kernel calls an interface that carries IPv6 inside something else; a PPPoE line is not one of them."""
LAST_PACKET = 1.0
"""A handshake that took a second more than the fastest lost its first packet (RFC 6298 section 2)."""
NET_CHECKS = (
    "NET-SELF", "NET-ADDR", "NET-TUNNEL", "NET-ROUTE", "NET-PD", "NET-PERF", "NET-PMTU", "NET-ICMP6", "NET-RES6",
    "NET-EDNS", "NET-NAT64", "NET-HE", "NET-FW6",
)  # fmt: skip
"""All checks of a vantage point, in the order in which they are shown."""
LOOK_OUT = ("NET-PERF", "NET-PMTU", "NET-ICMP6", "NET-RES6", "NET-EDNS", "NET-NAT64", "NET-HE")
"""Those that need working IPv6 to say anything."""


def tunnel(own: Sequence[Own], links: Mapping[int, Link], routes: Sequence[Route]) -> Check:
    """NET-TUNNEL: native passes, a tunnel warns, 6to4 and Teredo (2002::/16, 2001::/32) fail."""
    world = [item for item in own if item.usable and _is_global(item)]
    if not world:
        return unknown("NET-TUNNEL", "depends", "NET-ADDR")
    obsolete = [item for item in world if _is_transition(item.address.ip)]
    kinds = {link.name: link.kind for link in links.values()}
    out = routes[0].interface if routes else ""
    if len(obsolete) == len(world):
        shown = sorted(
            {f"{item.interface}: {'6to4' if _sixtofour(item.address.ip) else 'Teredo'}" for item in obsolete}
        )
        return Check("NET-TUNNEL", Verdict.FAIL, "transition", tuple(shown))
    way = out or world[0].interface
    if kinds.get(way, "") in TUNNELS:
        return Check("NET-TUNNEL", Verdict.WARN, "tunnel", (f"{way}: {kinds[way]}",))
    return Check("NET-TUNNEL", Verdict.PASS)


def delegation(prefixes: Sequence[IPv6Network], lan: Sequence[IPv6Network], *, router: bool, wanted: int) -> Check:
    """NET-PD: `prefixes` were delegated or assigned, `lan` are prefixes of own links that are no uplink.

    Large enough passes, one small prefix warns, none fails; a machine that forwards nothing needs none.
    """
    if not prefixes and not lan and not router:
        return Check("NET-PD", Verdict.INFO, "not_router")
    told = tuple(f"delegated {prefix}" for prefix in prefixes) or tuple(f"on a link: {prefix}" for prefix in lan)
    if not prefixes and not lan:
        return Check("NET-PD", Verdict.FAIL, "pd_none")
    shortest = min((prefix.prefixlen for prefix in prefixes), default=64)
    values = {"prefix_length": shortest}
    if shortest > wanted:
        return Check("NET-PD", Verdict.WARN, "pd_small", told, values)
    return Check("NET-PD", Verdict.PASS, "", told, values)


@dataclass(frozen=True, slots=True)
class Line:
    """Handshakes with one site over one family: seconds of each that ended, and how many did not."""

    seconds: tuple[float, ...]
    lost: int

    @property
    def rtt(self) -> float:
        """The middle one of those that lost nothing."""
        fast = min(self.seconds)
        return median(value for value in self.seconds if value < fast + LAST_PACKET)

    @property
    def loss(self) -> float:
        """The share that lost a packet."""
        fast = min(self.seconds, default=0.0)
        late = sum(value >= fast + LAST_PACKET for value in self.seconds)
        total = len(self.seconds) + self.lost
        return (late + self.lost) / total if total else 1.0


@dataclass(frozen=True, slots=True)
class PerfBounds:
    """Thresholds of NET-PERF: growth of the round trip, growth of the loss, and what is too small to count."""

    rtt_pass: float
    rtt_warn: float
    loss_pass: float
    loss_warn: float
    floor: float


def performance(sites: Mapping[str, tuple[Line, Line]], bounds: PerfBounds) -> Check:
    """NET-PERF: (IPv4, IPv6) of each site; each must be worse for the path to be worse, for one may be far away."""
    verdicts: list[Verdict] = []
    told: list[str] = []
    for name, (four, six) in sites.items():
        if not four.seconds or four.loss >= 0.5:
            continue
        if not six.seconds:
            verdicts.append(Verdict.FAIL)
            told.append(f"{name}: IPv4 answers, IPv6 does not")
            continue
        verdicts.append(max(_grow(four, six, bounds), key=_gravity))
        if verdicts[-1] is not Verdict.PASS:
            told.append(
                f"{name}: IPv4 {four.rtt * 1000:.0f} ms, {four.loss:.0%} lost; "
                f"IPv6 {six.rtt * 1000:.0f} ms, {six.loss:.0%} lost"
            )
    if not verdicts:
        return unknown("NET-PERF", "dual_unclear", *sites)
    verdict = min(verdicts, key=_gravity)
    return Check("NET-PERF", verdict, "" if verdict is Verdict.PASS else "perf_worse", tuple(told))


def _grow(four: Line, six: Line, bounds: PerfBounds) -> tuple[Verdict, Verdict]:
    slower, more = six.rtt - four.rtt, six.loss - four.loss
    share = slower / four.rtt if four.rtt > 0 and slower > bounds.floor else 0.0
    return (
        _grade(share, bounds.rtt_pass, bounds.rtt_warn),
        _grade(more, bounds.loss_pass, bounds.loss_warn),
    )


def _grade(value: float, to_pass: float, to_warn: float) -> Verdict:
    return Verdict.PASS if value <= to_pass else Verdict.WARN if value <= to_warn else Verdict.FAIL


def _gravity(verdict: Verdict) -> int:
    return (Verdict.PASS, Verdict.WARN, Verdict.FAIL).index(verdict)


@dataclass(frozen=True, slots=True)
class Large:
    """A large page over IPv6: how it ended, and whether smaller segments brought it (after a stall, seen twice)."""

    told: str
    received: int
    stalled: bool
    mended: bool = False
    refused: bool = False


def path_mtu(pages: Sequence[Large], wanted: int) -> Check:
    """NET-PMTU: one page that came with smaller segments only proves the black hole."""
    hole = tuple(page.told for page in pages if page.mended)
    if hole:
        return Check("NET-PMTU", Verdict.FAIL, "pmtu", hole)
    if any(page.received >= wanted and not page.stalled for page in pages):
        return Check("NET-PMTU", Verdict.PASS)
    if any(page.refused for page in pages):
        return unknown("NET-PMTU", "out_of_scope", *(page.told for page in pages))
    return unknown("NET-PMTU", "large_failed", *(page.told for page in pages))


@dataclass(frozen=True, slots=True)
class Errors:
    """What one target showed: `big` is whether a full-size echo was answered (fits), met Packet Too Big (told) or
    vanished (lost); `hops` holds for each hop before the target whether it told that the time was exceeded; `problem`
    whether Parameter Problem came back (None: not tried). Empty: nothing was learned.
    """

    target: str
    big: str = ""
    hops: tuple[bool, ...] = ()
    problem: bool | None = None


def errors(seen: Sequence[Errors]) -> Check:
    """NET-ICMP6: Packet Too Big and Time Exceeded that do not come back fail, Parameter Problem warns.

    A large echo may be dropped by its target, and a packet with options by anyone: one target alone proves nothing.
    """
    told = tuple(
        f"{one.target}: full size {one.big or 'not tried'}; hops {_dots(one.hops)}; parameter problem "
        f"{'not tried' if one.problem is None else 'came' if one.problem else 'did not come'}"
        for one in seen
    )
    sizes = [one.big for one in seen if one.big]
    between = [one.hops for one in seen if one.hops]
    problems = [one.problem for one in seen if one.problem is not None]
    if not sizes and not between and not problems:
        return unknown("NET-ICMP6", "no_ping", *told)
    values = {
        "packet_too_big": "lost" if _all_lost(sizes) else "told" if "told" in sizes else "fits" if sizes else "unknown",
        "time_exceeded": _hops_word(between),
        "parameter_problem": "unknown" if not problems else "came" if any(problems) else "lost",
    }
    if "lost" in (values["packet_too_big"], values["time_exceeded"]):
        return Check("NET-ICMP6", Verdict.FAIL, "icmp_lost", told, values)
    if values["time_exceeded"] == "near" or values["parameter_problem"] == "lost":
        return Check("NET-ICMP6", Verdict.WARN, "icmp_partly", told, values)
    return Check("NET-ICMP6", Verdict.PASS, "", (), values)


def _all_lost(sizes: Sequence[str]) -> bool:
    return len(sizes) >= 2 and set(sizes) == {"lost"}


def _hops_word(between: Sequence[tuple[bool, ...]]) -> str:
    if not between:
        return "unknown"
    if not any(any(hops) for hops in between):
        return "lost"
    # The first hop is this campus's own gateway; only what is behind it crosses the firewall.
    far = [hops[1:] for hops in between if len(hops) > 1]
    return "near" if far and not any(any(hops) for hops in far) else "came"


def _dots(hops: Sequence[bool]) -> str:
    return "".join("." if told else "x" for told in hops) or "-"


@dataclass(frozen=True, slots=True)
class Compared:
    """AAAA of one name from the resolver in use and from an independent one."""

    name: str
    own: Answer
    other: Answer


def resolver(base: Check, compared: Sequence[Compared], *, independent: bool) -> Check:
    """NET-RES6: `base` says whether it answers over IPv6; AAAA that it withholds fail whatever it answers over."""
    hidden = tuple(
        f"{item.name}: {item.own.status}, the independent resolver has {item.other.addresses[0]}"
        for item in compared
        if item.own.status in (Status.NODATA, Status.NXDOMAIN) and item.other.addresses
    )
    if hidden:
        return Check("NET-RES6", Verdict.FAIL, "aaaa_stripped", hidden)
    if base.verdict is not Verdict.PASS:
        return base
    if not independent:
        return unknown("NET-RES6", "no_independent")
    if not compared:
        return unknown("NET-RES6", "no_aaaa_names")
    if not any(item.own.status in TELLING and item.other.addresses for item in compared):
        told = (f"{item.name}: {item.own.status}, independent {item.other.status}" for item in compared)
        return unknown("NET-RES6", "dns_unclear", *told)
    return Check("NET-RES6", Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Edns:
    """A large answer asked for by UDP with 1232 bytes of room, with next to none, and by TCP."""

    small: Status
    udp: Status
    udp_bytes: int
    truncated: bool
    tcp: Status
    edns: bool


def large_answers(seen: Edns | None) -> Check:
    """NET-EDNS: 1232 bytes by UDP (a loss warns, for TCP mends it) and TCP after truncation (a loss fails)."""
    if seen is None or seen.small not in TELLING:
        return unknown("NET-EDNS", "depends", "NET-RES6")
    told = (f"UDP {seen.udp}, {seen.udp_bytes} bytes, EDNS {'yes' if seen.edns else 'no'}; TCP {seen.tcp}",)
    if seen.tcp not in TELLING:
        return Check("NET-EDNS", Verdict.FAIL, "edns_tcp", told)
    if not seen.edns or seen.udp not in TELLING:
        return Check("NET-EDNS", Verdict.WARN, "edns_udp", told)
    if seen.udp_bytes <= 512 and not seen.truncated:
        return unknown("NET-EDNS", "edns_small", *told)
    return Check("NET-EDNS", Verdict.PASS)


def nat64(dns64: Sequence[IPv6Network], announced: Sequence[IPv6Network], *, translates: bool | None) -> Check:
    """NET-NAT64: what ipv4only.arpa shows (RFC 7050) is what the router announces (RFC 8781), and it translates."""
    if not dns64 and not announced:
        return Check("NET-NAT64", Verdict.INFO, "no_nat64")
    told = (
        f"DNS64: {', '.join(map(str, dns64)) or 'none'}; PREF64: {', '.join(map(str, announced)) or 'not heard'}",
        *(("it translates",) if translates else ("it does not translate",) if translates is False else ()),
    )
    if dns64 and announced and not any(one.subnet_of(other) for one in dns64 for other in announced):
        return Check("NET-NAT64", Verdict.FAIL, "nat64_differs", told)
    if translates is False:
        return Check("NET-NAT64", Verdict.FAIL, "nat64_silent", told)
    if not dns64 or not announced:
        return Check("NET-NAT64", Verdict.INFO, "nat64_unheard", told)
    return Check("NET-NAT64", Verdict.PASS, "", told)


@dataclass(frozen=True, slots=True)
class Race:
    """One race to a site: seconds until each family was connected, counted from the start; None when it failed."""

    site: str
    six: float | None
    four: float | None


def race(races: Sequence[Race], ahead: float) -> Check:
    """NET-HE: IPv6 wins, or IPv4 does because IPv6 comes `ahead` seconds after it, or IPv6 fails; the best site counts.

    A site that IPv4 does not reach either was no race.
    """
    verdicts: list[Verdict] = []
    told: list[str] = []
    for item in races:
        if item.six is None and item.four is None:
            continue
        if item.six is None:
            verdicts.append(Verdict.FAIL)
            told.append(f"{item.site}: IPv6 failed, IPv4 won")
        elif item.four is not None and item.six > item.four + ahead:
            verdicts.append(Verdict.WARN)
            told.append(f"{item.site}: IPv4 won by more than {ahead * 1000:.0f} ms")
        else:
            verdicts.append(Verdict.PASS)
    if not verdicts:
        return unknown("NET-HE", "dual_unclear", *(item.site for item in races))
    verdict = min(verdicts, key=_gravity)
    code = {Verdict.WARN: "he_slow", Verdict.FAIL: "he_error"}.get(verdict, "")
    return Check("NET-HE", verdict, code, tuple(told))


def firewall(parts: Sequence[Check]) -> Check:
    """NET-FW6: what the rules say and what a paired scan shows, together; a method that says nothing is left out."""
    telling = [part for part in parts if part.verdict is not Verdict.UNKNOWN]
    if not telling:
        return next(iter(parts), unknown("NET-FW6", "no_fw_source"))
    verdict = together(part.verdict for part in telling)
    code = next((part.code for part in telling if part.verdict is verdict), "")
    values = {"method": "+".join(str(part.values.get("method", "")) for part in telling)}
    return Check("NET-FW6", verdict, code, tuple(line for part in telling for line in part.evidence), values)


def _is_global(item: Own) -> bool:
    return isinstance(item.address.ip, IPv6Address) and item.address.ip in GLOBAL


def _sixtofour(address: object) -> bool:
    return isinstance(address, IPv6Address) and address.sixtofour is not None


def _is_transition(address: object) -> bool:
    return _sixtofour(address) or (isinstance(address, IPv6Address) and address.teredo is not None)
