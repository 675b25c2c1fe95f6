"""The zone checks of the IPv6 catalogue: the name servers of each site's zone, over each family apart."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from probes.kit.contract import Context, Probe, Progress, Yield
from probes.kit.errors import Refused
from probes.kit.exchange.dns import DNS_PORT
from probes.kit.exchange.web import urls_of
from probes.kit.ipv6.model import OUTCOMES, Check, unknown
from probes.kit.ipv6.names import Names, find_dns64
from probes.kit.ipv6.options import proof_option, sites_option
from probes.kit.ipv6.vantage.gate import check_self, parse_endpoints, told
from probes.kit.ipv6.zone.ask import Asker
from probes.kit.ipv6.zone.chain import ROOTS
from probes.kit.ipv6.zone.judge import ZONE_CHECKS
from probes.kit.ipv6.zone.look import ZoneLook
from probes.kit.machine.neighbours import resolvers
from probes.kit.options import option
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.sending.crew import work
from probes.kit.sending.net import Net
from probes.kit.shared_options import parse_addresses, parse_six, patience_option, resolvers_option
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Skipped, Target, TargetKind

NAME = "zone_ipv6"
MAX_TARGETS = 2000


@dataclass(frozen=True, slots=True)
class Options:
    """Whose zones, from where the proof of this machine's own IPv6 comes, and where the root is."""

    targets: tuple[str, ...] = sites_option()
    self_targets: tuple[str, ...] = proof_option()
    resolvers: tuple[str, ...] = resolvers_option()
    root_hints: tuple[str, ...] = option(
        ROOTS, zh="根服务器的 IPv6 地址", en="IPv6 addresses of root servers", check=parse_six
    )
    workers: int = option(8, zh="同时检查的区数", en="zones looked at at a time", minimum=1, maximum=64)
    timeout: float = patience_option()


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Prove this machine's IPv6, then look at each zone; without that proof every verdict is unknown."""
    servers = parse_addresses(options.resolvers) or resolvers()
    targets = tuple(dict.fromkeys((*options.targets, *context.policy.targets)))[:MAX_TARGETS]
    gate = check_self(context.net, parse_endpoints(options.self_targets), timeout=options.timeout)
    yield from told(NAME, gate)
    if gate.outcome is not Outcome.PASS:
        blind = tuple(unknown(name, "no_ipv6", gate.reason) for name in ZONE_CHECKS)
        for target in targets:
            yield from _say(target, "", blind)
        return
    yield Progress(0, len(targets))
    found = work(context.net, targets, options.workers, lambda net: _looker(net, servers, options, context.deadline))
    for number, (target, zone, result) in enumerate(found, start=1):
        yield from (result,) if isinstance(result, Skipped) else _say(target, zone, result)
        yield Progress(number, len(targets), target)


_Result = tuple[str, str, tuple[Check, ...] | Skipped]


def _looker(net: Net, servers: Sequence[Address], options: Options, deadline: float) -> Callable[[str], _Result]:
    names = Names(net, servers, timeout=options.timeout, port=DNS_PORT)
    names.synthesised = find_dns64(names)
    zones = ZoneLook(Asker(net, options.timeout), names, servers, parse_six(options.root_hints))

    def look(target: str) -> _Result:
        if time.monotonic() + 4 * options.timeout > deadline:
            return target, "", Skipped(target, because("deadline"))
        try:
            url = urls_of(target)[0]
            if url.address is not None:
                return target, "", Skipped(target, because("not_http", "an address has no zone"))
            return target, *zones.look(url.host)
        except Refused as refusal:
            return target, "", Skipped(target, refusal.skipped.reason)
        except ValueError as error:
            return target, "", Skipped(target, because("not_http", str(error)))

    return look


def _say(target: str, zone: str, checks: Sequence[Check]) -> Iterator[Observation]:
    site = Target(TargetKind.SITE, target)
    now = time.time()
    for check in checks:
        values = {**check.plain(), "zone": zone}
        yield Observation(NAME, check.id, site, OUTCOMES[check.verdict], now, values, check.seconds)


PROBE = Probe(
    Text("域名区的 IPv6 就绪度：检查目录中的 DNS 项", "IPv6 readiness of zones: the DNS checks of the catalogue"),
    SectionKind.STATE,
    Options,
    run,
)
