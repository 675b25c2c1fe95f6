"""Whether this machine itself can speak IPv6 to the world: the gate before anything is said of others.

Each check has its name in the project's catalogue (NET-ADDR, NET-ROUTE, NET-RES6, NET-SELF) and one verdict.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address

from probes.kit.errors import Refused
from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import ANSWERED, answers
from probes.kit.machine.neighbours import LIVE, State, default_routes, links, neighbours, own_addresses
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from wire.text import TextError
from wire.types import Observation, Outcome, Skipped, Target, TargetKind, Value

LEAST_CONFIGURED = 3
LEAST_REACHABLE = 2
"""NET-SELF: of at least three independent targets two must be reachable."""
_GLOBAL = IPv6Network("2000::/3")
_LOCAL = IPv6Network("fc00::/7")
_ENDPOINT = re.compile(r"\[(?P<inner>[^\[\]]+)\](:(?P<port>[0-9]{1,5}))?|(?P<bare>[^\[\]]+)")
_TUNNELS = frozenset({"sit", "ip6tnl", "gre", "ip6gre", "ipip"})


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict of the catalogue with its evidence; `reason` says why it is not PASS, as `because` writes it."""

    id: str
    outcome: Outcome
    reason: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    duration: float = 0.0
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP port of an IPv6 address outside the campus, to be reached and nothing more."""

    address: IPv6Address
    port: int


def told(probe: str, check: Check) -> Iterator[Observation | Skipped]:
    """Write a check as a probe yields it: an observation of the agent itself, then what was skipped."""
    values = {**check.values, **({"reason": check.reason} if check.reason else {})}
    target = Target(TargetKind.AGENT, "self")
    yield Observation(probe, check.id, target, check.outcome, time.time(), values, check.duration)
    yield from check.skipped


def parse_endpoints(texts: Iterable[str]) -> tuple[Endpoint, ...]:
    """Read `[2001:db8::1]:443`, or an address alone for port 443; raises TextError naming the faulty one."""
    found = []
    for text in texts:
        parts = _ENDPOINT.fullmatch(text.strip())
        host, port = (parts["inner"] or parts["bare"], int(parts["port"] or 443)) if parts else ("", 0)
        try:
            address = ip_address(host)
        except ValueError:
            address = None
        if not isinstance(address, IPv6Address) or not 0 < port < 65536:
            raise TextError(
                f"{text[:64]!r} 不是带端口的 IPv6 地址，如 [2001:db8::1]:443",
                f"{text[:64]!r} is not an IPv6 address with a port, such as [2001:db8::1]:443",
            )
        found.append(Endpoint(address, int(port)))
    return tuple(found)


def check_addresses() -> Check:
    """NET-ADDR: a global address passes, unique local ones only (RFC 4193) warn, less than that fails.

    Only /64 prefixes are reported: the rest of an address may change every day (RFC 8981).
    """
    tunnels = {link.name for link in links().values() if link.kind in _TUNNELS}
    usable = [
        (item.address.ip, item.interface in tunnels)
        for item in own_addresses()
        if item.usable and isinstance(item.address.ip, IPv6Address)
    ]
    world = [(address, tunnel) for address, tunnel in usable if address in _GLOBAL]
    local = [(address, tunnel) for address, tunnel in usable if address in _LOCAL]
    values: dict[str, Value] = {}
    shown = sorted({str(IPv6Network((int(address) >> 64 << 64, 64))) for address, _ in (world or local)})
    if shown:
        values["prefixes"] = tuple(shown)
    if world:
        values["tunnel"] = all(tunnel or _is_transition(address) for address, tunnel in world)
        return Check("NET-ADDR", Outcome.PASS, "", values)
    if local:
        return Check("NET-ADDR", Outcome.WARN, because("only_local_addresses"), values)
    return Check("NET-ADDR", Outcome.FAIL, because("no_global_address"), values)


def check_route() -> Check:
    """NET-ROUTE: a default route whose next hop is a live neighbour passes; nothing is sent to find out."""
    routes = default_routes(6)
    if not routes:
        return Check("NET-ROUTE", Outcome.FAIL, because("no_default_route"))
    known = {(item.address, item.interface): item.state for item in neighbours()}
    up = {link.name for link in links().values() if link.up}
    route = routes[0]
    values: dict[str, Value] = {"interface": route.interface, "gateway": str(route.gateway or "")}
    if route.interface not in up:
        return Check("NET-ROUTE", Outcome.FAIL, because("link_down", route.interface), values)
    if route.gateway is None:
        return Check("NET-ROUTE", Outcome.PASS, "", values)
    state = known.get((route.gateway, route.interface))
    if state in LIVE:
        return Check("NET-ROUTE", Outcome.PASS, "", values)
    if state is State.FAILED:
        return Check("NET-ROUTE", Outcome.FAIL, because("gateway_silent", str(route.gateway)), values)
    return Check("NET-ROUTE", Outcome.UNKNOWN, because("gateway_not_heard", str(route.gateway)), values)


def check_resolvers(net: Net, servers: Sequence[Address], *, timeout: float) -> Check:
    """NET-RES6: a resolver with an IPv6 address answers. A local forwarder hides whether one does: unknown."""
    six = [server for server in servers if server.version == 6 and not server.is_loopback]
    values: dict[str, Value] = {"resolvers": tuple(str(server) for server in servers)}
    if not servers:
        return Check("NET-RES6", Outcome.UNKNOWN, because("no_resolver"), values)
    if not six:
        if any(server.is_loopback for server in servers):
            return Check("NET-RES6", Outcome.UNKNOWN, because("local_resolver"), values)
        return Check("NET-RES6", Outcome.WARN, because("no_ipv6_resolver"), values)
    skipped: list[Skipped] = []
    last = Status.NO_RESOLVER
    for server in six:
        try:
            last = answers(net, server, timeout=timeout)
        except Refused as refusal:
            skipped.append(refusal.skipped)
            continue
        if last in ANSWERED:
            return Check("NET-RES6", Outcome.PASS, "", values, skipped=tuple(skipped))
    if last is Status.NO_RESOLVER:
        return Check("NET-RES6", Outcome.UNKNOWN, skipped[0].reason, values, skipped=tuple(skipped))
    return Check("NET-RES6", Outcome.FAIL, because("resolver_silent", last.value), values, skipped=tuple(skipped))


def check_self(net: Net, endpoints: Sequence[Endpoint], *, timeout: float) -> Check:
    """NET-SELF: at least two of three or more configured endpoints answer, be it with a reset."""
    if len({endpoint.address for endpoint in endpoints}) < LEAST_CONFIGURED:
        return Check(
            "NET-SELF", Outcome.UNKNOWN, because("no_gate_targets", f"self_targets, {LEAST_CONFIGURED} or more")
        )
    reached: set[IPv6Address] = set()
    tried: set[IPv6Address] = set()
    skipped: list[Skipped] = []
    best = 0.0
    for endpoint in endpoints:
        try:
            attempt = net.connect(endpoint.address, endpoint.port, timeout)
        except Refused as refusal:
            skipped.append(refusal.skipped)
            continue
        tried.add(endpoint.address)
        if attempt.connection is not None:
            attempt.connection.reset()
        if attempt.outcome in (Outcome.OPEN, Outcome.CLOSED):
            reached.add(endpoint.address)
            best = min(best or attempt.seconds, attempt.seconds)
    told = tuple(skipped)
    if len(reached) >= LEAST_REACHABLE:
        return Check("NET-SELF", Outcome.PASS, "", {}, best, told)
    if len(tried) < LEAST_CONFIGURED:
        return Check("NET-SELF", Outcome.UNKNOWN, skipped[0].reason, {}, best, told)
    silent = ", ".join(sorted(str(address) for address in tried - reached))
    return Check("NET-SELF", Outcome.FAIL, because("gate_silent", silent), {}, best, told)


def judge(addresses: Check, route: Check, gate: Check) -> tuple[Outcome, str]:
    """Say whether this machine has working IPv6: PASS, FAIL or UNKNOWN, and why.

    Only the gate proves that it works; a missing address or route proves that it cannot. A gate that was reached
    without an address of its own lies on this machine's link (from link-local to link-local), and proves nothing.
    """
    if gate.outcome is Outcome.PASS and addresses.outcome is not Outcome.FAIL:
        return Outcome.PASS, ""
    for check in (addresses, route, gate):
        if check.outcome is Outcome.FAIL:
            return Outcome.FAIL, check.reason
    return Outcome.UNKNOWN, gate.reason


def _is_transition(address: IPv6Address) -> bool:
    return address.sixtofour is not None or address.teredo is not None
