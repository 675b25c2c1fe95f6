"""Coverage joined says what its pieces say, no pair more or less, and stays within the bounds of the wire."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from wire.coverage import MAX_PREFIXES, joined, pairs_of, port_texts
from wire.ports import MAX_SPEC, expand, format_ports, parse_ports
from wire.types import Coverage, Transport

_PIECES = st.builds(
    lambda prefixes, ports, transport: Coverage(tuple(prefixes), 4, format_ports(ports), transport),
    st.sets(st.sampled_from(["10.0.0.0/30", "10.0.0.4/31", "10.0.0.2/32", "10.0.0.6/32"]), min_size=1),
    st.sets(st.integers(1, 30), min_size=1),
    st.sampled_from(Transport),
)


def _pairs(items: tuple[Coverage, ...] | list[Coverage]) -> set[tuple[object, ...]]:
    return {
        (item.transport, address, port)
        for item in items
        for prefix in item.prefixes
        for address in ip_network(prefix)
        for port in expand(parse_ports(item.ports))
    }


@given(st.lists(_PIECES, max_size=8))
def test_joined_coverage_says_the_same(pieces: list[Coverage]) -> None:
    whole = joined(pieces)
    assert _pairs(whole) == _pairs(pieces)
    assert len(whole) <= len(pieces)


def test_what_came_host_by_host_is_one_line() -> None:
    pieces = [Coverage((f"10.0.{host // 256}.{host % 256}/32",), 4, "22,80", Transport.TCP) for host in range(512)]
    assert joined(pieces) == (Coverage(("10.0.0.0/23",), 4, "22,80", Transport.TCP),)
    assert pairs_of(joined(pieces)[0]) == 1024
    nothing_of_ports = Coverage(("2001:db8::/64",), 6)
    assert joined([nothing_of_ports, nothing_of_ports]) == (nothing_of_ports,)


def test_long_lists_become_several_lines() -> None:
    ports = range(1, 65536, 2)
    texts = list(port_texts((port, port) for port in ports))
    assert all(len(text) <= MAX_SPEC for text in texts)
    assert [port for text in texts for port in expand(parse_ports(text))] == list(ports)
    scattered = [Coverage((f"10.0.{host // 128}.{host % 128 * 2}/32",), 4, "1", Transport.UDP) for host in range(5000)]
    assert [len(item.prefixes) for item in joined(scattered)] == [MAX_PREFIXES, 5000 - MAX_PREFIXES]


def test_a_link_local_address_stays_on_its_link() -> None:
    pieces = [Coverage((f"fe80::{number}%{link}/128",), 6, "22", None) for number in (2, 3) for link in ("lan", "wlan")]
    plain = Coverage(("fe80::2/128", "fe80::3/128"), 6, "22", None)
    (whole,) = joined([*pieces, plain])
    assert whole.prefixes == ("fe80::2/127", *(prefix for piece in pieces for prefix in piece.prefixes))
