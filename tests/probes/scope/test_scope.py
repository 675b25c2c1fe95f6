"""What is authorised, and that no spelling of an address or a domain gets around it."""

import contextlib
import re
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.errors import ScopeError
from probes.kit.scope.addresses import is_special
from probes.kit.scope.entries import MAX_DAYS, check_entry, normal_domain
from probes.kit.scope.model import Scope
from wire.ports import contains
from wire.types import ScopeEntry

TODAY = date(2026, 11, 22)


def entry(value: str, ports: str = "", until: date | None = date(2027, 1, 1)) -> ScopeEntry:
    return ScopeEntry(value, "Li", "yearly check", until, ports)


def allows_domain(scope: Scope, name: str, port: int, today: date) -> bool:
    return contains(scope.domain_ports(name, today), port)


def test_the_default_is_this_machine_only() -> None:
    scope = Scope()
    assert scope.allows_address("127.0.0.1", 80, TODAY)
    assert scope.allows_address("127.255.255.254", None, TODAY)
    assert scope.allows_address("::1", 65535, TODAY)
    for stranger in ("10.0.0.1", "192.168.1.1", "0.0.0.0", "::", "::2", "fe80::1", "255.255.255.255", "224.0.0.1"):
        assert not scope.allows_address(stranger, 80, TODAY), stranger


@pytest.mark.parametrize(
    "odd", ["127.1", "0177.0.0.1", "2130706433", "0x7f.0.0.1", "127.0.0.1 ", "127.0.0.01", "localhost", ""]
)
def test_odd_spellings_are_never_allowed(odd: str) -> None:
    assert not Scope([entry("10.0.0.0/8")]).allows_address(odd, 80, TODAY)


def test_a_mapped_address_is_the_ipv4_address_that_it_reaches() -> None:
    scope = Scope([entry("10.1.0.0/16"), entry("2001:db8::/32")])
    assert scope.allows_address("::ffff:10.1.2.3", 80, TODAY)
    assert not scope.allows_address("::ffff:10.2.2.3", 80, TODAY)
    assert scope.allows_address("::ffff:127.0.0.1", 80, TODAY)


def test_a_zone_changes_nothing() -> None:
    scope = Scope([entry("fe80::/64")])
    assert scope.allows_address("fe80::1%eth0", 80, TODAY)
    assert not scope.allows_address("fe80:0:0:1::1%eth0", 80, TODAY)


def test_the_last_day_counts_and_the_next_does_not() -> None:
    scope = Scope([entry("10.1.0.0/16", until=TODAY), entry("www.example.edu.cn", until=TODAY)])
    assert scope.allows_address("10.1.0.1", 80, TODAY)
    assert allows_domain(scope, "www.example.edu.cn", 443, TODAY)
    assert not scope.allows_address("10.1.0.1", 80, TODAY + timedelta(1))
    assert not allows_domain(scope, "www.example.edu.cn", 443, TODAY + timedelta(1))


def test_ports_narrow_an_entry_and_entries_add_up() -> None:
    scope = Scope([entry("10.1.0.0/16", "22,80-90"), entry("10.1.1.0/24", "443")])
    assert [port for port in (21, 22, 80, 90, 91, 443) if scope.allows_address("10.1.1.1", port, TODAY)] == [
        22,
        80,
        90,
        443,
    ]
    assert not scope.allows_address("10.1.2.1", 443, TODAY)
    # A ping has no port: it needs an entry for all of them.
    assert not scope.allows_address("10.1.1.1", None, TODAY)
    assert Scope([entry("10.1.0.0/16")]).allows_address("10.1.1.1", None, TODAY)


def test_domains_match_whole_names() -> None:
    scope = Scope([entry("*.school.edu.cn"), entry("www.example.com", "443")])
    assert allows_domain(scope, "www.school.edu.cn", 80, TODAY)
    assert allows_domain(scope, "A.B.School.edu.cn.", 80, TODAY)
    assert allows_domain(scope, "www.example.com", 443, TODAY)
    assert not allows_domain(scope, "www.example.com", 80, TODAY)
    for stranger in (
        "school.edu.cn",
        "evilschool.edu.cn",
        "www.school.edu.cn.evil.cn",
        "xwww.example.com",
        "",
        "1.2.3.4",
    ):
        assert not allows_domain(scope, stranger, 443, TODAY), stranger


def test_a_chinese_domain_is_its_ascii_form() -> None:
    scope = Scope([check_entry(entry("教育.中国"), TODAY)])
    assert allows_domain(scope, "xn--wcvs22d.xn--fiqs8s", 80, TODAY)
    assert allows_domain(scope, "教育.中国", 80, TODAY)


