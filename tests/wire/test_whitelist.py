"""What a whitelist says of hosts, services and domains."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.types import EntryKind, Transport, WhitelistEntry
from wire.whitelist import Standing, holds_on, match_domain, match_host, match_service, normal_mac

TODAY = date(2026, 11, 22)


def entry(
    kind: EntryKind, value: str, expires: date | None = None, ports: str = "", owner: str = "o"
) -> WhitelistEntry:
    """Give an approval."""
    return WhitelistEntry(kind, value, owner, "reason", "approver", expires, ports)


def host(value: str, *addresses: str, mac: str = "") -> Standing:
    """Judge a host by one entry."""
    return match_host([entry(EntryKind.HOST, value)], addresses, mac, TODAY).standing


@pytest.mark.parametrize(
    ("value", "address", "listed"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.30", False),
        ("10.1.2.0/24", "10.1.2.255", True),
        ("10.1.2.0/24", "10.1.3.0", False),
        ("10.1.2.77/24", "10.1.2.1", True),
        ("2001:db8::/32", "2001:DB8:0:0::1", True),
        ("2001:db8::1", "2001:0db8::0001", True),
        ("2001:db8::/32", "10.1.2.3", False),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.1.2.3", False),
        ("10.1.2.0/24", "::ffff:10.1.2.3", True),
        ("::ffff:10.1.2.0/120", "10.1.2.3", True),
        ("::ffff:10.1.2.3", "10.1.2.3", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("10.1.2.3", "010.1.2.3", False),
        ("10.1.2.3", "not an address", False),
        ("10.1.2.3", "", False),
        ("", "10.1.2.3", False),
        ("10.1.2.0/33", "10.1.2.3", False),
        ("printer", "10.1.2.3", False),
    ],
)
def test_hosts_by_address_and_prefix(value: str, address: str, listed: bool) -> None:
    assert host(value, address) is (Standing.LISTED if listed else Standing.UNLISTED)


@pytest.mark.parametrize("value", ["aa:bb:cc:00:11:22", "AA-BB-CC-00-11-22", "aabb.cc00.1122", "AABBCC001122"])
def test_hosts_by_mac_in_any_spelling(value: str) -> None:
    assert host(value, mac="aa:bb:cc:00:11:22") is Standing.LISTED
    assert host(value, mac="aa:bb:cc:00:11:23") is Standing.UNLISTED
    assert host(value, mac="") is Standing.UNLISTED


@pytest.mark.parametrize(
    "text",
    ["", "aa:bb:cc:00:11", "aa:bb:cc:00:11:2g", "aa:bb-cc:00:11:22", "192.168.100.200", "2001:db8::1234:5", "0" * 13],
)
def test_what_is_no_mac(text: str) -> None:
    assert normal_mac(text) == ""
    assert host(text, mac=text) is Standing.UNLISTED


def test_any_address_or_the_mac_suffices() -> None:
    assert host("10.0.0.2", "10.0.0.1", "10.0.0.2") is Standing.LISTED
    assert host("aa:bb:cc:00:11:22", "10.0.0.1", mac="AABBCC001122") is Standing.LISTED


@pytest.mark.parametrize(
    ("value", "ports", "transport", "listed"),
    [
        ("10.0.0.1", "22,8000-8100", Transport.TCP, True),
        ("*", "8080", Transport.TCP, True),
        ("10.0.0.0/8", "1-65535", Transport.TCP, True),
        ("10.0.0.1", "8080", Transport.UDP, False),
        ("10.0.0.1", "8079,8081", Transport.TCP, False),
        ("10.0.0.1", "", Transport.TCP, False),
        ("10.0.0.2", "8080", Transport.TCP, False),
    ],
)
def test_a_service_is_listed_by_its_entry_alone(value: str, ports: str, transport: Transport, listed: bool) -> None:
    approval = WhitelistEntry(EntryKind.PORT, value, "o", "r", "a", None, ports, transport)
    standing = match_service([approval], "10.0.0.1", Transport.TCP, 8080, TODAY).standing
    assert standing is (Standing.LISTED if listed else Standing.UNLISTED)


@pytest.mark.parametrize(
    ("pattern", "name", "listed"),
    [
        ("www.example.edu.cn", "www.example.edu.cn", True),
        ("www.example.edu.cn", "WWW.Example.edu.cn.", True),
        ("WWW.example.edu.cn.", "www.example.edu.cn", True),
        ("*.example.edu.cn", "a.b.example.edu.cn", True),
        ("*.example.edu.cn", "example.edu.cn", False),
        ("*.example.edu.cn", "badexample.edu.cn", False),
        ("example.edu.cn", "www.example.edu.cn", False),
        ("*.", "www.example.edu.cn", False),
        ("*", "www.example.edu.cn", False),
    ],
)
def test_a_domain_is_listed_by_name_or_wildcard(pattern: str, name: str, listed: bool) -> None:
    standing = match_domain([entry(EntryKind.DOMAIN, pattern)], name, TODAY).standing
    assert standing is (Standing.LISTED if listed else Standing.UNLISTED)


def test_the_day_of_expiry_is_the_last_one() -> None:
    last = entry(EntryKind.HOST, "10.0.0.1", TODAY)
    assert holds_on(last, TODAY)
    assert match_host([last], ["10.0.0.1"], "", TODAY).standing is Standing.LISTED
    late = match_host([last], ["10.0.0.1"], "", TODAY + timedelta(days=1))
    assert late.standing is Standing.EXPIRED
    assert late.entry is last


_EXPIRIES = st.none() | st.dates(TODAY - timedelta(days=40), TODAY + timedelta(days=40))


@given(st.lists(_EXPIRIES, min_size=1, max_size=6))
def test_the_entry_that_holds_longest_decides(expiries: list[date | None]) -> None:
    entries = [entry(EntryKind.DOMAIN, "example.edu.cn", day, owner=str(n)) for n, day in enumerate(expiries)]
    found = match_domain(entries, "example.edu.cn", TODAY)
    assert found.entry in entries
    assert all((found.entry.expires or date.max) >= (day or date.max) for day in expiries)
    assert (found.standing is Standing.LISTED) == any(holds_on(one, TODAY) for one in entries)


def test_a_list_of_another_kind_says_nothing() -> None:
    hosts, ports, domains = (
        entry(EntryKind.HOST, "10.0.0.1"),
        entry(EntryKind.PORT, "*", ports="22"),
        entry(EntryKind.DOMAIN, "example.edu.cn"),
    )
    assert match_host([ports, domains], ["10.0.0.1"], "", TODAY).standing is Standing.NO_LIST
    assert match_service([hosts, domains], "10.0.0.1", Transport.TCP, 22, TODAY).standing is Standing.NO_LIST
    assert match_domain([hosts, ports], "example.edu.cn", TODAY).standing is Standing.NO_LIST
    assert match_host([], ["10.0.0.1"], "", TODAY).entry is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_odd_values_match_nothing_and_raise_nothing(value: str, seen: str) -> None:
    assert host(value, seen, mac=seen) in (Standing.LISTED, Standing.UNLISTED)
    assert match_domain([entry(EntryKind.DOMAIN, value)], seen, TODAY).standing in (Standing.LISTED, Standing.UNLISTED)
