"""What the site checks say, as pure functions of what was seen; no network, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from urllib.parse import urlsplit

from probes.kit.exchange.resolve import TELLING, Answer
from probes.kit.exchange.web import Stage
from probes.kit.ipv6.addresses import fault_of
from probes.kit.ipv6.ladder import Ratio
from probes.kit.ipv6.model import Check, Settings, Verdict, unknown
from probes.kit.ipv6.site.fetch import Page
from probes.kit.ipv6.site.journey import Journey
from probes.kit.ipv6.site.markup import Kind, References, is_literal
from probes.kit.ipv6.site.quic import Handshake
from probes.kit.ipv6.site.single import Rerun
from probes.kit.ipv6.site.text import beyond_itself
from wire.types import Outcome

BLOCKED = frozenset({403, 429})
_REMOTE = frozenset({Outcome.CLOSED, Outcome.FILTERED})
_SHOWN = 10
V6_CHECKS = (
    "WEB-AAAA",
    "WEB-TCP",
    "WEB-PORT",
    "WEB-TLS",
    "WEB-HTTP",
    "WEB-PMTU",
    "WEB-OK",
    "WEB-SAME",
    "WEB-LAT",
    "WEB-H3",
    "WEB-LIT",
    "WEB-EXT",
    "WEB-L2",
    "WEB-L3",
    "WEB-V6ONLY",
)
"""All checks of a site, in the order in which they are shown."""
_SINGLE_STACK = ("WEB-AAAA", "WEB-TCP", "WEB-TLS", "WEB-HTTP", "WEB-PMTU", "WEB-L2", "WEB-L3", "WEB-EXT", "WEB-LIT")


def aaaa(answer: Answer, synthesised: Sequence[IPv6Network]) -> tuple[Check, tuple[IPv6Address, ...]]:
    """WEB-AAAA: at least one usable address, and none that is not; gives the usable ones."""
    if answer.status not in TELLING:
        return unknown("WEB-AAAA", "dns_unclear", f"AAAA: {answer.status}"), ()
    faults = {address: fault_of(address, synthesised) for address in answer.addresses if address.version == 6}
    usable = tuple(address for address, fault in faults.items() if not fault)
    told = tuple(f"AAAA {address}" + (f" ({fault})" if fault else "") for address, fault in faults.items())
    if not faults:
        return Check("WEB-AAAA", Verdict.FAIL, "no_aaaa", (f"AAAA: {answer.status}",)), ()
    if not usable:
        return Check("WEB-AAAA", Verdict.FAIL, "bad_aaaa", told), ()
    verdict, code = (Verdict.WARN, "bad_aaaa") if len(usable) < len(faults) else (Verdict.PASS, "")
    return Check("WEB-AAAA", verdict, code, told), usable


def tcp(seen: Mapping[str, Outcome]) -> Check:
    """WEB-TCP: every, some or no published address takes connections; this machine's own trouble is unknown."""
    told = tuple(f"{address}: {outcome}" for address, outcome in seen.items())
    opened = sum(outcome is Outcome.OPEN for outcome in seen.values())
    silent = sum(outcome in _REMOTE for outcome in seen.values())
    values = {"open": opened, "addresses": len(seen)}
    if opened and silent:
        return Check("WEB-TCP", Verdict.WARN, "tcp_some", told, values)
    if opened + silent < len(seen) or not seen:
        return Check("WEB-TCP", Verdict.UNKNOWN, "out_of_scope", told, values)
    if not opened:
        return Check("WEB-TCP", Verdict.FAIL, "tcp_none", told, values)
    return Check("WEB-TCP", Verdict.PASS, "", told, values)


