"""A scan in batches: what is left is what is not covered, and no batch is longer than the time allows."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from edusec.scan.request.wanted import Part
from edusec.scan.run import batches as parted
from edusec.scan.run.batches import Area, Pace, areas
from probes.kit.scope.targets import parse_targets
from wire.ports import MAX_SPEC, format_ports
from wire.types import Coverage, Transport

TODAY = datetime.now(UTC).date()
_PAIR = tuple[int, int]


def _pairs(area: Area) -> set[_PAIR]:
    return {(int(address), port) for span in area.spans for address in span for port in area.ports}


@given(
    ports=st.sets(st.integers(1, 65535), min_size=1, max_size=40),
    covered=st.lists(
        st.tuples(st.integers(0, 31), st.integers(0, 31), st.sets(st.integers(1, 65535), min_size=1, max_size=20)),
        max_size=6,
    ),
)
def test_what_is_left_is_what_is_not_covered(ports: set[int], covered: list[tuple[int, int, set[int]]]) -> None:
    spans = parse_targets(["198.18.0.0/28", "198.18.0.20-25"])
    coverage = [
        Coverage(
            (f"198.18.0.{min(low, high)}/32", f"198.18.0.{max(low, high)}/32"), 4, format_ports(some), Transport.TCP
        )
        for low, high, some in covered
    ]
    part = Part(Transport.TCP, format_ports(ports), {})
    left = areas([part], spans, coverage)
    base = int(parse_targets(["198.18.0.0"])[0].low)
    gone = {(base + host, port) for low, high, some in covered for host in (low, high) for port in some}
    everything = {(int(address), port) for span in spans for address in span for port in ports}
    found = [_pairs(area) for area in left]
    assert set().union(*found) == everything - gone
    assert sum(map(len, found)) == len(everything - gone)  # nothing twice
    # Coverage of the other transport is none.
    assert sum(area.pairs for area in areas([replace(part, transport=Transport.UDP)], spans, coverage)) == len(
        everything
    )


def test_a_link_local_address_of_one_link_is_not_covered_by_that_of_another() -> None:
    part = Part(Transport.TCP, "22", {})
    coverage = [Coverage(("fe80::1%eth0/128", "2001:db8::1/128"), 6, "22", Transport.TCP)]
    left = areas([part], parse_targets(["fe80::1%eth0", "fe80::1%eth1", "2001:db8::1"]), coverage)
    assert [[str(address) for span in area.spans for address in span] for area in left] == [["fe80::1%eth1"]]


@settings(max_examples=12)
@given(hosts=st.integers(1, 3000), ports=st.integers(1, 70), many=st.booleans(), speed=st.floats(1, 1e6))
def test_batches_are_the_area_piece_by_piece(hosts: int, ports: int, many: bool, speed: float) -> None:
    numbers = tuple(range(1, 65536, 13)) if many else tuple(range(1, ports + 1))
    hosts = min(hosts, 70) if many else hosts
    spans = parse_targets(["127.0.0.1", "2001:db8::/123", f"10.0.0.1-10.0.{hosts // 250}.{hosts % 250 + 1}"])
    area = Area(Part(Transport.TCP, "", {}), spans, numbers)
    pace = Pace(Transport.TCP, 1000, time.monotonic() + 3600)
    seen: list[_PAIR] = []
    for batch in parted.batches(area, pace):
        assert len(format_ports(batch.area.ports)) <= MAX_SPEC
        assert len(batch.targets) <= 900
        assert {(s.family, s.low, s.high) for s in parse_targets(batch.targets)} >= {
            (s.family, s.low, s.high) for s in batch.area.spans if s.family == 4
        }
        seen += _pairs(batch.area)
        pace.took(batch.area.pairs, batch.area.pairs / speed)
    assert len(seen) == len(set(seen))
    assert set(seen) == _pairs(area)


def test_a_batch_is_no_larger_than_the_time_that_is_left_allows() -> None:
    assert Pace(Transport.TCP, 100_000, time.monotonic() + 3600).pairs == 1_000_000
    assert Pace(Transport.TCP, 100_000, time.monotonic() + 4).pairs <= 120_000
    spent = Pace(Transport.TCP, 100_000, time.monotonic() - 1)
    spent.took(1_000_000, 1.0)
    assert spent.pairs == parted.LEAST_PAIRS
