"""Targets as people write them, each address once, and none that nobody can scan."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.scope.targets import parse_targets, plain_prefixes, prefixes


def listed(*texts: str) -> list[str]:
    return [str(address) for span in parse_targets(texts) for address in span]


def test_addresses_prefixes_and_ranges() -> None:
    assert listed("10.1.0.9", "10.1.0.0/30", "10.1.1.254-10.1.2.1", "10.1.0.5-6") == [
        "10.1.0.9",
        *(f"10.1.0.{n}" for n in range(4)),
        *("10.1.1.254", "10.1.1.255", "10.1.2.0", "10.1.2.1"),
        *("10.1.0.5", "10.1.0.6"),
    ]
    assert listed("2001:db8::/126", "::1", "fe80::1%eth0") == [
        *("2001:db8::", "2001:db8::1", "2001:db8::2", "2001:db8::3"),
        *("::1", "fe80::1%eth0"),
    ]


def test_host_bits_and_mapped_addresses_are_understood() -> None:
    assert listed("10.1.0.7/30") == [f"10.1.0.{n}" for n in range(4, 8)]
    assert listed("::ffff:10.1.0.7") == ["10.1.0.7"]


def test_an_address_comes_once() -> None:
    assert listed("10.1.0.2", "10.1.0.0/30", "10.1.0.1-5", "10.1.0.2") == [f"10.1.0.{n}" for n in (2, 0, 1, 3, 4, 5)]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=12))
def test_spans_hold_each_address_once_in_the_order_of_the_first_that_names_it(ranges: list[tuple[int, int]]) -> None:
    texts = [f"10.1.0.{low}-{low + more}" for low, more in ranges]
    wanted = dict.fromkeys(f"10.1.0.{number}" for low, more in ranges for number in range(low, low + more + 1))
    assert listed(*texts) == list(wanted)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2001:db8::/64", "a /64 has"),
        ("2001:db8::/111", "/112 or longer"),
        ("10.0.0.0/15", "/16 is the most"),
        ("10.0.0.0-10.200.0.0", "split the task"),
        ("www.example.edu.cn", "neither an address"),
        ("10.1", "neither an address"),
        ("010.1.1.1", "neither an address"),
        ("", "empty"),
        ("10.1.0.5-2", "backwards"),
        ("10.1.0.5-", "not a range"),
        ("10.1.0.0-256", "not a range"),
        ("10.1.0.0/33", "not a prefix"),
        ("224.0.0.0/24", "no address of a single host"),
        ("0.0.0.0", "no address of a single host"),
        ("255.255.255.255", "no address of a single host"),
        ("ff02::1", "no address of a single host"),
        ("fe80::1", "%eth0"),
        ("::ffff:10.0.0.0/120", "IPv4-mapped"),
        ("-" * 300, "not a range|neither"),
    ],
)
def test_what_cannot_be_scanned_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_targets([text])


def test_the_sum_is_bounded() -> None:
    with pytest.raises(ValueError, match="65536 addresses in all"):
        parse_targets(["10.0.0.0/16", "10.1.0.0/32"])


@given(st.lists(st.integers(0, 300).map(lambda n: IPv4Address(0x0A000000 + n)), max_size=60))
def test_prefixes_hold_exactly_the_addresses(addresses: list[IPv4Address]) -> None:
    networks = [ip_network(text) for text in prefixes(addresses)]
    found = [address for network in networks for address in network]
    assert found == sorted(set(addresses))


def test_plain_prefixes_take_both_families() -> None:
    mixed = [IPv6Address("2001:db8::1"), IPv4Address("10.0.0.1"), IPv4Address("10.0.0.0"), IPv6Address("fe80::2%lo")]
    assert list(plain_prefixes(mixed)) == ["10.0.0.0/31", "2001:db8::1", "fe80::2"]


@given(st.lists(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9a-f.:/%-]{1,25}", fullmatch=True)), max_size=4))
def test_no_text_crashes_the_reader(texts: list[str]) -> None:
    try:
        spans = parse_targets(texts)
    except ValueError:
        return
    assert sum(map(len, spans)) <= 65536
    for span in spans:
        assert span.address(span.low) == ip_address(str(span.address(span.low)))