def ports(four: Mapping[int, Outcome], six: Mapping[int, Outcome], *, has_ipv4: bool) -> Check:
    """WEB-PORT: what IPv4 opens, IPv6 opens too."""
    if not has_ipv4:
        return Check("WEB-PORT", Verdict.INFO, "no_ipv4")
    opened = [port for port, outcome in four.items() if outcome is Outcome.OPEN]
    told = tuple(f"{port}: IPv4 {four[port]}, IPv6 {six.get(port, Outcome.UNKNOWN)}" for port in four)
    missing = [port for port in opened if six.get(port) in _REMOTE]
    if missing:
        return Check("WEB-PORT", Verdict.FAIL, "port_missing", told, {"missing": tuple(map(str, missing))})
    if not opened:
        return Check("WEB-PORT", Verdict.UNKNOWN, "ipv4_down", told)
    if any(six.get(port) is not Outcome.OPEN for port in opened):
        return Check("WEB-PORT", Verdict.UNKNOWN, "out_of_scope", told)
    return Check("WEB-PORT", Verdict.PASS, "", told)


def tls(four: Page | None, six: Page | None) -> Check:
    """WEB-TLS: the certificate on IPv6 is valid for the name if the one on IPv4 is."""
    if six is None or six.stage is Stage.TCP:
        if four is not None and four.stage is not Stage.TCP and six is None:
            return unknown("WEB-TLS", "depends", "no connection over IPv6 to port 443")
        return Check("WEB-TLS", Verdict.INFO, "no_https")
    told = tuple(f"{page.address}: {_certificate(page)}" for page in (six, four) if page is not None)
    good = six.stage is not Stage.TLS and not six.certificate
    if good:
        return Check("WEB-TLS", Verdict.PASS, "", told)
    if six.stage is Stage.TLS and six.problem == "timeout":
        return Check("WEB-TLS", Verdict.UNKNOWN, "depends", told)
    as_bad = four is not None and (four.stage is Stage.TLS or bool(four.certificate))
    if as_bad:
        return Check("WEB-TLS", Verdict.WARN, "tls_both", told)
    return Check("WEB-TLS", Verdict.FAIL, "tls_failed" if six.stage is Stage.TLS else "tls_invalid", told)


def loads(journey: Journey) -> Verdict:
    """Say whether a journey ended at a page: PASS, FAIL, BLOCKED, or UNKNOWN where nothing was learned of the site."""
    page = journey.last
    if journey.end:
        return Verdict.FAIL if journey.end in ("redirect_v4_only", "redirect_loop", "redirect_bad") else Verdict.UNKNOWN
    if page is None or (page.stage is Stage.TCP and page.outcome not in _REMOTE):
        return Verdict.UNKNOWN
    if page.status in BLOCKED:
        return Verdict.BLOCKED
    good = page.status is not None and (200 <= page.status < 400 or page.status == 401)
    return Verdict.PASS if good and page.stage is Stage.DONE else Verdict.FAIL


def http(six: Journey, four: Journey | None) -> Check:
    """WEB-HTTP: the home page and all its redirects over IPv6 alone."""
    verdict = loads(six)
    told = six.told
    if verdict is Verdict.BLOCKED:
        return Check("WEB-HTTP", verdict, "http_blocked", told)
    if verdict is Verdict.UNKNOWN:
        return Check("WEB-HTTP", verdict, six.end or "out_of_scope", told)
    page = six.last
    if verdict is Verdict.PASS and page is not None:
        values = {"status": page.status}
        if not page.complete and four is not None and four.last is not None and four.last.complete:
            return Check("WEB-HTTP", Verdict.FAIL, "http_failed", (*told, "shorter than announced"), values)
        return Check("WEB-HTTP", Verdict.PASS, "", told, values)
    if six.end:
        return Check("WEB-HTTP", Verdict.FAIL, six.end, told)
    if page is not None and page.status is not None and page.status >= 500:
        return Check("WEB-HTTP", Verdict.FAIL, "http_5xx", told, {"status": page.status})
    if four is not None and loads(four) is not Verdict.PASS:
        return Check("WEB-HTTP", Verdict.FAIL, "http_both", (*told, *four.told))
    return Check("WEB-HTTP", Verdict.FAIL, "http_failed", told)


