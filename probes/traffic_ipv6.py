"""The TRF-* checks of the IPv6 catalogue: bytes by address family at the uplink, as counters that somebody else keeps.

Only reading: nftables counters that root installed and writes to a file, the kernel's own, or a router's over SNMP.
Counters travel as they are read; what they gained from run to run, and the weekly trend, is for the collector to say.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from probes.kit.contract import CannotRun, Context, Probe, Yield
from probes.kit.errors import Refused
from probes.kit.exchange.dns import DNS_PORT
from probes.kit.exchange.resolve import TELLING
from probes.kit.exchange.web import urls_of
from probes.kit.ipv6.model import OUTCOMES, Check, Verdict, unknown
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.traffic import counters
from probes.kit.ipv6.traffic.counted import SOURCES, Counted, Flows, SiteBytes, judge_share, judge_users
from probes.kit.ipv6.traffic.snmp import from_snmp
from probes.kit.machine import nft
from probes.kit.machine.neighbours import default_routes, neighbours, own_addresses, resolvers
from probes.kit.options import option
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from probes.kit.shared_options import parse_addresses
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Skipped, Target, TargetKind

NAME = "traffic_ipv6"
MAX_SITES = 200
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def _parse_sites(texts: Sequence[str]) -> None:
    for text in texts:
        urls_of(text)


def _parse_host(text: str) -> None:
    if text:
        parse_addresses((text,))


@dataclass(frozen=True, slots=True)
class Options:
    """Where the counters are, and what is expected of them."""

    interface: str = option(
        "", zh="出口接口；默认取默认路由的接口", en="interface of the uplink; that of the default route by default"
    )
    source: str = option(
        "any",
        zh="只用此来源；any 为依次尝试",
        en="use this source only; any tries all in turn",
        choices=("any", *SOURCES),
    )
    nft_file: str = option(
        nft.DEFAULT_FILE,
        zh="root 定期写入的 nft -j list ruleset 输出",
        en="what root writes there regularly: the output of nft -j list ruleset",
        pattern=r"/.*",
    )
    snmp_host: str = option(
        "",
        zh="出口路由器的地址（SNMP）",
        en="address of the router at the uplink (SNMP)",
        check=_parse_host,
    )
    snmp_credentials: str = option(
        "",
        zh="凭据文件（TOML，权限 600，与 snmp_tables 相同）",
        en="file with its credentials (TOML, mode 600, as of snmp_tables)",
    )
    snmp_port: int = option(161, zh="其 UDP 端口", en="its UDP port", minimum=1, maximum=65535)
    snmp_interface: int = option(
        0,
        zh="其出口接口的 ifIndex；没有分接口计数时取全机合计",
        en="ifIndex of its uplink; without counters of that one, those of the whole machine count",
        minimum=0,
        maximum=2**31 - 1,
    )
    target: float = option(0.27, zh="IPv6 流量占比目标", en="share of IPv6 to be reached", minimum=0, maximum=1)
    users_pass: float = option(
        0.9, zh="有 IPv6 流量的设备占比：通过", en="devices with IPv6: passes from", minimum=0, maximum=1
    )
    users_warn: float = option(
        0.5, zh="有 IPv6 流量的设备占比：警告", en="devices with IPv6: warns from", minimum=0, maximum=1
    )
    sites: tuple[str, ...] = option(
        (),
        zh="统计其 IPv4 流量的网站（另加采集端下发的目标）",
        en="sites whose IPv4 bytes are told when they lack IPv6, beside those that the collector hands down",
        check=_parse_sites,
    )
    resolvers: tuple[str, ...] = option(
        (),
        zh="DNS 解析器地址；默认取自系统",
        en="addresses of DNS resolvers; those of the system by default",
        check=parse_addresses,
    )
    timeout: float = option(
        3.0, zh="每一步的等待时间", en="how long to wait at each step", unit="s", minimum=0.1, maximum=60
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Read the counters of the first source that has them, then traffic by device where something counts it."""
    rules = nft.read(Path(options.nft_file))
    table = counters.tracked()
    skipped: list[Skipped] = []
    counted = _counted(options, context.net, rules, table.offload, skipped)
    flows = counters.flows_of_nft(rules) or table.flows
    if flows is not None:
        flows = _outward(flows)
    sites: list[SiteBytes] = []
    if flows is not None and time.monotonic() < context.deadline:
        names = (*options.sites, *context.policy.targets)[:MAX_SITES]
        sites = _v4_only(context, parse_addresses(options.resolvers) or resolvers(), names, flows, options.timeout)
    yield _say(judge_share(counted, options.target, sites))
    yield _say(judge_users(flows, _macs(), options.users_pass, options.users_warn))
    yield _say(unknown("TRF-TREND", "trend_elsewhere"))
    yield from skipped


