"""The site checks of the IPv6 catalogue: each site over each family apart, and only from a vantage point with IPv6."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from probes.kit.contract import Context, Probe, Progress, Yield
from probes.kit.errors import CannotRun, Refused
from probes.kit.exchange.dns import DNS_PORT
from probes.kit.ipv6.ladder import climb, together
from probes.kit.ipv6.model import OUTCOMES, Check, Settings, Verdict, unknown
from probes.kit.ipv6.names import Names, find_dns64
from probes.kit.ipv6.options import proof_option, sites_option
from probes.kit.ipv6.site.fetch import Wish, warm_up
from probes.kit.ipv6.site.judge import V6_CHECKS
from probes.kit.ipv6.site.look import SiteLook
from probes.kit.ipv6.site.visit import Visitor
from probes.kit.ipv6.vantage.gate import check_self, parse_endpoints, told
from probes.kit.machine.neighbours import resolvers
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.sending.crew import work
from probes.kit.sending.net import Net
from probes.kit.shared_options import parse_addresses, patience_option, resolvers_option
from wire.ports import expand, parse_ports
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Skipped, Target, TargetKind, Value

NAME = "site_ipv6"
MAX_TARGETS = 2000


@dataclass(frozen=True, slots=True)
class Options(Settings):
    """Which sites, from where the proof of this machine's own IPv6 comes, and every threshold."""

    targets: tuple[str, ...] = sites_option()
    self_targets: tuple[str, ...] = proof_option()
    resolvers: tuple[str, ...] = resolvers_option()
    ports: str = option("80,443", zh="两族对照的端口", en="ports compared between the families", check=parse_ports)
    ca_file: str = option(
        "", zh="额外信任的 CA 证书（PEM 文件）", en="a PEM file of certificate authorities to trust as well"
    )
    workers: int = option(16, zh="同时检查的网站数", en="sites looked at at a time", minimum=1, maximum=32)
    timeout: float = patience_option()
    site_seconds: float = option(
        300.0, zh="单个网站的最长时间", en="longest time for one site", unit="s", minimum=1, maximum=3600
    )


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Prove this machine's IPv6, then look at each site; without that proof every verdict is unknown."""
    try:
        warm_up(options.ca_file)
    except ValueError as error:
        raise CannotRun(because("bad_options", f"{NAME}: ca_file: {error}")) from None
    servers = parse_addresses(options.resolvers) or resolvers()
    targets = tuple(dict.fromkeys((*options.targets, *context.policy.targets)))[:MAX_TARGETS]
    gate = check_self(context.net, parse_endpoints(options.self_targets), timeout=options.timeout)
    yield from told(NAME, gate)
    if gate.outcome is not Outcome.PASS:
        for target in targets:
            yield from observations(target, without_ipv6(gate.reason))
        return
    ports = expand(parse_ports(options.ports))
    yield Progress(0, len(targets))
    found = work(
        context.net, targets, options.workers, lambda net: _looker(net, servers, options, ports, context.deadline)
    )
    for number, (target, result, ipv4) in enumerate(found, start=1):
        yield from (result,) if isinstance(result, Skipped) else observations(target, result, ipv4)
        yield Progress(number, len(targets), target)


def without_ipv6(reason: str) -> tuple[Check, ...]:
    """Give every check of a site from a vantage point whose own IPv6 is not proven."""
    return tuple(unknown(name, "no_ipv6", reason) for name in V6_CHECKS)


_Result = tuple[str, tuple[Check, ...] | Skipped, str]


def _looker(
    net: Net, servers: Sequence[Address], options: Options, ports: Sequence[int], deadline: float
) -> Callable[[str], _Result]:
    names = Names(net, servers, timeout=options.timeout, port=DNS_PORT)
    names.synthesised = find_dns64(names)
    by_six = [server for server in servers if server.version == 6]
    single = None
    if by_six:
        single = Names(net, by_six, timeout=options.timeout, port=DNS_PORT, synthesised=names.synthesised)
    wish = Wish(options.timeout, options.body, ca_file=options.ca_file)

    def look(target: str) -> _Result:
        if time.monotonic() + 4 * options.timeout > deadline:
            return target, Skipped(target, because("deadline")), ""
        end = min(deadline, time.monotonic() + options.site_seconds)
        visitor = Visitor(net, names, options, wish, end, single)
        try:
            site = SiteLook(visitor, options, ports)
            return target, site.look(target), site.ipv4
        except Refused as refusal:
            return target, Skipped(target, refusal.skipped.reason), ""
        except ValueError as error:
            return target, Skipped(target, because("not_http", str(error))), ""

    return look


def observations(target: str, checks: Sequence[Check], ipv4: str = "unknown") -> Iterator[Observation]:
    """Turn verdicts into observations, and the level that they make together."""
    site = Target(TargetKind.SITE, target)
    now = time.time()
    for check in checks:
        yield Observation(NAME, check.id, site, OUTCOMES[check.verdict], now, check.plain(), check.seconds)
    verdicts = {check.id: check.verdict for check in checks}
    level = climb(verdicts)
    published = _answers(verdicts, "WEB-AAAA")
    ipv6 = _answers(verdicts, "WEB-AAAA", "WEB-TCP", "WEB-HTTP")
    values: dict[str, Value] = {
        "confirmed": level.confirmed.value,
        "possible": level.possible.value,
        "aaaa": {"pass": True, "fail": False}.get(published),
        "ipv4": ipv4,
        "ipv6": ipv6,
        "pmtu": _answers(verdicts, "WEB-PMTU"),
    }
    yield Observation(NAME, "LEVEL", site, Outcome(ipv6), now, values)


def _answers(verdicts: Mapping[str, Verdict], *needed: str) -> str:
    """Say pass, fail or unknown of several checks that must all hold, in the words of the inventory."""
    found = together(verdicts.get(name, Verdict.UNKNOWN) for name in needed)
    return {Verdict.PASS: "pass", Verdict.WARN: "pass", Verdict.FAIL: "fail"}.get(found, "unknown")


PROBE = Probe(
    Text("网站的 IPv6 就绪度：检查目录中的网站项", "IPv6 readiness of sites: the site checks of the catalogue"),
    SectionKind.STATE,
    Options,
    run,
    memory=512 << 20,
)