def success(tries: Sequence[Verdict], settings: Settings, *evidence: str) -> Check:
    """WEB-OK: the share of fetches that worked; where the server refuses us, nothing is learned."""
    passed = sum(verdict is Verdict.PASS for verdict in tries)
    open_ = sum(verdict in (Verdict.UNKNOWN, Verdict.BLOCKED) for verdict in tries)
    ratio = Ratio(passed, len(tries), open_)
    verdict = ratio.judge(settings.ok_pass, settings.ok_warn)
    told = (f"{ratio.text.en}: {ratio.range}", *evidence)
    code = {Verdict.PASS: "", Verdict.UNKNOWN: "no_time"}.get(verdict, "ok_low")
    if verdict is Verdict.UNKNOWN and Verdict.BLOCKED in tries:
        verdict, code = Verdict.BLOCKED, "http_blocked"
    return Check("WEB-OK", verdict, code, told, {"passed": passed, "tries": len(tries), "unknown": open_})


@dataclass(frozen=True, slots=True)
class Seen:
    """A home page as it is compared: status, title, normalised text."""

    status: int | None
    title: str
    text: str


def same(first: Seen | None, second: Seen | None, six: Seen | None, settings: Settings, *, has_ipv4: bool) -> Check:
    """WEB-SAME: status, title and text; what IPv4 changes by itself from fetch to fetch does not count."""
    if not has_ipv4:
        return Check("WEB-SAME", Verdict.INFO, "no_ipv4")
    if first is None or second is None:
        return unknown("WEB-SAME", "ipv4_down")
    if six is None:
        return unknown("WEB-SAME", "depends", "WEB-HTTP")
    if six.status not in (first.status, second.status):
        codes = f"status: IPv4 {first.status}, IPv6 {six.status}"
        return Check("WEB-SAME", Verdict.FAIL, "same_status", (codes,))
    apart = round(beyond_itself(first.text, second.text, six.text))
    told = (f"distance {apart}%", f"IPv4 title: {first.title[:80]}", f"IPv6 title: {six.title[:80]}")
    values = {"distance": apart}
    if apart > settings.same_warn:
        return Check("WEB-SAME", Verdict.FAIL, "same_text", told, values)
    if apart > settings.same_pass:
        return Check("WEB-SAME", Verdict.WARN, "same_text", told, values)
    if first.title == second.title != six.title:
        return Check("WEB-SAME", Verdict.WARN, "same_title", told, values)
    return Check("WEB-SAME", Verdict.PASS, "", told[:1], values)


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """One inner link: what came over IPv6, and whether it works over IPv4 (None: not tried)."""

    url: str
    verdict: Verdict
    told: str
    works_on_ipv4: bool | None = None


def links(name: str, seen: Sequence[LinkSeen], found: int, settings: Settings, *, complete: bool = True) -> Check:
    """WEB-L2 and WEB-L3: the inner links that load over IPv6 of all that load at all.

    A link that is dead on both families is no link. `found` counts those on the pages, of which a sample may be tried.
    """
    alive = [link for link in seen if not (link.verdict is Verdict.FAIL and link.works_on_ipv4 is False)]
    if not alive:
        if found and not complete:
            return unknown(name, "no_time", f"none of {found} links was tried")
        return Check(name, Verdict.INFO, "no_links", (f"{found} found, all dead on both families",) if found else ())
    passed = sum(link.verdict is Verdict.PASS for link in alive)
    failed = [link for link in alive if link.verdict is Verdict.FAIL]
    ratio = Ratio(passed, len(alive), len(alive) - passed - len(failed))
    verdict = ratio.judge(settings.links_pass, settings.links_warn)
    hosts = len({urlsplit(link.url).hostname for link in alive})
    told = (
        f"{ratio.text.en}: {ratio.range}; {hosts} hosts; {found} found, {len(seen)} tried",
        *(link.told for link in failed[:_SHOWN]),
    )
    values = {"passed": passed, "total": len(alive), "unknown": ratio.unknown, "hosts": hosts, "found": found}
    if verdict is Verdict.UNKNOWN:
        blocked = any(link.verdict is Verdict.BLOCKED for link in alive)
        return Check(name, verdict, "http_blocked" if blocked else "out_of_scope", told, values)
    return Check(name, verdict, "" if verdict is Verdict.PASS else "links_low", told, values)


