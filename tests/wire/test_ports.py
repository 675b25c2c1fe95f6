"""Port sets: reading and writing are inverse, and faults name the part."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.ports import MAX_PORT, MAX_SPEC, contains, expand, format_ports, merge_ranges, parse_ports, without

_PORTS = st.frozensets(st.integers(0, MAX_PORT) | st.integers(0, 30), max_size=40)


@given(_PORTS)
def test_what_is_written_is_read_back(ports: frozenset[int]) -> None:
    assert set(expand(parse_ports(format_ports(ports)))) == ports


@given(st.lists(st.tuples(st.integers(0, MAX_PORT), st.integers(0, 300)).map(lambda p: (p[0], min(sum(p), MAX_PORT)))))
def test_ranges_are_merged_sorted_and_apart(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(merged))
    assert set(expand(merged)) == {port for low, high in ranges for port in range(low, high + 1)}
    assert parse_ports(",".join(f"{low}-{high}" for low, high in ranges)) == merged


@given(_PORTS, _PORTS)
def test_what_is_taken_out_is_gone_and_nothing_else(ports: frozenset[int], gone: frozenset[int]) -> None:
    left = without(parse_ports(format_ports(ports)), gone)
    assert set(expand(left)) == ports - gone
    assert left == merge_ranges(left)


@given(_PORTS, st.integers(0, MAX_PORT))
def test_contains_agrees_with_the_list(ports: frozenset[int], port: int) -> None:
    assert contains(parse_ports(format_ports(ports)), port) == (port in ports)


@pytest.mark.parametrize(
    ("spec", "ranges"),
    [
        ("", ()),
        ("  ", ()),
        ("22", ((22, 22),)),
        (" 80 , 22 ", ((22, 22), (80, 80))),
        ("8000 - 8100", ((8000, 8100),)),
        ("1-65535", ((1, 65535),)),
        ("0,1", ((0, 1),)),
        ("5,4,3", ((3, 5),)),
        ("00022", ((22, 22),)),
    ],
)
def test_every_spelling_means_its_ranges(spec: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse_ports(spec) == ranges


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("22,,80", "empty part in port set '22,,80'"),
        (",", "empty part in port set ','"),
        ("ssh", "'ssh' is not a port or a range of ports such as 8000-8100"),
        ("-22", "'-22' is not a port"),
        ("22-", "'22-' is not a port"),
        ("+22", "is not a port"),
        ("2 2", "is not a port"),
        ("٢٢", "is not a port"),
        ("1-2-3", "is not a port"),
        ("65536", "'65536' is outside 0-65535"),
        ("0-65536", "is outside 0-65535"),
        ("9" * 100, "is outside 0-65535"),
        ("90-80", "'90-80' runs backwards; write 80-90"),
        ("1" * (MAX_SPEC + 1), "port set longer than 4096 characters"),
    ],
)
def test_faults_name_the_part(spec: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault.replace("+", r"\+")):
        parse_ports(spec)


@given(st.text(max_size=30))
def test_any_other_text_is_a_value_error(spec: str) -> None:
    try:
        ranges = parse_ports(spec)
    except ValueError:
        return
    assert parse_ports(format_ports(expand(ranges))) == ranges