def test_a_refusal_carries_the_command() -> None:
    refused = Scope().refusal("10.9.8.7 port 80", "10.9.8.7")
    assert refused.command == "edusec scope add 10.9.8.7 --authoriser NAME --reason TEXT --until DATE"
    assert refused.skipped.what == "10.9.8.7 port 80"
    assert refused.command in refused.skipped.reason
    assert Scope(file="/srv/a b.toml").refusal("10.9.8.7", "10.9.8.7").command.endswith(" --scope '/srv/a b.toml'")
    for name in ("/srv/\udcff.toml", "/srv/\n.toml"):
        assert Scope(file=name).refusal("10.9.8.7", "10.9.8.7").command.endswith("--until DATE")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("0.0.0.0/0", "too large"),
        ("10.0.0.0/7", "too large"),
        ("::/0", "too large"),
        ("2001::/16", "too large"),
        ("64:ff9b::/96", "too much of IPv4"),
        ("64:ff9b:0:0:0:0:800::/103", "too much of IPv4"),
        ("64:f000::/20", "too much of IPv4"),
        ("2002::/20", "too much of IPv4"),
        ("10.1.2.3/16", "10.1.0.0/16 is meant"),
        ("10.0.0.0/255.0.0.0", "neither"),
        ("224.0.0.1", "not an address of hosts"),
        ("ff02::1", "not an address of hosts"),
        ("0.0.0.0", "not an address of hosts"),
        ("::ffff:10.0.0.1", "IPv4-mapped"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("fe80::1%eth0", "neither"),
        ("127.1", "unusual spelling"),
        ("0x7f000001", "unusual spelling"),
        ("com", "top-level"),
        ("*.edu.cn", "many owners"),
        ("a..b.cn", "label"),
        ("-a.cn", "label"),
        ("a b.cn", "letters"),
        ("http://a.cn/", "neither"),
        ("", "label"),
        ("x" * 300, "253"),
        ("a\nb.cn", "letters"),
    ],
)
def test_absurd_values_are_refused(value: str, says: str) -> None:
    with pytest.raises(ScopeError, match="^value: .*" + says):
        check_entry(entry(value), TODAY)


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        (ScopeEntry("10.1.0.0/16", "", "r", TODAY), "authoriser: is empty"),
        (ScopeEntry("10.1.0.0/16", "a", "  ", TODAY), "reason: is empty"),
        (ScopeEntry("10.1.0.0/16", "a\x1b[2J", "r", TODAY), "authoriser: at most"),
        (ScopeEntry("10.1.0.0/16", "a", "r", None), "until: is missing"),
        (ScopeEntry("10.1.0.0/16", "a", "r", TODAY - timedelta(1)), "until: .* in the past"),
        (ScopeEntry("10.1.0.0/16", "a", "r", TODAY + timedelta(MAX_DAYS + 1)), "until: .* more than 400 days"),
        (ScopeEntry("10.1.0.0/16", "a", "r", TODAY, "80-"), "ports: "),
    ],
)
def test_an_entry_needs_a_name_a_reason_and_an_end(faulty: ScopeEntry, says: str) -> None:
    with pytest.raises(ScopeError, match=says):
        check_entry(faulty, TODAY)


def test_all_faults_of_an_entry_are_told_at_once() -> None:
    with pytest.raises(ScopeError) as caught:
        check_entry(ScopeEntry("0.0.0.0/0", "", "", None, "x"), TODAY)
    assert all(re.search("[\u4e00-\u9fff]", problem.zh) for problem in caught.value.problems)
    assert [problem.en.partition(":")[0] for problem in caught.value.problems] == [
        "value",
        "authoriser",
        "reason",
        "until",
        "ports",
    ]


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "224.0.0.1", "0.0.0.0", "::1", "fe80::1", "fc00::1",
     "ff02::1", "::ffff:10.0.0.1", "::ffff:192.168.1.1", "2002:0a00:0001::1", "64:ff9b::10.0.0.1", "2001:db8::1"],
)  # fmt: skip
def test_special_addresses_are_recognised_in_all_disguises(text: str) -> None:
    assert is_special(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "202.112.0.36", "2001:da8::666", "2400:3200::1"])
def test_public_addresses_are_not_special(text: str) -> None:
    assert not is_special(ip_address(text))


addresses = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address))
networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(lambda it: ip_network((it[0], it[1]), strict=False)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(20, 128)).map(
        lambda it: ip_network((IPv6Address(it[0]), it[1]), strict=False)
    ),
)


@given(st.lists(networks, max_size=5), addresses)
def test_membership_is_that_of_the_prefixes(inside: list[object], address: IPv4Address | IPv6Address) -> None:
    known = []
    for network in inside:
        try:
            known.append(check_entry(entry(str(network)), TODAY))
        except ScopeError:
            continue
    real = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    prefixes = [ip_network(item.value) for item in known]
    expected = real.is_loopback or any(real in prefix for prefix in prefixes if prefix.version == real.version)
    assert Scope(known).allows_address(str(address), 80, TODAY) == expected


@given(networks)
def test_every_member_and_no_neighbour(network: object) -> None:
    prefix = ip_network(str(network))
    try:
        scope = Scope([check_entry(entry(str(prefix)), TODAY)])
    except ScopeError:
        return
    assert scope.allows_address(prefix[0], 1, TODAY)
    assert scope.allows_address(prefix[-1], 1, TODAY)
    for number in (int(prefix[0]) - 1, int(prefix[-1]) + 1):
        if 0 <= number < 2**prefix.max_prefixlen:
            other = type(prefix[0])(number)
            assert scope.allows_address(other, 1, TODAY) == (Scope().allows_address(other, 1, TODAY))


@given(st.text(max_size=40))
def test_no_text_crashes_the_scope(text: str) -> None:
    scope = Scope([entry("10.1.0.0/16"), entry("*.school.edu.cn")])
    if not text.startswith("127."):
        assert scope.allows_address(text, 80, TODAY) is False or ip_address(text) is not None
    allows_domain(scope, text, 80, TODAY)
    with contextlib.suppress(ValueError):
        assert normal_domain(normal_domain(text)) == normal_domain(text)
    with contextlib.suppress(ScopeError):
        check_entry(entry(text), TODAY)