def _say(check: Check) -> Observation:
    # A reading is new each time, whatever is thought of it; the verdict travels beside it.
    values = {"verdict": check.verdict.value, **check.plain()}
    outcome = OUTCOMES[check.verdict] if check.verdict is Verdict.UNKNOWN else Outcome.MEASURED
    return Observation(NAME, check.id, Target(TargetKind.AGENT, "self"), outcome, time.time(), values)


def _counted(
    options: Options, net: Net, rules: nft.Ruleset | None, offload: str, skipped: list[Skipped]
) -> Counted | None:
    interface = options.interface or next((route.interface for route in (*default_routes(6), *default_routes(4))), "")
    epoch = _epoch()
    for source in SOURCES:
        if options.source not in ("any", source):
            continue
        found: Counted | None = None
        if source == "nft":
            found = counters.from_nft(rules, interface, epoch, offload=offload)
        elif source == "dev_snmp6":
            found = counters.from_kernel(interface, epoch, offload=offload)
        elif options.snmp_host:
            found = _from_router(options, net, skipped)
        if found is not None:
            return found
    return None


def _from_router(options: Options, net: Net, skipped: list[Skipped]) -> Counted | None:
    try:
        return from_snmp(
            net,
            ip_address(options.snmp_host),
            options.snmp_port,
            options.snmp_credentials,
            options.snmp_interface,
            timeout=options.timeout,
        )
    except Refused as refusal:
        skipped.append(refusal.skipped)
    except CannotRun as reason:
        skipped.append(Skipped(options.snmp_host, str(reason)))
    return None


def _epoch() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()[:64]
    except OSError:
        return ""


def _macs() -> dict[Address, str]:
    """Give the hardware address of every neighbour that has one."""
    return {item.address: item.mac for item in neighbours() if item.mac and not item.address.is_link_local}


def _outward(flows: Flows) -> Flows:
    """Leave out what this machine itself sent: it is no device behind the uplink."""
    own = {item.address.ip for item in own_addresses()}
    return Flows(
        flows.method, {address: size for address, size in flows.inside.items() if address not in own}, flows.outside
    )


def _v4_only(
    context: Context, servers: Sequence[Address], targets: Sequence[str], flows: Flows, timeout: float
) -> list[SiteBytes]:
    """Give the sites without AAAA that IPv4 carried bytes for, the largest first."""
    names = Names(context.net, servers, timeout=timeout, port=DNS_PORT)
    found: dict[str, tuple[Address, ...]] = {}
    for target in dict.fromkeys(targets):
        if time.monotonic() + 2 * timeout > context.deadline:
            break
        try:
            host = urls_of(target)[0].host
            four, six = names.ask(host, "A"), names.ask(host, "AAAA")
            if four.addresses and six.status in TELLING and not names.usable(host):
                found[host] = four.addresses
        except (Refused, ValueError):
            continue
    sizes = counters.v4_bytes(flows, found)
    return sorted((SiteBytes(name, size) for name, size in sizes.items() if size), key=lambda site: -site.bytes)


PROBE = Probe(
    Text(
        "出口流量的 IPv6 占比：检查目录中的 TRF 项",
        "share of IPv6 in the uplink's traffic: the TRF checks of the catalogue",
    ),
    SectionKind.MEASUREMENT,
    Options,
    run,
)
