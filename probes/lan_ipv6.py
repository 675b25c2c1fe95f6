"""The first hop of IPv6: who announces, serves and speaks on each LAN of this machine, and whether all may.

It listens. Where a link's prefixes are in scope, one Router Solicitation and two DHCPv6 questions go out, which every
router and server of the link answers; without that, silence proves nothing and says "unknown".
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from probes.kit.contract import CannotRun, Context, Privilege, Probe, Progress, Yield
from probes.kit.errors import Refused
from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import ANSWERED, answers
from probes.kit.ipv6.lan import client, judge_hosts, judge_routers
from probes.kit.ipv6.lan.judge_hosts import Bounds, Seen
from probes.kit.ipv6.lan.judge_routers import Allowed, parse_routers, parse_servers
from probes.kit.ipv6.lan.links import (
    choose,
    forwards,
    prefixes_of,
    require_all,
    subnets_of,
    table_limit,
    table_of,
    table_use,
)
from probes.kit.ipv6.lan.messages import HeardOnLink, Hosts, LinkTask, ListenJob
from probes.kit.ipv6.model import OUTCOMES, Check, Verdict, unknown
from probes.kit.machine.neighbours import Own, default_routes, links, neighbours, own_addresses, route_to
from probes.kit.options import option
from probes.kit.raw.helper.client import why_not
from probes.kit.raw.link.client import find_hosts
from probes.kit.raw.link.messages import GROUP_METHODS, Heard, LinkDone, LinkJob
from probes.kit.raw.link.messages import LinkTask as Question
from probes.kit.reasons import because
from probes.kit.sending.net import Net
from wire.text import Text, TextError
from wire.types import Observation, SectionKind, Skipped, Target, TargetKind, Value

NAME = "lan_ipv6"
LINK_CHECKS = (
    "LAN-RA", "LAN-MODE", "LAN-RDNSS", "LAN-ROGUERA", "LAN-RAEXT", "LAN-ROGUEDHCP6", "LAN-ULA", "LAN-PRIV", "LAN-MLD",
    "LAN-HOSTS",
)  # fmt: skip
"""The checks of each link; LAN-COVER is one of each IPv4 subnet, LAN-RAGUARD and LAN-NDCACHE are of this machine."""
MOST_SERVERS = 8
"""DNS servers of one link that are asked."""
_RESERVE_SECONDS = 2.0
_ASKING_SECONDS = 10.0
_SELF = Target(TargetKind.AGENT, "self")


def _parse_guard(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for text in texts:
        sender, arrow, listener = (part.strip() for part in text.partition(">"))
        if not (sender and arrow and listener) or sender == listener:
            raise TextError(
                f"{text[:64]!r} 没有写明两个接口，如 eth1>eth2",
                f"{text[:64]!r} does not name two interfaces, such as eth1>eth2",
            )
        found.append((sender, listener))
    if len({listener for _, listener in found}) != len(found) or len({sender for sender, _ in found}) != len(found):
        raise TextError(
            "一个接口只能在一项测试中发送、在一项测试中监听",
            "an interface may send in one test and listen in one test only",
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen, what is allowed there, and every threshold."""

    interfaces: tuple[str, ...] = option(
        (),
        zh="监听的接口；默认为有地址的以太网接口，路由器除去上联",
        en="interfaces to listen on; by default those Ethernet links with an address, of a router not the uplink",
    )
    listen: float = option(15.0, zh="监听时间", en="how long to listen", unit="s", minimum=1, maximum=3600)
    routers: tuple[str, ...] = option(
        (),
        zh="允许的路由器：链路本地地址，可加 MAC，如 fe80::1 02:00:00:00:00:01；本机总是允许",
        en="known routers: link-local address, alone or with a MAC: fe80::1 02:00:00:00:00:01; this machine always is",
        check=parse_routers,
    )
    dhcp_servers: tuple[str, ...] = option(
        (),
        zh="允许的 DHCPv6 服务器的 DUID（十六进制），不应有任何服务器时写 none",
        en="DUIDs (hexadecimal) of known DHCPv6 servers; none where there must be no server",
        check=parse_servers,
    )
    flags: str = option(
        "",
        zh="规定的地址分配标志，如 A（SLAAC）、AO（另加无状态 DHCPv6）、M（有状态）；空为不规定",
        en="flags that the policy wants: A (SLAAC), OA (and stateless DHCPv6), M (stateful); empty for none",
        pattern="M?O?A?",
    )
    ask_hosts: bool = option(
        False,
        zh="另向全体设备发送 MLD 查询和回显请求（须在授权范围内）",
        en="also send an MLD query and echo requests to all hosts of the link (in scope only)",
    )
    ra_guard: tuple[str, ...] = option(
        (),
        zh="授权主动测试 RA Guard：从一个接入口发送无害的路由通告，在另一个上接收，如 eth1>eth2",
        en="authorise the active test of RA guard: harmless advertisements from one access port to another, eth1>eth2",
        check=_parse_guard,
    )
    timeout: float = option(
        2.0, zh="等待 DNS 应答的时间", en="how long to wait for a DNS server", unit="s", minimum=0.1, maximum=60
    )
    cover_pass: float = option(0.9, zh="终端覆盖率：通过", en="LAN-COVER: passes from here", minimum=0, maximum=1)
    cover_warn: float = option(0.8, zh="终端覆盖率：警告", en="LAN-COVER: warns from here", minimum=0, maximum=1)
    table_pass: float = option(0.7, zh="邻居表占用：通过", en="LAN-NDCACHE: passes below", minimum=0, maximum=1)
    table_warn: float = option(0.9, zh="邻居表占用：警告", en="LAN-NDCACHE: warns below", minimum=0, maximum=1)
    table_limit: int = option(
        0,
        zh="邻居表上限，0 为取自内核（gc_thresh3）",
        en="limit of the neighbour table, 0 for the kernel's (gc_thresh3)",
        minimum=0,
        maximum=10_000_000,
    )
    eui64: float = option(
        0.2, zh="由 MAC 生成地址的终端占比：通过", en="LAN-PRIV: passes up to this share", minimum=0, maximum=1
    )
    query_interval: float = option(
        125.0, zh="MLD 查询间隔", en="interval of MLD queries", unit="s", minimum=0.1, maximum=3600
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Listen on all links at once, then judge each of them."""
    if why_not() is not None:
        raise CannotRun(because("no_listening", "CAP_NET_RAW"))
    known, own = links(), own_addresses()
    wanted = options.interfaces or choose(known.values(), own, default_routes(6) + default_routes(4), router=forwards())
    pairs = _parse_guard(options.ra_guard)
    names = tuple(dict.fromkeys((*wanted, *(name for pair in pairs for name in pair))))
    for name in names:
        if name not in {link.name for link in known.values()}:
            raise CannotRun(because("bad_options", f"{NAME}: this machine has no interface {name!r}"))
    used = neighbours()
    yield from _say(_SELF, judge_hosts.table(table_use(used), options.table_limit or table_limit(), _bounds(options)))
    seconds = min(options.listen, context.deadline - time.monotonic() - _RESERVE_SECONDS)
    if not names or seconds < 1:
        yield Skipped(NAME, because("deadline" if names else "no_link"))
        return
    askable: dict[str, bool] = {}
    for name in names:
        askable[name], refusal = _may_ask(context.net, own, name)
        if refusal is not None:
            yield refusal
    listened = _Listened()
    tasks = tuple(
        LinkTask(name, askable[name], next((to for sender, to in pairs if sender == name and askable[name]), ""))
        for name in names
    )
    yield from listened.take(ListenJob(tasks, seconds))
    context.net.sent += sum(3 for heard in listened.links.values() if heard.asked)
    answered: dict[str, set[tuple[str, str]]] = {}
    asked: list[str] = []
    if options.ask_hosts:
        yield from _still_askable(context.net, own, [name for name in wanted if askable[name]], asked)
    if asked and context.deadline - time.monotonic() > _ASKING_SECONDS:
        answered = _ask_hosts(context.net, asked)
    used = neighbours()
    for name in wanted:
        seen = Seen(
            table_of(used, name), frozenset(listened.hosts.get(name, ())), frozenset(answered.get(name, ())),
            asked=name in answered,
        )  # fmt: skip
        yield from _judge(options, context, own, listened.links[name], seen)
    for sender, listener in pairs:
        check = judge_routers.guard(
            listened.links[sender] if askable[sender] else None, listened.links[listener]
        )  # fmt: skip
        yield from _say(Target(TargetKind.NETWORK, sender), check)
    if not pairs:
        yield from _say(_SELF, unknown("LAN-RAGUARD", "guard_off"))


class _Listened:
    """What the helper said, by link."""

    def __init__(self) -> None:
        self.links: dict[str, HeardOnLink] = {}
        self.hosts: dict[str, set[tuple[str, str]]] = {}

    def take(self, job: ListenJob) -> Iterator[Progress]:
        for said in client.listen(job):
            if isinstance(said, HeardOnLink):
                self.links[said.interface] = said
            elif isinstance(said, Hosts):
                pairs = (tuple(pair.partition(" ")[::2]) for pair in said.pairs)
                self.hosts.setdefault(said.interface, set()).update((address, mac) for address, mac in pairs)
            else:
                yield Progress(int(said), int(job.seconds))
        for task in job.links:
            self.links.setdefault(task.interface, HeardOnLink(task.interface, False, 0.0, complete=False))


def _may_ask(net: Net, own: Sequence[Own], name: str) -> tuple[bool, Skipped | None]:
    try:
        require_all(net, prefixes_of(own, name), name)
    except Refused as refusal:
        return False, refusal.skipped
    return True, None


def _still_askable(net: Net, own: Sequence[Own], names: Sequence[str], asked: list[str]) -> Iterator[Skipped]:
    """Check once more: listening may have taken an hour, so that quiet hours have begun or the scope has ended."""
    for name in names:
        still, refusal = _may_ask(net, own, name)
        if still:
            asked.append(name)
        elif refusal is not None:
            yield refusal


def _ask_hosts(net: Net, names: Sequence[str]) -> dict[str, set[tuple[str, str]]]:
    """Ask everybody on links that are in scope for a sign of life."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in names}
    job = LinkJob(
        tuple(Question(name, (), GROUP_METHODS) for name in names), net.scope.entries, rate=min(net.pace.rate, 1e6),
        seconds=_ASKING_SECONDS,
    )  # fmt: skip
    for said in find_hosts(job):
        if isinstance(said, Heard) and said.interface in found:
            found[said.interface].add((said.address.partition("%")[0], said.mac))
        elif isinstance(said, LinkDone):
            net.sent += said.sent
    return found


def _judge(options: Options, context: Context, own: Sequence[Own], heard: HeardOnLink, seen: Seen) -> Iterator[Yield]:
    """Give all verdicts of one link; where nobody speaks IPv6 they are all unknown."""
    name, bounds = heard.interface, _bounds(options)
    target = Target(TargetKind.NETWORK, name)
    prefixes = tuple(map(str, prefixes_of(own, name)))
    allowed = Allowed(parse_routers(options.routers), parse_servers(options.dhcp_servers), options.flags)
    subnets = subnets_of(own, name)
    if not (heard.advertisements or heard.servers or heard.queriers or heard.hidden or seen.six):
        for word in LINK_CHECKS:
            yield from _say(target, unknown(word, "no_ipv6_link"), prefixes=prefixes)
        for subnet in subnets:
            place = Target(TargetKind.NETWORK, str(subnet))
            yield from _say(place, unknown("LAN-COVER", "no_ipv6_link"), interface=name)
        return
    announced = tuple(judge_routers.name_servers(heard, allowed))[:MOST_SERVERS]
    said = {server: _ask_server(context, server, name, options.timeout) for server in announced}
    checks = (
        judge_routers.advertised(heard, allowed),
        judge_routers.mode(heard, allowed),
        judge_routers.dns_servers(heard, allowed, said),
        judge_routers.rogue_router(heard, allowed),
        judge_routers.hidden_router(heard),
        judge_routers.rogue_server(heard, allowed),
        judge_routers.unique_local(heard, allowed),
        judge_hosts.privacy(seen, bounds),
        judge_hosts.querier(heard, bounds),
        judge_hosts.hosts(seen),
    )
    for check in checks:
        yield from _say(target, check, prefixes=prefixes)
    macs = {link.mac for link in links().values()}
    for subnet in subnets:
        check = judge_hosts.coverage(seen, subnet, macs, bounds)
        yield from _say(Target(TargetKind.NETWORK, str(subnet)), check, interface=name)


def _ask_server(context: Context, server: str, interface: str, timeout: float) -> tuple[bool | None, str]:
    """Ask a DNS server whether it is there: yes, no, or None with why it could not be asked."""
    if context.deadline - time.monotonic() < 2 * timeout:
        return None, because("deadline")
    address = ip_address(server)
    try:
        zoned = ip_address(f"{server}%{interface}") if address.is_link_local else address
        if not address.is_link_local and route_to(address) is None:
            return None, because("unreachable")  # what this machine cannot reach says nothing of the server
        status = answers(context.net, zoned, timeout=timeout)
    except Refused as refusal:
        return None, refusal.skipped.reason
    except ValueError as error:
        return None, str(error)
    if status is Status.NO_RESOLVER:
        return None, status.value
    return status in ANSWERED, status.value


def _bounds(options: Options) -> Bounds:
    return Bounds(
        options.cover_pass, options.cover_warn, options.table_pass, options.table_warn, options.eui64,
        options.query_interval,
    )  # fmt: skip


def _say(target: Target, check: Check, **more: Value) -> Iterator[Observation]:
    full = replace(check, values={**check.values, **more})
    yield Observation(NAME, check.id, target, OUTCOMES[Verdict(check.verdict)], time.time(), full.plain())


PROBE = Probe(
    Text(
        "内网第一跳的 IPv6：路由通告、DHCPv6、组播与终端", "IPv6 of the first hop: routers, DHCPv6, multicast and hosts"
    ),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
)
