"""What the checks of the vantage point and of its traffic say of what was seen; nothing is sent."""

import struct
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network, ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import Answer
from probes.kit.ipv6.catalogue.checks import CATALOGUE, WHY
from probes.kit.ipv6.catalogue.vantage import ENTRIES
from probes.kit.ipv6.model import Check, Verdict
from probes.kit.ipv6.traffic.counted import (
    TRF_CHECKS,
    Counted,
    Flows,
    SiteBytes,
    growth,
    judge_share,
    judge_trend,
    judge_users,
    share,
)
from probes.kit.ipv6.vantage import judge
from probes.kit.ipv6.vantage.judge import Compared, Edns, Errors, Large, Line, PerfBounds, Race
from probes.kit.ipv6.vantage.pairs import parse_pairs
from probes.kit.ipv6.vantage.resolver import announced, embed
from probes.kit.machine.neighbours import Link, Own, Route

BOUNDS = PerfBounds(0.1, 0.3, 0.02, 0.1, 0.005)
DNS64, OTHER64 = IPv6Network("3000:64::/96"), IPv6Network("3000:65::/96")


def said(check: Check) -> tuple[Verdict, str]:
    return check.verdict, check.code


def test_every_check_is_in_the_catalogue_and_every_mend_speaks_both_languages() -> None:
    assert tuple(ENTRIES) == (*judge.NET_CHECKS, *TRF_CHECKS)
    assert set(ENTRIES) <= set(CATALOGUE)
    for code, text in WHY.items():
        assert any("\u4e00" <= char <= "\u9fff" for char in text.zh), code
        assert text.en, code


def addresses(*texts: str) -> list[Own]:
    return [Own("eth0", ip_interface(text), usable=True) for text in texts]


@pytest.mark.parametrize(
    ("own", "kind", "expected"),
    [
        (["2400:1::1/64"], "", (Verdict.PASS, "")),
        (["2400:1::1/64"], "sit", (Verdict.WARN, "tunnel")),
        (["2002:c612:1::1/48"], "", (Verdict.FAIL, "transition")),
        (["2001:0:c612:1::1/64"], "", (Verdict.FAIL, "transition")),
        (["2002:c612:1::1/48", "2400:1::1/64"], "", (Verdict.PASS, "")),
        (["fd00::1/64"], "", (Verdict.UNKNOWN, "depends")),
        ([], "", (Verdict.UNKNOWN, "depends")),
    ],
)
def test_native_ipv6_passes_and_a_tunnel_warns(own: list[str], kind: str, expected: tuple[Verdict, str]) -> None:
    links = {2: Link(2, "eth0", "02:00:00:00:00:01", up=True, loopback=False, kind=kind)}
    assert said(judge.tunnel(addresses(*own), links, [Route("eth0", None, 0)])) == expected
    assert said(judge.tunnel(addresses(*own), links, [])) == expected