@dataclass(frozen=True, slots=True)
class HostUse:
    """A host that the page needs, and whether it can be used over IPv6: PASS, FAIL (IPv4 only) or UNKNOWN."""

    host: str
    kind: Kind
    verdict: Verdict
    told: str


def outside(uses: Sequence[HostUse]) -> Check:
    """WEB-EXT: hosts of styles and scripts decide; images and outlinks only warn."""
    values = {"hosts": len({use.host for use in uses})}
    bad = [use for use in uses if use.verdict is Verdict.FAIL]
    active = [use for use in bad if use.kind is Kind.ACTIVE]
    told = tuple(f"{use.kind}: {use.host}: {use.told}" for use in (*active, *(use for use in bad if use not in active)))
    if active:
        return Check("WEB-EXT", Verdict.FAIL, "ext_active", told, values)
    open_ = [use for use in uses if use.verdict is Verdict.UNKNOWN and use.kind is Kind.ACTIVE]
    if open_:
        more = tuple(f"{use.kind}: {use.host}: {use.told}" for use in open_)
        return Check("WEB-EXT", Verdict.UNKNOWN, "out_of_scope", (*more, *told), values)
    if bad:
        return Check("WEB-EXT", Verdict.WARN, "ext_passive", told, values)
    return Check("WEB-EXT", Verdict.PASS, "", (), values)


