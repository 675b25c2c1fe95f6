"""The NET-* checks of the IPv6 catalogue: what this machine's own IPv6 is worth, before anything is said of others.

What is compared with (targets, sites of both families, an independent resolver) is configuration: without it the check
concerned is unknown and says what to set. Without working IPv6 every check that looks out is unknown.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

from probes.kit.contract import CannotRun, Context, Privilege, Probe, Progress, Yield
from probes.kit.errors import Refused
from probes.kit.exchange.dns import DNS_PORT
from probes.kit.exchange.web import Url, urls_of
from probes.kit.ipv6.model import OUTCOMES, VERDICTS, Check, Verdict, unknown
from probes.kit.ipv6.names import Names, find_dns64
from probes.kit.ipv6.options import proof_option
from probes.kit.ipv6.site.fetch import Wish, warm_up
from probes.kit.ipv6.vantage import judge, path, resolver
from probes.kit.ipv6.vantage.firewall import by_rules, by_scan
from probes.kit.ipv6.vantage.gate import Check as Proof
from probes.kit.ipv6.vantage.gate import (
    check_addresses,
    check_resolvers,
    check_route,
    check_self,
    parse_endpoints,
)
from probes.kit.ipv6.vantage.pairs import parse_pairs, scan, twins
from probes.kit.ipv6.zone.ask import Asker
from probes.kit.machine import nft
from probes.kit.machine.neighbours import default_routes, discarded_prefixes, links, own_addresses, resolvers
from probes.kit.machine.netlink import UserOptions
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.shared_options import parse_addresses, patience_option, resolvers_option
from wire.ports import expand, parse_ports
from wire.text import Text, TextError
from wire.types import Observation, SectionKind, Target, TargetKind

NAME = "vantage_ipv6"
MAX_SITES = 8
SCAN_SECONDS = 60.0
"""Longest time of the paired scan of NET-FW6."""
GIVE_UP_SECONDS = 4.0
_FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def _parse_urls(texts: Sequence[str]) -> tuple[Url, ...]:
    return tuple(urls_of(text)[0] for text in texts)


def _parse_prefixes(texts: Sequence[str]) -> tuple[IPv6Network, ...]:
    found = []
    for text in texts:
        try:
            found.append(IPv6Network(text))
        except ValueError:
            raise TextError(
                f"{text[:64]!r} 不是 IPv6 网段，如 2001:db8:1::/48",
                f"{text[:64]!r} is not an IPv6 prefix such as 2001:db8:1::/48",
            ) from None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Options:
    """What to compare with, and every threshold; the defaults of those are ours, not a standard's."""

    self_targets: tuple[str, ...] = proof_option()
    dual_targets: tuple[str, ...] = option(
        (),
        zh="两族都可达的外部站点（域名或网址），用于时延、丢包和竞速对比",
        en="outside sites that both families reach, to compare delay and loss and to race (NET-PERF, NET-HE)",
        check=_parse_urls,
    )
    large_targets: tuple[str, ...] = option(
        (),
        zh="经 IPv6 可取的大页面（不小于 large 字节）的网址",
        en="URLs of pages of at least `large` bytes that IPv6 reaches (NET-PMTU)",
        check=_parse_urls,
    )
    resolvers: tuple[str, ...] = resolvers_option()
    independent_resolvers: tuple[str, ...] = option(
        (),
        zh="不属于本校的解析器，用于判断 AAAA 是否被剥离",
        en="resolvers of somebody else, to see whether AAAA are stripped (NET-RES6)",
        check=parse_addresses,
    )
    aaaa_names: tuple[str, ...] = option(
        (),
        zh="有 AAAA 的域名；默认取 dual_targets 的域名",
        en="names that have AAAA; those of dual_targets by default",
    )
    edns_name: str = option(".", zh="应答较大的域名", en="a name with a large answer (NET-EDNS)")
    edns_type: str = option("DNSKEY", zh="其记录类型", en="its record type", choices=("DNSKEY", "TXT"))
    delegated: tuple[str, ...] = option(
        (),
        zh="静态分配的 IPv6 前缀（没有 DHCPv6-PD 时）",
        en="prefixes that were assigned without DHCPv6-PD",
        check=_parse_prefixes,
    )
    pd_length: int = option(
        56, zh="委派前缀的最大长度：通过", en="NET-PD: passes up to this prefix length", minimum=16, maximum=64
    )
    firewall_hosts: tuple[str, ...] = option(
        (),
        zh="对照入站策略的主机，如 198.51.100.5=2001:db8::5；同一 MAC 的邻居自动加入",
        en="hosts whose inbound policies are compared, such as 198.51.100.5=2001:db8::5, beside neighbours of one MAC",
        check=parse_pairs,
    )
    firewall_ports: str = option(
        "22,23,80,135,139,443,445,1433,3306,3389,5432,5900,6379,8080",
        zh="对照的端口",
        en="ports compared on them",
        check=parse_ports,
    )
    nft_file: str = option(
        nft.DEFAULT_FILE,
        zh="root 定期写入的 nft -j list ruleset 输出",
        en="what root writes there regularly: the output of nft -j list ruleset",
        pattern=r"/.*",
    )
    ca_file: str = option(
        "", zh="额外信任的 CA 证书（PEM 文件）", en="a PEM file of certificate authorities to trust as well"
    )
    timeout: float = patience_option()
    tries: int = option(10, zh="每族握手次数", en="handshakes over each family (NET-PERF)", minimum=3, maximum=100)
    perf_pass: float = option(0.1, zh="时延劣化：通过", en="growth of the delay: passes up to", minimum=0, maximum=10)
    perf_warn: float = option(0.3, zh="时延劣化：警告", en="growth of the delay: warns up to", minimum=0, maximum=10)
    perf_floor: float = option(
        0.005,
        zh="忽略小于此值的时延差",
        en="differences of delay below this do not count",
        unit="s",
        minimum=0,
        maximum=1,
    )
    loss_pass: float = option(0.02, zh="丢包增加：通过", en="growth of the loss: passes up to", minimum=0, maximum=1)
    loss_warn: float = option(0.1, zh="丢包增加：警告", en="growth of the loss: warns up to", minimum=0, maximum=1)
    large: int = option(
        100_000, zh="大页面的字节数", en="bytes of the large page", unit="bytes", minimum=4000, maximum=8 << 20
    )
    mss: int = option(
        1220, zh="疑似 PMTU 黑洞时重试用的 MSS", en="segment size of the retry on a stall", minimum=536, maximum=1440
    )
    ahead: float = option(
        0.25, zh="浏览器等待 IPv6 的时间", en="how long a browser waits for IPv6", unit="s", minimum=0.01, maximum=2
    )
    ra_seconds: float = option(
        0.0, zh="等待路由通告 PREF64 的时间", en="how long to wait for a PREF64", unit="s", minimum=0, maximum=600
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Judge the machine itself, then, once its IPv6 is proven, what it meets outside."""
    try:
        warm_up(options.ca_file)
    except ValueError as error:
        raise CannotRun(because("bad_options", f"{NAME}: ca_file: {error}")) from None
    look = _Look(options, context)
    try:
        for number, (_, step) in enumerate(look.steps(), start=1):
            for item in step():
                yield _say(item) if isinstance(item, Check) else item
            yield Progress(number, len(judge.NET_CHECKS))
    finally:
        look.close()


def _say(check: Check) -> Observation:
    target = Target(TargetKind.AGENT, "self")
    return Observation(NAME, check.id, target, OUTCOMES[check.verdict], time.time(), check.plain(), check.seconds)


def _from_proof(proof: Proof) -> Check:
    code, _, detail = proof.reason.partition(": ")
    told = (detail,) if detail else ()
    values = {name: value for name, value in proof.values.items() if name != "resolvers"}
    return Check(proof.id, VERDICTS.get(proof.outcome, Verdict.UNKNOWN), code, told, values, proof.duration)


_Step = Callable[[], Iterator[Check | Yield]]


class _Look:
    """One look at the vantage point; each step gives one check and what it had to skip."""

    def __init__(self, options: Options, context: Context) -> None:
        self._options, self._net, self._deadline = options, context.net, context.deadline
        self._servers = parse_addresses(options.resolvers) or resolvers()
        self._names = Names(context.net, self._servers, timeout=options.timeout, port=DNS_PORT)
        self._endpoints = parse_endpoints(options.self_targets)
        self._gate = ""
        self._sites: tuple[path.Site, ...] = ()
        try:
            self._heard: UserOptions | None = UserOptions()
        except OSError:
            self._heard = None

    def close(self) -> None:
        if self._heard is not None:
            self._heard.close()

    def steps(self) -> Iterator[tuple[str, _Step]]:
        """Give the checks in order; those that look out come down to "unknown" without IPv6 of our own."""
        own: dict[str, _Step] = {
            "NET-SELF": self._self,
            "NET-ADDR": lambda: iter((_from_proof(check_addresses()),)),
            "NET-TUNNEL": self._tunnel,
            "NET-ROUTE": self._route,
            "NET-PD": self._delegation,
            "NET-FW6": self._firewall,
        }
        out: dict[str, _Step] = {
            "NET-PERF": self._performance,
            "NET-PMTU": self._path_mtu,
            "NET-ICMP6": self._errors,
            "NET-RES6": self._resolver,
            "NET-EDNS": self._large_answers,
            "NET-NAT64": self._nat64,
            "NET-HE": self._race,
        }
        for name in judge.NET_CHECKS:
            yield name, own[name] if name in own else self._guarded(name, out[name])

    def _guarded(self, name: str, step: _Step) -> _Step:
        def guarded() -> Iterator[Check | Yield]:
            if self._gate:
                yield unknown(name, "no_ipv6", self._gate)
                return
            if time.monotonic() + 4 * self._options.timeout > self._deadline:
                yield unknown(name, "no_time")
                return
            try:
                yield from step()
            except Refused as refusal:
                code = refusal.skipped.reason.partition(": ")[0]
                yield unknown(name, code if code == "quiet_hours" else "out_of_scope", str(refusal))
                yield refusal.skipped

        return guarded

    def _self(self) -> Iterator[Check | Yield]:
        proof = check_self(self._net, self._endpoints, timeout=self._options.timeout)
        check = _from_proof(proof)
        if check.verdict is not Verdict.PASS:
            self._gate = proof.reason
        yield check
        yield from proof.skipped

    def _tunnel(self) -> Iterator[Check]:
        yield judge.tunnel(own_addresses(), links(), default_routes(6))

    def _route(self) -> Iterator[Check]:
        proof = check_route()
        # If the gate has been knocked at, the kernel takes three seconds to give a next hop up (RFC 4861 section 10).
        end = time.monotonic() + GIVE_UP_SECONDS if self._net.sent else 0.0
        while self._gate and proof.reason.startswith("gateway_not_heard") and time.monotonic() < end:
            time.sleep(0.1)
            proof = check_route()
        yield _from_proof(proof)

    def _delegation(self) -> Iterator[Check]:
        uplinks = {route.interface for route in default_routes(6)}
        lan = [
            IPv6Network((int(item.address.ip) >> 64 << 64, 64))
            for item in own_addresses()
            if isinstance(item.address.ip, IPv6Address) and item.address.ip in judge.GLOBAL
            and item.interface not in uplinks and item.address.network.prefixlen <= 64
        ]  # fmt: skip
        given = [*_parse_prefixes(self._options.delegated), *discarded_prefixes()]
        prefixes = [prefix for prefix in given if prefix.prefixlen <= 64 and prefix.subnet_of(judge.GLOBAL)]
        lan = list(dict.fromkeys(lan))
        yield judge.delegation(prefixes, lan, router=_forwards(), wanted=self._options.pd_length)

    def _performance(self) -> Iterator[Check]:
        options = self._options
        if not options.dual_targets:
            yield unknown("NET-PERF", "no_dual_targets")
            return
        self._sites = path.dual(self._names, _parse_urls(options.dual_targets)[:MAX_SITES])
        seen = {
            site.url.host: path.handshakes(self._net, site, options.tries, options.timeout, self._deadline)
            for site in self._sites
        }
        bounds = judge.PerfBounds(
            options.perf_pass, options.perf_warn, options.loss_pass, options.loss_warn, options.perf_floor
        )
        yield judge.performance(seen, bounds)

    def _path_mtu(self) -> Iterator[Check]:
        options = self._options
        if not options.large_targets:
            yield unknown("NET-PMTU", "no_large_targets")
            return
        wish = Wish(options.timeout, options.large, ca_file=options.ca_file)
        pages = [
            path.large_page(self._net, url, address, wish, options.mss)
            for url in _parse_urls(options.large_targets)[: path.MAX_TARGETS]
            for address in self._names.usable(url.host)[:1]
        ]
        yield judge.path_mtu(pages, options.large)

    def _errors(self) -> Iterator[Check]:
        seen = [
            path.come_back(self._net, endpoint, min(1.0, self._options.timeout))
            for endpoint in self._endpoints[: path.MAX_TARGETS]
        ]
        yield judge.errors(seen)

    def _resolver(self) -> Iterator[Check | Yield]:
        options = self._options
        proof = check_resolvers(self._net, self._servers, timeout=options.timeout)
        names = options.aaaa_names or tuple(url.host for url in _parse_urls(options.dual_targets) if not url.address)
        others = parse_addresses(options.independent_resolvers)
        compared: tuple[judge.Compared, ...] = ()
        if others and names and self._servers:
            compared = resolver.compare(Asker(self._net, options.timeout), names, self._servers, others)
        yield judge.resolver(_from_proof(proof), compared, independent=bool(others))
        yield from proof.skipped

    def _large_answers(self) -> Iterator[Check]:
        options = self._options
        servers = sorted(self._servers, key=lambda server: server.version == 4)
        if not servers:
            yield unknown("NET-EDNS", "no_resolver")
            return
        yield judge.large_answers(
            resolver.large_answer(Asker(self._net, options.timeout), servers[0], options.edns_name, options.edns_type)
        )

    def _nat64(self) -> Iterator[Check]:
        prefixes = find_dns64(self._names)
        heard: list[IPv6Network] = []
        if self._heard is not None:
            for raw in self._heard.heard(self._options.ra_seconds):
                heard.extend(resolver.announced(raw))
        yield judge.nat64(prefixes, tuple(dict.fromkeys(heard)), translates=self._translates(prefixes))

    def _translates(self, prefixes: Sequence[IPv6Network]) -> bool | None:
        """Connect to a site's IPv4 address through NAT64; None where nothing is known or may be tried."""
        if not prefixes or not self._sites:
            return None
        site = self._sites[0]
        if not isinstance(site.four, IPv4Address):
            return None
        try:
            attempt = self._net.connect(resolver.embed(prefixes[0], site.four), site.url.port, self._options.timeout)
        except Refused:
            return None
        if attempt.connection is not None:
            attempt.connection.reset()
            return True
        return False

    def _race(self) -> Iterator[Check]:
        options = self._options
        if not options.dual_targets:
            yield unknown("NET-HE", "no_dual_targets")
            return
        races = [
            path.run_race(self._net, self._names, site.url, options.ahead, options.timeout) for site in self._sites
        ]
        yield judge.race(races, options.ahead)

    def _firewall(self) -> Iterator[Check | Yield]:
        options = self._options
        parts = []
        rules = nft.read(Path(options.nft_file))
        if rules is not None:
            outside = frozenset(route.interface for route in (*default_routes(4), *default_routes(6)))
            parts.append(by_rules(rules, router=_forwards(), outside=outside))
        # Without IPv6 of our own, silence over it would pass for a closed port.
        hosts = [] if self._gate else [*parse_pairs(options.firewall_hosts), *twins()]
        end = min(self._deadline, time.monotonic() + SCAN_SECONDS)
        seen, skipped = scan(
            self._net, hosts, expand(parse_ports(options.firewall_ports)), min(2.0, options.timeout), end
        )
        parts.append(by_scan(seen))
        yield judge.firewall(parts)
        yield from skipped


def _forwards() -> bool:
    try:
        return _FORWARDING.read_text(encoding="ascii").strip() not in ("", "0")
    except OSError:
        return False


PROBE = Probe(
    Text("探测点自身的 IPv6：检查目录中的 NET 项", "IPv6 of the vantage point: the NET checks of the catalogue"),
    SectionKind.STATE,
    Options,
    run,
    privileges=frozenset({Privilege.NET_RAW}),
)