@pytest.mark.parametrize(
    ("prefixes", "lan", "router", "expected"),
    [
        (["2400:1::/48"], [], True, Verdict.PASS),
        (["2400:1::/56"], [], True, Verdict.PASS),
        (["2400:1::/60"], [], True, Verdict.WARN),
        (["2400:1::/64", "2400:2::/56"], [], True, Verdict.PASS),
        ([], ["2400:1::/64"], True, Verdict.WARN),
        ([], [], True, Verdict.FAIL),
        ([], [], False, Verdict.INFO),
    ],
)
def test_a_router_needs_a_delegated_prefix_of_its_size(
    prefixes: list[str], lan: list[str], router: bool, expected: Verdict
) -> None:
    given_, own = [IPv6Network(text) for text in prefixes], [IPv6Network(text) for text in lan]
    assert judge.delegation(given_, own, router=router, wanted=56).verdict is expected


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ({"a": (Line((0.02,) * 10, 0), Line((0.021,) * 10, 0))}, Verdict.PASS),
        ({"a": (Line((0.001,) * 10, 0), Line((0.004,) * 10, 0))}, Verdict.PASS),  # below the floor
        ({"a": (Line((0.1,) * 10, 0), Line((0.12,) * 10, 0))}, Verdict.WARN),
        ({"a": (Line((0.1,) * 10, 0), Line((0.2,) * 10, 0))}, Verdict.FAIL),
        ({"a": (Line((0.1,) * 20, 0), Line((0.1,) * 19 + (1.1,), 0))}, Verdict.WARN),
        ({"a": (Line((0.1,) * 10, 0), Line((0.1,) * 7 + (1.1,) * 3, 0))}, Verdict.FAIL),
        ({"a": (Line((0.1,) * 10, 0), Line((), 10))}, Verdict.FAIL),
        ({"a": (Line((), 10), Line((0.1,) * 10, 0))}, Verdict.UNKNOWN),
        ({"a": (Line((0.1,) * 10, 0), Line((0.3,) * 10, 0)), "b": (Line((0.1,), 0), Line((0.1,), 0))}, Verdict.PASS),
        ({}, Verdict.UNKNOWN),
    ],
)
def test_the_best_of_several_sites_counts(sites: Mapping[str, tuple[Line, Line]], expected: Verdict) -> None:
    assert judge.performance(sites, BOUNDS).verdict is expected


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([Large("a", 100_000, stalled=False)], (Verdict.PASS, "")),
        ([Large("a", 0, stalled=True), Large("b", 120_000, stalled=False)], (Verdict.PASS, "")),
        ([Large("a", 100_000, stalled=True, mended=True)], (Verdict.FAIL, "pmtu")),
        ([Large("a", 0, stalled=True)], (Verdict.UNKNOWN, "large_failed")),
        ([Large("a", 500, stalled=False)], (Verdict.UNKNOWN, "large_failed")),
        ([Large("a", 0, stalled=False, refused=True)], (Verdict.UNKNOWN, "out_of_scope")),
        ([], (Verdict.UNKNOWN, "large_failed")),
    ],
)
def test_a_black_hole_is_proven_by_the_smaller_segment(pages: Sequence[Large], expected: tuple[Verdict, str]) -> None:
    assert said(judge.path_mtu(pages, 100_000)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([Errors("a", "fits", (True, True), True)], (Verdict.PASS, "")),
        ([Errors("a", "told", (True, True), None)], (Verdict.PASS, "")),
        ([Errors("a", "lost"), Errors("b", "lost")], (Verdict.FAIL, "icmp_lost")),
        ([Errors("a", "lost"), Errors("b", "fits")], (Verdict.PASS, "")),
        ([Errors("a", "lost", (True, True))], (Verdict.PASS, "")),  # one target alone may drop large echoes
        ([Errors("a", "fits", (False, False))], (Verdict.FAIL, "icmp_lost")),
        ([Errors("a", "fits", (True, False, False))], (Verdict.WARN, "icmp_partly")),
        ([Errors("a", "fits", (False, True))], (Verdict.PASS, "")),
        ([Errors("a", "fits", (True,), False)], (Verdict.WARN, "icmp_partly")),
        ([Errors("a")], (Verdict.UNKNOWN, "no_ping")),
        ([], (Verdict.UNKNOWN, "no_ping")),
    ],
)
def test_errors_that_come_back(seen: Sequence[Errors], expected: tuple[Verdict, str]) -> None:
    assert said(judge.errors(seen)) == expected


HAS = Answer(Status.OK, (ip_address("2400:1::80"),))
NONE = Answer(Status.NODATA)
ANSWERS = Check("NET-RES6", Verdict.PASS)
HIDDEN = Check("NET-RES6", Verdict.UNKNOWN, "local_resolver")


@pytest.mark.parametrize(
    ("base", "compared", "independent", "expected"),
    [
        (ANSWERS, [Compared("a", HAS, HAS)], True, (Verdict.PASS, "")),
        (ANSWERS, [Compared("a", NONE, HAS)], True, (Verdict.FAIL, "aaaa_stripped")),
        (HIDDEN, [Compared("a", NONE, HAS)], True, (Verdict.FAIL, "aaaa_stripped")),
        (HIDDEN, [Compared("a", HAS, HAS)], True, (Verdict.UNKNOWN, "local_resolver")),
        (ANSWERS, [Compared("a", NONE, NONE)], True, (Verdict.UNKNOWN, "dns_unclear")),
        (ANSWERS, [Compared("a", Answer(Status.TIMEOUT), HAS)], True, (Verdict.UNKNOWN, "dns_unclear")),
        (ANSWERS, [], True, (Verdict.UNKNOWN, "no_aaaa_names")),
        (ANSWERS, [], False, (Verdict.UNKNOWN, "no_independent")),
    ],
)
def test_a_resolver_fails_by_silence_and_by_withheld_aaaa(
    base: Check, compared: list[Compared], independent: bool, expected: tuple[Verdict, str]
) -> None:
    assert said(judge.resolver(base, compared, independent=independent)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Edns(Status.OK, Status.OK, 900, truncated=False, tcp=Status.OK, edns=True), (Verdict.PASS, "")),
        (Edns(Status.OK, Status.OK, 60, truncated=True, tcp=Status.OK, edns=True), (Verdict.PASS, "")),
        (Edns(Status.OK, Status.OK, 100, truncated=False, tcp=Status.OK, edns=True), (Verdict.UNKNOWN, "edns_small")),
        (Edns(Status.OK, Status.TIMEOUT, 0, truncated=False, tcp=Status.OK, edns=False), (Verdict.WARN, "edns_udp")),
        (Edns(Status.OK, Status.OK, 100, truncated=True, tcp=Status.OK, edns=False), (Verdict.WARN, "edns_udp")),
        (Edns(Status.OK, Status.OK, 900, truncated=False, tcp=Status.TIMEOUT, edns=True), (Verdict.FAIL, "edns_tcp")),
        (Edns(Status.TIMEOUT, Status.OK, 9, truncated=False, tcp=Status.OK, edns=True), (Verdict.UNKNOWN, "depends")),
        (None, (Verdict.UNKNOWN, "depends")),
    ],
)
def test_large_answers_need_udp_and_tcp(seen: Edns | None, expected: tuple[Verdict, str]) -> None:
    assert said(judge.large_answers(seen)) == expected


