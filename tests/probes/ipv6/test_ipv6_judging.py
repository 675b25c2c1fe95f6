"""Every judgement of a site, from what was seen alone: addresses, the web checks, and words for each verdict."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import Answer
from probes.kit.exchange.web import Stage, parse_url
from probes.kit.ipv6.addresses import dns64_prefixes, fault_of
from probes.kit.ipv6.catalogue.checks import CATALOGUE, WHY
from probes.kit.ipv6.ladder import REQUIRED, Rung, climb
from probes.kit.ipv6.model import VERDICTS, Check, Settings, Verdict
from probes.kit.ipv6.site import judge
from probes.kit.ipv6.site.fetch import Page
from probes.kit.ipv6.site.journey import Journey
from probes.kit.ipv6.site.judge import HostUse, LinkSeen, Seen, Times
from probes.kit.ipv6.site.markup import Kind, references
from probes.kit.ipv6.site.quic import Handshake
from probes.kit.ipv6.site.single import Rerun
from tests.support.repository import ROOT
from wire.types import Outcome

VERDICT = st.sampled_from(Verdict)
NAMES = [name for required in REQUIRED.values() for name in required]
SETTINGS = Settings()
SIX, FOUR = ip_address("3000:db8::80"), ip_address("198.18.0.80")


def page(status: int | None = 200, *, family: int = 6, scheme: str = "https", **more: object) -> Page:
    """A page that came, or did not."""
    plain: dict[str, object] = {"stage": Stage.DONE, "complete": True, **more}
    url = parse_url(f"{scheme}://www.school.test/")
    return Page(url, SIX if family == 6 else FOUR, outcome=Outcome.OPEN, status=status, **plain)  # type: ignore[arg-type]


# Addresses.


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("::ffff:198.18.0.1", "mapped"),
        ("::1", "compatible"),
        ("fe80::1", "link-local"),
        ("fd00::1", "unique local"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2002:c612:1::1", "6to4"),
        ("2001:0:1::1", "Teredo"),
        ("64:ff9b::c612:1", "DNS64"),
        ("3000:64::c612:1", "DNS64"),
        ("ff02::1", "multicast"),
        ("4000::1", "not global unicast"),
        ("3000:db8::80", ""),
        ("240e::1", ""),
    ],
)
def test_what_cannot_be_a_sites_own_address(text: str, fault: str) -> None:
    prefixes = dns64_prefixes([IPv6Address("3000:64::c000:aa"), IPv6Address("3000:64::c000:ab")])
    assert fault_of(IPv6Address(text), prefixes) == fault


def test_only_addresses_that_strangers_reach_count_as_published() -> None:
    def verdict(*addresses: str, status: Status = Status.OK) -> tuple[Verdict, str, int]:
        check, usable = judge.aaaa(Answer(status, tuple(ip_address(text) for text in addresses)), ())
        return check.verdict, check.code, len(usable)

    assert verdict("3000:db8::1") == (Verdict.PASS, "", 1)
    assert verdict("3000:db8::1", "fd00::1") == (Verdict.WARN, "bad_aaaa", 1)
    assert verdict("::ffff:198.18.0.1") == (Verdict.FAIL, "bad_aaaa", 0)
    assert verdict(status=Status.NODATA) == (Verdict.FAIL, "no_aaaa", 0)
    for status in (Status.TIMEOUT, Status.SERVFAIL, Status.REFUSED, Status.BROKEN, Status.NO_RESOLVER):
        assert verdict(status=status) == (Verdict.UNKNOWN, "dns_unclear", 0)


# Judgements.


def test_tcp_counts_addresses_and_leaves_our_own_trouble_out() -> None:
    opened, closed, ours = Outcome.OPEN, Outcome.FILTERED, Outcome.UNREACHABLE
    assert judge.tcp({"a": opened, "b": opened}).verdict is Verdict.PASS
    assert judge.tcp({"a": opened, "b": closed}).verdict is Verdict.WARN
    assert judge.tcp({"a": closed, "b": Outcome.CLOSED}).verdict is Verdict.FAIL
    for mixed in ({"a": ours}, {"a": ours, "b": closed}, {"a": opened, "b": Outcome.DENIED}, {}):
        assert judge.tcp(mixed).verdict is Verdict.UNKNOWN


def test_ports_open_on_ipv4_only() -> None:
    opened, closed = Outcome.OPEN, Outcome.CLOSED

    def verdict(four: dict[int, Outcome], six: dict[int, Outcome]) -> Verdict:
        return judge.ports(four, six, has_ipv4=True).verdict

    assert verdict({80: opened, 443: opened}, {80: opened, 443: opened}) is Verdict.PASS
    assert verdict({80: opened, 443: closed}, {80: opened, 443: opened}) is Verdict.PASS
    assert verdict({80: opened, 443: opened}, {80: closed, 443: opened}) is Verdict.FAIL
    assert verdict({80: opened}, {80: Outcome.DENIED}) is Verdict.UNKNOWN
    assert verdict({80: closed}, {80: opened}) is Verdict.UNKNOWN
    assert judge.ports({}, {80: opened}, has_ipv4=False).verdict is Verdict.INFO


def test_a_certificate_is_judged_next_to_that_of_ipv4() -> None:
    good4, good6 = page(family=4), page()
    bad4, bad6 = page(family=4, certificate="expired"), page(certificate="hostname mismatch")
    broken = page(None, stage=Stage.TLS, problem="wrong version number")
    assert judge.tls(good4, good6).verdict is Verdict.PASS
    assert judge.tls(bad4, good6).verdict is Verdict.PASS
    assert judge.tls(bad4, bad6).verdict is Verdict.WARN
    assert judge.tls(good4, bad6).code == "tls_invalid"
    assert judge.tls(good4, broken).code == "tls_failed"
    assert judge.tls(None, bad6).verdict is Verdict.FAIL
    assert judge.tls(good4, page(None, stage=Stage.TLS, problem="timeout")).verdict is Verdict.UNKNOWN
    assert judge.tls(None, None).verdict is Verdict.INFO


@pytest.mark.parametrize(
    ("six", "four", "verdict", "code"),
    [
        (page(200), page(200, family=4), Verdict.PASS, ""),
        (page(401), page(401, family=4), Verdict.PASS, ""),
        (page(403), page(200, family=4), Verdict.BLOCKED, "http_blocked"),
        (page(429), page(200, family=4), Verdict.BLOCKED, "http_blocked"),
        (page(404), page(200, family=4), Verdict.FAIL, "http_failed"),
        (page(404), page(404, family=4), Verdict.FAIL, "http_both"),
        (page(502), page(502, family=4), Verdict.FAIL, "http_5xx"),
        (page(None, stage=Stage.HEAD, problem="timeout"), page(200, family=4), Verdict.FAIL, "http_failed"),
        (page(200, complete=False), page(200, family=4), Verdict.FAIL, "http_failed"),
        (page(200, complete=False), page(200, family=4, complete=False), Verdict.PASS, ""),
    ],
)
def test_a_home_page_is_judged_by_where_it_ends(six: Page, four: Page, verdict: Verdict, code: str) -> None:
    check = judge.http(Journey((six,)), Journey((four,)))
    assert (check.verdict, check.code) == (verdict, code)


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        ("redirect_v4_only", Verdict.FAIL),
        ("redirect_loop", Verdict.FAIL),
        ("dns_unclear", Verdict.UNKNOWN),
        ("out_of_scope", Verdict.UNKNOWN),
    ],
)
def test_a_redirect_that_does_not_arrive(end: str, verdict: Verdict) -> None:
    check = judge.http(Journey((page(302),), end, "old.school.test"), None)
    assert (check.verdict, check.code) == (verdict, end)


@given(st.lists(VERDICT, min_size=1, max_size=30))
def test_a_refusal_is_never_a_failed_try(tries: list[Verdict]) -> None:
    check = judge.success(tries, SETTINGS)
    if check.verdict is Verdict.FAIL:
        # Even if every refusal had been a success, it would fail.
        lenient = [Verdict.PASS if item in (Verdict.BLOCKED, Verdict.UNKNOWN) else item for item in tries]
        assert judge.success(lenient, SETTINGS).verdict is Verdict.FAIL
    if check.verdict is Verdict.PASS:
        assert sum(item is Verdict.PASS for item in tries) >= 0.95 * len(tries)


def test_95_of_100_fetches_pass_and_80_warn() -> None:
    def verdict(passed: int) -> Verdict:
        return judge.success([Verdict.PASS] * passed + [Verdict.FAIL] * (20 - passed), SETTINGS).verdict

    assert [verdict(number) for number in (20, 19, 18, 16, 15)] == [
        Verdict.PASS, Verdict.PASS, Verdict.WARN, Verdict.WARN, Verdict.FAIL,
    ]  # fmt: skip


def test_a_page_is_the_same_by_status_title_and_text() -> None:
    def check(six: Seen | None, second: Seen | None = None) -> Check:
        first = Seen(200, "School", "the same text as ever, news of the school " * 3)
        return judge.same(first, second or first, six, SETTINGS, has_ipv4=True)

    text = "the same text as ever, news of the school " * 3
    assert check(Seen(200, "School", text)).verdict is Verdict.PASS
    assert check(Seen(200, "Other", text)).code == "same_title"
    assert check(Seen(503, "School", text)).code == "same_status"
    assert check(Seen(200, "School", "welcome to nginx!")).verdict is Verdict.FAIL
    assert check(Seen(200, "School", text + "and forty characters more of other words")).verdict is Verdict.WARN
    assert check(Seen(200, "B", text), Seen(200, "A", text)).verdict is Verdict.PASS  # the title changes by itself
    assert check(None).verdict is Verdict.UNKNOWN
    assert judge.same(None, None, None, SETTINGS, has_ipv4=False).verdict is Verdict.INFO


def link(verdict: Verdict, works: bool | None = None) -> LinkSeen:
    return LinkSeen("https://www.school.test/a", verdict, "told", works)


def test_links_that_are_dead_on_both_families_do_not_count() -> None:
    def verdict(*seen: LinkSeen) -> Verdict:
        return judge.links("WEB-L2", seen, len(seen), SETTINGS).verdict

    good, bad, dead = link(Verdict.PASS), link(Verdict.FAIL, works=True), link(Verdict.FAIL, works=False)
    assert verdict(*[good] * 9, bad) is Verdict.PASS
    assert verdict(*[good] * 17, *[bad] * 3) is Verdict.WARN
    assert verdict(*[good] * 7, *[bad] * 3) is Verdict.FAIL
    assert verdict(*[good] * 7, *[dead] * 3) is Verdict.PASS
    assert verdict(*[good] * 7, *[link(Verdict.BLOCKED)] * 3) is Verdict.UNKNOWN
    assert verdict(dead) is Verdict.INFO
    assert verdict() is Verdict.INFO
    assert judge.links("WEB-L2", (), 5, SETTINGS, complete=False).verdict is Verdict.UNKNOWN


def test_hosts_of_scripts_need_ipv6_and_hosts_of_images_should_have_it() -> None:
    def verdict(*uses: tuple[Kind, Verdict]) -> Verdict:
        return judge.outside([HostUse(f"h{number}", *use, "") for number, use in enumerate(uses)]).verdict

    assert verdict() is Verdict.PASS
    assert verdict((Kind.ACTIVE, Verdict.PASS), (Kind.LINK, Verdict.UNKNOWN)) is Verdict.PASS
    assert verdict((Kind.PASSIVE, Verdict.FAIL)) is Verdict.WARN
    assert verdict((Kind.LINK, Verdict.FAIL)) is Verdict.WARN
    assert verdict((Kind.ACTIVE, Verdict.FAIL), (Kind.ACTIVE, Verdict.UNKNOWN)) is Verdict.FAIL
    assert verdict((Kind.ACTIVE, Verdict.UNKNOWN), (Kind.PASSIVE, Verdict.FAIL)) is Verdict.UNKNOWN


def test_latency_needs_both_a_ratio_and_a_difference() -> None:
    def verdict(new: float, old: float = 1.0) -> Verdict:
        times = [Times(0.01, 0.01, value, value) for value in (old, new)]
        return judge.latency(*times, SETTINGS, has_ipv4=True).verdict

    assert [verdict(value) for value in (0.5, 1.09, 1.2, 1.4)] == [
        Verdict.PASS, Verdict.PASS, Verdict.WARN, Verdict.FAIL,
    ]  # fmt: skip
    assert verdict(0.03, 0.01) is Verdict.PASS


def test_path_mtu_literals_and_http3_are_judged_apart() -> None:
    assert judge.pmtu(page(mss=1220), 0, SETTINGS).verdict is Verdict.FAIL
    assert judge.pmtu(None, 10_000, SETTINGS).verdict is Verdict.PASS
    assert judge.pmtu(None, 300, SETTINGS).verdict is Verdict.INFO
    hop = page(302, fields={"location": "http://198.18.0.1/"})
    assert judge.literals(Journey((hop, page())), references("", "https://a.test/")).verdict is Verdict.FAIL
    assert judge.literals(Journey((page(),)), None).verdict is Verdict.UNKNOWN
    offers, plain = {"alt-svc": 'h3=":443"; ma=1'}, dict[str, str]()
    assert judge.http3(page(family=4, fields=offers), page(fields=plain)).verdict is Verdict.WARN
    assert judge.http3(page(family=4, fields=offers), page(fields=offers)).verdict is Verdict.UNKNOWN
    assert judge.http3(page(family=4, fields=plain), page(fields=plain)).verdict is Verdict.INFO
    announced = page(family=4, fields=offers), page(fields=offers)
    six, four = ip_address("3000::1"), ip_address("198.18.0.1")
    failed = Handshake(six, done=False, problem="timeout")
    assert judge.http3(*announced, [Handshake(six, done=True)]).verdict is Verdict.PASS
    assert judge.http3(*announced, [failed, Handshake(four, done=True)]).verdict is Verdict.FAIL
    assert judge.http3(*announced, [failed, Handshake(four, done=False, problem="timeout")]).verdict is Verdict.WARN
    missing = Handshake(six, done=False, problem="not installed", tried=False)
    assert judge.http3(*announced, [missing]).code == "h3_unproven"


def test_a_visit_without_ipv4_is_judged_by_itself() -> None:
    checks = {name: Check(name, Verdict.PASS) for name in judge.V6_CHECKS}
    arrived = Journey((page(),))

    def said(rerun: Rerun | None) -> tuple[Verdict, str]:
        check = judge.single_stack(checks, rerun)
        return check.verdict, check.code

    assert said(Rerun(journey=arrived)) == (Verdict.PASS, "")
    assert said(Rerun(journey=arrived, missing=("https://a.test/x.js: no usable AAAA",))) == (Verdict.FAIL, "v6only")
    assert said(Rerun(journey=arrived, blemishes=("x.png",))) == (Verdict.WARN, "v6only_partly")
    assert said(Rerun(journey=arrived, untried=("x.js",))) == (Verdict.UNKNOWN, "dns_unclear")
    assert said(Rerun(journey=Journey((), "redirect_v4_only", "a.test"))) == (Verdict.FAIL, "v6only")
    assert said(Rerun(journey=Journey((), "dns_unclear", "a.test"))) == (Verdict.UNKNOWN, "depends")
    assert said(Rerun(resolver=False)) == (Verdict.UNKNOWN, "v6only_resolver")
    assert said(None) == (Verdict.UNKNOWN, "no_time")
    checks["WEB-TLS"] = Check("WEB-TLS", Verdict.UNKNOWN)
    assert said(Rerun(journey=arrived)) == (Verdict.UNKNOWN, "depends")
    checks["WEB-TLS"] = Check("WEB-TLS", Verdict.FAIL)
    assert judge.single_stack(checks, Rerun(journey=arrived)).evidence == ("WEB-TLS",)


@given(st.dictionaries(st.sampled_from(judge.V6_CHECKS), VERDICT))
def test_single_stack_needs_everything(found: dict[str, Verdict]) -> None:
    rerun = Rerun(journey=Journey((page(),)))
    check = judge.single_stack({name: Check(name, verdict) for name, verdict in found.items()}, rerun)
    if check.verdict is Verdict.PASS:
        assert climb({**found, "WEB-V6ONLY": Verdict.PASS}).possible >= Rung.REACHABLE
    for name in ("WEB-AAAA", "WEB-EXT", "WEB-LIT"):
        if found.get(name) is Verdict.FAIL:
            assert check.verdict is Verdict.FAIL
            assert name in check.evidence


# The words.


def test_every_check_and_code_has_words_in_both_languages() -> None:
    for texts in ([entry.title for entry in CATALOGUE.values()], list(WHY.values())):
        assert all(text.zh and text.en and text.zh != text.en for text in texts)
    assert set(judge.V6_CHECKS) <= set(CATALOGUE)
    assert set(NAMES) <= set(CATALOGUE)
    assert len(VERDICTS) == len(Verdict)


def test_the_handbook_names_every_check() -> None:
    book = (ROOT / "docs" / "ipv6.md").read_text(encoding="utf-8")
    assert [name for name in CATALOGUE if f"`{name}`" not in book] == []