def literals(six: Journey, page: References | None) -> Check:
    """WEB-LIT: no URL with an IPv4 address in redirects or in the page."""
    hops = [hop.fields["location"] for hop in six.pages if "location" in hop.fields]
    found = tuple(f"redirect to {place[:200]}" for place in hops if is_literal(place))
    found += tuple(f"in the page: {url[:200]}" for url in (page.literals if page else ()))
    if found:
        return Check("WEB-LIT", Verdict.FAIL, "literal", found)
    return unknown("WEB-LIT", "no_page") if page is None else Check("WEB-LIT", Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of the four steps of a visit, the best of the fetches made."""

    dns: float
    tcp: float
    first_byte: float
    page: float


def latency(four: Times | None, six: Times | None, settings: Settings, *, has_ipv4: bool) -> Check:
    """WEB-LAT: IPv6 next to IPv4, step by step; differences below the floor are noise."""
    if not has_ipv4:
        return Check("WEB-LAT", Verdict.INFO, "no_ipv4")
    if four is None or six is None:
        return unknown("WEB-LAT", "ipv4_down" if four is None else "depends")
    verdict, slow = Verdict.PASS, []
    for name in ("dns", "tcp", "first_byte", "page"):
        old, new = getattr(four, name), getattr(six, name)
        ratio = new / old if old > 0 else 1.0
        if new - old < settings.lat_floor or ratio <= settings.lat_pass:
            continue
        slow.append(f"{name}: IPv4 {old:.2f} s, IPv6 {new:.2f} s")
        if ratio > settings.lat_warn:
            verdict = Verdict.FAIL
        elif verdict is Verdict.PASS:
            verdict = Verdict.WARN
    return Check("WEB-LAT", verdict, "slow" if slow else "", tuple(slow), seconds=six.page)


def pmtu(proof: Page | None, largest: int, settings: Settings) -> Check:
    """WEB-PMTU: `proof` is a page that stalled and came once the segments were smaller; `largest` answer otherwise."""
    if proof is not None:
        told = (f"stalled, then {proof.told}: {proof.received} bytes",)
        return Check("WEB-PMTU", Verdict.FAIL, "pmtu", told)
    if largest >= settings.large:
        return Check("WEB-PMTU", Verdict.PASS)
    return Check("WEB-PMTU", Verdict.INFO, "nothing_large")


def http3(four: Page | None, six: Page | None, hands: Sequence[Handshake] = ()) -> Check:
    """WEB-H3: what Alt-Svc (RFC 7838) offers on IPv4, it offers on IPv6, and a QUIC handshake proves it.

    `hands`: over IPv6, and over IPv4 if that one failed. What neither family keeps of its promise is no fault of IPv6.
    """
    if four is None or not offers_h3(four):
        return Check("WEB-H3", Verdict.INFO, "no_h3")
    if six is None:
        return unknown("WEB-H3", "depends", "WEB-HTTP")
    if not offers_h3(six):
        return Check("WEB-H3", Verdict.WARN, "h3_missing", (f"IPv4 alt-svc: {four.fields['alt-svc'][:200]}",))
    told = tuple(hand.told for hand in hands)
    if not hands or not hands[0].tried:
        return Check("WEB-H3", Verdict.UNKNOWN, "h3_unproven", (f"alt-svc: {six.fields['alt-svc'][:200]}", *told))
    if hands[0].done:
        return Check("WEB-H3", Verdict.PASS, "", told)
    if any(hand.done for hand in hands[1:]):
        return Check("WEB-H3", Verdict.FAIL, "h3_broken", told)
    return Check("WEB-H3", Verdict.WARN, "h3_dead", told)


def single_stack(checks: Mapping[str, Check], rerun: Rerun | None = None) -> Check:
    """WEB-V6ONLY: what a visitor without IPv4 meets, by a run of its own (`rerun`) and the checks made over IPv6 alone.

    An earlier failure decides and is named, so that it is mended first; what is open there keeps a pass from being one.
    """
    found = {name: checks[name].verdict if name in checks else Verdict.UNKNOWN for name in _SINGLE_STACK}
    failed = tuple(name for name, verdict in found.items() if verdict is Verdict.FAIL)
    told: tuple[str, ...] = ()
    if rerun is not None and rerun.journey is not None:
        arrived = loads(rerun.journey)
        told = (*(rerun.journey.told if arrived is not Verdict.PASS else ()), *rerun.missing)
        if arrived is Verdict.FAIL or rerun.missing:
            return Check("WEB-V6ONLY", Verdict.FAIL, "v6only", (*failed, *told))
    if failed:
        return Check("WEB-V6ONLY", Verdict.FAIL, "v6only", (*failed, *told))
    open_ = tuple(name for name, verdict in found.items() if verdict in (Verdict.UNKNOWN, Verdict.BLOCKED))
    if open_:
        return unknown("WEB-V6ONLY", "depends", *open_, *told)
    if rerun is None:
        return unknown("WEB-V6ONLY", "no_time")
    if not rerun.resolver:
        return unknown("WEB-V6ONLY", "v6only_resolver")
    if rerun.untried:
        return unknown("WEB-V6ONLY", "dns_unclear", *rerun.untried)
    if rerun.journey is None or loads(rerun.journey) is not Verdict.PASS:
        return unknown("WEB-V6ONLY", "depends", *told)
    if rerun.blemishes:
        return Check("WEB-V6ONLY", Verdict.WARN, "v6only_partly", rerun.blemishes)
    return Check("WEB-V6ONLY", Verdict.PASS)


def _certificate(page: Page) -> str:
    if page.stage is Stage.TCP:
        return f"tcp {page.outcome}"
    return page.certificate or (page.problem if page.stage is Stage.TLS else "valid")


def offers_h3(page: Page) -> bool:
    """Tell whether a page announces HTTP/3."""
    return "h3" in page.fields.get("alt-svc", "")