@pytest.mark.parametrize(
    ("dns64", "heard", "translates", "expected"),
    [
        ([], [], None, (Verdict.INFO, "no_nat64")),
        ([DNS64], [DNS64], True, (Verdict.PASS, "")),
        ([DNS64], [DNS64], None, (Verdict.PASS, "")),
        ([DNS64], [OTHER64], True, (Verdict.FAIL, "nat64_differs")),
        ([DNS64], [DNS64], False, (Verdict.FAIL, "nat64_silent")),
        ([DNS64], [], True, (Verdict.INFO, "nat64_unheard")),
        ([], [DNS64], None, (Verdict.INFO, "nat64_unheard")),
        ([DNS64], [IPv6Network("3000:64::/64")], True, (Verdict.PASS, "")),
    ],
)
def test_both_ways_to_learn_the_nat64_prefix_must_agree(
    dns64: list[IPv6Network], heard: list[IPv6Network], translates: bool | None, expected: tuple[Verdict, str]
) -> None:
    assert said(judge.nat64(dns64, heard, translates=translates)) == expected


@pytest.mark.parametrize(
    ("races", "expected"),
    [
        ([Race("a", 0.05, 0.3)], (Verdict.PASS, "")),
        ([Race("a", 0.4, 0.3)], (Verdict.PASS, "")),
        ([Race("a", 0.9, 0.3)], (Verdict.WARN, "he_slow")),
        ([Race("a", None, 0.3)], (Verdict.FAIL, "he_error")),
        ([Race("a", None, 0.3), Race("b", 0.1, 0.3)], (Verdict.PASS, "")),
        ([Race("a", None, None)], (Verdict.UNKNOWN, "dual_unclear")),
        ([Race("a", 0.1, None)], (Verdict.PASS, "")),
        ([], (Verdict.UNKNOWN, "dual_unclear")),
    ],
)
def test_ipv6_wins_or_loses_by_less_than_the_head_start(races: list[Race], expected: tuple[Verdict, str]) -> None:
    assert said(judge.race(races, 0.25)) == expected


def test_prefixes_of_router_advertisements() -> None:
    def option(code: int, lifetime: int, prefix: str) -> bytes:
        return struct.pack("!BBH", 38, 2, lifetime << 3 | code) + ip_address(prefix).packed[:12]

    assert announced(option(0, 100, "3000:64::")) == (DNS64,)
    assert announced(bytes((25, 1, 0, 0, 0, 0, 0, 0)) + option(3, 1, "3000:64::")) == (IPv6Network("3000:64::/48"),)
    assert announced(option(0, 0, "3000:64::")) == ()  # withdrawn
    assert announced(option(6, 1, "3000:64::")) == ()  # a length that is not defined
    assert str(embed(DNS64, ip_address("198.18.0.1"))) == "3000:64::c612:1"  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_whatever_a_router_announces_is_read_to_its_end(raw: bytes) -> None:
    assert all(prefix.prefixlen in (96, 64, 56, 48, 40, 32) for prefix in announced(raw))


def test_a_pair_is_an_ipv4_and_an_ipv6_address() -> None:
    assert parse_pairs(["198.18.0.1=2001:db8::1"]) == ((ip_address("198.18.0.1"), ip_address("2001:db8::1")),)
    for text in ("", "198.18.0.1", "2001:db8::1=198.18.0.1", "a=b"):
        with pytest.raises(ValueError, match="two addresses"):
            parse_pairs([text])


