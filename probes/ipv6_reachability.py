"""IPv6 of the vantage point itself, and of listed sites next to their IPv4, each family on its own connection.

A vantage point without working IPv6 says nothing about others: every IPv6 result is unknown then, never "fail".
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network

from probes.kit.contract import Context, Probe, Progress, Yield
from probes.kit.errors import OutOfScope, Refused
from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import TELLING, Answer, Kind, lookup
from probes.kit.exchange.web import Fetch, Stage, Url, get, urls_of
from probes.kit.ipv6.options import proof_option, sites_option
from probes.kit.ipv6.vantage.gate import (
    check_addresses,
    check_resolvers,
    check_route,
    check_self,
    judge,
    parse_endpoints,
    told,
)
from probes.kit.machine.neighbours import resolvers
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from probes.kit.shared_options import parse_addresses, patience_option, resolvers_option
from wire.text import Text
from wire.types import Observation, Outcome, SectionKind, Skipped, Target, TargetKind, Value

MAX_TARGETS = 1000
MAX_DETAIL = 512
MAX_TRIED = 3
"""Addresses tried of each family of a site."""
BLOCKED = frozenset({403, 429})
"""The server is there and does not want us: says nothing about its IPv6."""
_NAME = "ipv6_reachability"
_SELF = Target(TargetKind.AGENT, "self")
_WORDS = {Outcome.PASS: "pass", Outcome.WARN: "pass", Outcome.FAIL: "fail"}
# Answers that no stranger can reach, or that are not the site's own (RFC 4291, 4193, 3849, 3056, 4380, 6052).
_NOT_PUBLISHED = tuple(
    IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "fe80::/10", "fc00::/7", "2002::/16", "2001::/32", "64:ff9b::/96")
)


@dataclass(frozen=True, slots=True)
class Options:
    """Which sites to look at, and from where to take the proof that this machine has IPv6."""

    targets: tuple[str, ...] = sites_option()
    self_targets: tuple[str, ...] = proof_option()
    resolvers: tuple[str, ...] = resolvers_option()
    timeout: float = patience_option()


def run(options: Options, context: Context) -> Iterator[Yield]:
    """Judge this machine, then each site; sites for which no time is left are skipped."""
    net = context.net
    servers = parse_addresses(options.resolvers) or resolvers()
    targets = tuple(dict.fromkeys((*options.targets, *context.policy.targets)))[:MAX_TARGETS]
    total = 1 + len(targets)
    addresses, route = check_addresses(), check_route()
    gate = check_self(net, parse_endpoints(options.self_targets), timeout=options.timeout)
    for check in (addresses, route, check_resolvers(net, servers, timeout=options.timeout), gate):
        yield from told(_NAME, check)
    verdict, reason = judge(addresses, route, gate)
    values: dict[str, Value] = {"ipv6": _WORDS.get(verdict, "unknown"), "reason": reason}
    yield Observation(_NAME, "ipv6", _SELF, verdict, time.time(), values)
    yield Progress(1, total)
    site = _Sites(net, servers, options.timeout, has_ipv6=verdict is Outcome.PASS, why=reason)
    for number, target in enumerate(targets, start=2):
        # One site takes at most two look-ups and a few fetches for each family; none is begun that cannot be ended.
        if time.monotonic() + 4 * options.timeout > context.deadline:
            yield from (Skipped(left, because("deadline")) for left in targets[number - 2 :])
            return
        yield from site.look(target)
        yield Progress(number, total)


@dataclass(frozen=True, slots=True)
class _Family:
    """What was found for one family: the verdict, a line of evidence, the best round trip, and what was refused."""

    verdict: Outcome
    detail: str
    seconds: float = 0.0
    refused: Skipped | None = None
    tried: int = 0


class _Sites:
    """Looks at sites with one Net and one set of resolvers."""

    def __init__(self, net: Net, servers: Sequence[Address], timeout: float, *, has_ipv6: bool, why: str) -> None:
        self._net, self._servers, self._timeout = net, servers, timeout
        self._has_ipv6, self._why = has_ipv6, why

    def look(self, target: str) -> Iterator[Yield]:
        """Judge one site; a target that is refused whole or cannot be read is skipped."""
        try:
            urls = urls_of(target)
        except ValueError as error:
            yield Skipped(target, because("not_http", str(error)))
            return
        started = time.monotonic()
        try:
            four, six = self._resolve(urls[0], "A"), self._resolve(urls[0], "AAAA")
        except Refused as refusal:
            # It was no address of the site that was refused, but the resolver's.
            yield Skipped(f"{target} (DNS {refusal.skipped.what})", refusal.skipped.reason)
            return
        published = tuple(address for address in six.addresses if not any(address in net for net in _NOT_PUBLISHED))
        aaaa = bool(published) if six.status in TELLING else None
        ipv4 = self._family(urls, four.addresses, four.status)
        if self._has_ipv6:
            ipv6 = self._family(urls, published, six.status)
        else:
            ipv6 = _Family(Outcome.UNKNOWN, because("no_ipv6", self._why))
        refused = dict.fromkeys(family.refused for family in (ipv4, ipv6) if family.refused is not None)
        yield from refused
        if refused and not ipv4.tried + ipv6.tried:
            return
        literal = urls[0].address is not None
        values: dict[str, Value] = {
            "aaaa": None if literal else aaaa,
            "ipv4": _WORDS.get(ipv4.verdict, "unknown"),
            "ipv6": _WORDS.get(ipv6.verdict, "unknown"),
            "ipv4_detail": ipv4.detail,
            "ipv6_detail": ipv6.detail,
            "addresses": tuple(str(address) for address in (*four.addresses, *six.addresses)),
        }
        if not literal:
            values["WEB-AAAA"] = "unknown" if aaaa is None else "pass" if aaaa else "fail"
            values["DNS-BROKEN"] = _dns_broken(four.status, six.status)
        outcome = _outcome(ipv4.verdict, ipv6.verdict)
        duration = ipv6.seconds or ipv4.seconds or time.monotonic() - started
        yield Observation(_NAME, "WEB-HTTP", Target(TargetKind.SITE, target), outcome, time.time(), values, duration)

    def _resolve(self, url: Url, kind: Kind) -> Answer:
        literal = url.address
        if literal is not None:
            fits = literal.version == (4 if kind == "A" else 6)
            return Answer(Status.OK, (literal,)) if fits else Answer(Status.NODATA)
        return lookup(self._net, url.host, kind, self._servers, timeout=self._timeout)

    def _family(self, urls: Sequence[Url], addresses: Sequence[Address], status: Status) -> _Family:
        """Fetch from each address until one of the URLs works; some that work and some that do not is a warning."""
        if not addresses:
            verdict = Outcome.FAIL if status in TELLING else Outcome.UNKNOWN
            return _Family(verdict, f"dns: {status.value}")
        found: list[tuple[Outcome, str]] = []
        seconds, refused = 0.0, None
        for address in addresses[:MAX_TRIED]:
            try:
                verdict, detail, taken = self._fetch(urls, address)
            except Refused as refusal:
                refused = self._explain(refusal, urls[0])
                continue
            found.append((verdict, detail))
            seconds = min(seconds or taken, taken)
        verdicts = [verdict for verdict, _ in found]
        if Outcome.PASS in verdicts:
            verdict = Outcome.WARN if Outcome.FAIL in verdicts else Outcome.PASS
        else:
            verdict = Outcome.FAIL if Outcome.FAIL in verdicts else Outcome.UNKNOWN
        detail = "; ".join(dict.fromkeys(text for _, text in found)) or "not sent"
        return _Family(verdict, detail[:MAX_DETAIL], seconds, refused, len(found))

    def _fetch(self, urls: Sequence[Url], address: Address) -> tuple[Outcome, str, float]:
        told = []
        verdict = Outcome.FAIL
        for url in urls:
            fetch = get(self._net, url, address, timeout=self._timeout)
            verdict = _verdict(fetch)
            told.append(f"{url.scheme} {_evidence_of(fetch)}")
            if verdict is not Outcome.FAIL:
                break
        return verdict, told[-1] if verdict is Outcome.PASS else f"{address}: {', '.join(told)}", fetch.seconds

    def _explain(self, refusal: Refused, url: Url) -> Skipped:
        if isinstance(refusal, OutOfScope) and not self._net.scope.domain_ports(url.host, self._net.today()):
            return self._net.scope.refusal(url.text, url.host).skipped
        return Skipped(url.text, refusal.skipped.reason)


def _verdict(fetch: Fetch) -> Outcome:
    if fetch.stage is Stage.TCP and fetch.outcome not in (Outcome.CLOSED, Outcome.FILTERED):
        return Outcome.UNKNOWN  # this machine's own trouble
    if fetch.status in BLOCKED:
        return Outcome.UNKNOWN
    good = fetch.status is not None and (200 <= fetch.status < 400 or fetch.status == 401)
    return Outcome.PASS if good and fetch.stage is Stage.DONE else Outcome.FAIL


def _evidence_of(fetch: Fetch) -> str:
    status = "" if fetch.status is None else str(fetch.status)
    return " ".join(
        part for part in (status, "" if fetch.stage is Stage.DONE else f"{fetch.stage}: {fetch.problem}") if part
    )


def _outcome(ipv4: Outcome, ipv6: Outcome) -> Outcome:
    if ipv6 is Outcome.PASS and ipv4 is Outcome.FAIL:
        return Outcome.WARN
    return ipv6


def _dns_broken(a: Status, aaaa: Status) -> str:
    """DNS-BROKEN: asking for AAAA must not fail where asking for A works (RFC 4074)."""
    if a is not Status.OK:
        return "unknown"
    return "pass" if aaaa in (Status.OK, Status.NODATA) else "fail"


PROBE = Probe(
    Text("本机与所列网站的 IPv6 可达性", "IPv6 of this machine and of listed sites"),
    SectionKind.STATE,
    Options,
    run,
)