def counted(v4: int, v6: int) -> Counted:
    return Counted("nft", "eth0", v4, 0, v6, 0, "boot", "high", "no")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, (Verdict.UNKNOWN, "no_counters")),
        (counted(0, 0), (Verdict.UNKNOWN, "no_traffic")),
        (counted(70, 30), (Verdict.PASS, "")),
        (counted(80, 20), (Verdict.WARN, "share_low")),
        (counted(95, 5), (Verdict.FAIL, "share_low")),
    ],
)
def test_a_share_below_its_target_is_told_with_what_runs_on_ipv4_only(
    found: Counted | None, expected: tuple[Verdict, str]
) -> None:
    check = judge_share(found, 0.27, [SiteBytes("www.old.test", 12)])
    assert said(check) == expected
    if found is not None:
        assert check.values["v4_only"] == ("www.old.test 12",)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_a_counter_that_only_grows_is_what_it_gained(start: int, more: int) -> None:
    assert growth(start, start + more, same_epoch=True) == more


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_a_counter_of_32_bits_wraps(start: int, more: int) -> None:
    assert growth(start, (start + more) % 2**32, same_epoch=True, bits=32) == more


def test_a_counter_that_was_set_back_counts_anew() -> None:
    assert growth(1000, 10, same_epoch=True) == 10
    assert growth(1000, 5000, same_epoch=False) == 5000
    assert growth(3_000_000_000, 10, same_epoch=True, bits=32) == 2**32 - 3_000_000_000 + 10
    assert growth(1000, 10, same_epoch=True, bits=32) is None
    assert share(0, 0) is None


def test_users_are_devices_not_addresses() -> None:
    inside = {ip_address(text): 100 for text in ("198.18.0.1", "198.18.0.2", "2001:db8::1", "2001:db8::2")}
    macs = dict.fromkeys(inside, "02:00:00:00:00:01")
    macs[ip_address("198.18.0.2")] = "02:00:00:00:00:02"
    check = judge_users(Flows("nft", inside, {}), macs, 0.9, 0.5)
    assert (check.verdict, check.values["users_v6"], check.values["users"]) == (Verdict.WARN, 1, 2)
    assert judge_users(Flows("nft", {}, {}), macs, 0.9, 0.5).verdict is Verdict.UNKNOWN
    assert judge_users(None, macs, 0.9, 0.5).code == "no_flow_data"


@pytest.mark.parametrize(
    ("matched", "unmatched", "expected"),
    [
        ("a4 a6", "", Verdict.PASS),
        ("a4", "", Verdict.FAIL),
        ("a4", "6", Verdict.UNKNOWN),  # somebody uses IPv6: the one that is known, or one more
        ("a4 b4 c4", "6", Verdict.FAIL),  # one of three, or one of four
        ("a4 a6 b4", "6", Verdict.UNKNOWN),
        ("a4 b4 c4", "6 6", Verdict.UNKNOWN),  # two of them, or one with two addresses
        ("a4 b4", "6 6", Verdict.UNKNOWN),
        ("a4 a6", "4 4", Verdict.UNKNOWN),  # two more devices, or two more addresses of this one
        ("", "4 4", Verdict.FAIL),
        ("", "6 6", Verdict.PASS),
        ("", "4 6", Verdict.UNKNOWN),
        ("", "", Verdict.UNKNOWN),
    ],
)
def test_a_device_that_the_neighbour_table_forgot_is_no_device_without_ipv6(
    matched: str, unmatched: str, expected: Verdict
) -> None:
    texts = {"4": "198.18.0.{}", "6": "2001:db8::{}"}
    known = {ip_address(texts[word[1]].format(ord(word[0]))): word[0] for word in matched.split()}
    others = [ip_address(texts[word].format(number)) for number, word in enumerate(unmatched.split(), 1)]
    check = judge_users(Flows("nft", dict.fromkeys([*known, *others], 1), {}), known, 0.9, 0.5)
    assert check.verdict is expected
    assert check.values.get("unmatched", 0) == len(others)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([0.2] * 14, Verdict.PASS),
        ([0.2] * 13 + [0.1], Verdict.WARN),
        ([0.2] * 13 + [0.15], Verdict.PASS),
        ([0.2] * 13 + [None], Verdict.UNKNOWN),
        ([0.2] * 7, Verdict.UNKNOWN),
        ([None] * 14, Verdict.UNKNOWN),
    ],
)
def test_a_fall_against_the_same_weekday_is_a_fall(days: list[float | None], expected: Verdict) -> None:
    assert judge_trend(days, 0.3).verdict is expected


def test_the_slope_is_the_change_in_a_week() -> None:
    slope = judge_trend([number / 100 for number in range(14)], 0.3).values["slope"]
    assert isinstance(slope, float)
    assert abs(slope - 0.07) < 1e-9
