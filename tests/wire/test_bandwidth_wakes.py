"""How often a receiver is woken: rarely on a fast link, for each byte on a slow one or when nothing more comes."""

from hypothesis import given
from hypothesis import strategies as st

from wire.bandwidth import Wakes


def _after(rate: float, seconds: float = 1.0) -> int:
    wakes, now = Wakes(), 0.0
    while now < seconds:
        now += 0.01
        wakes.count(int(rate / 8 * 0.01), now)
    return wakes.low


def test_two_milliseconds_gather_and_never_more_than_a_mebibyte() -> None:
    assert _after(100e6) == 16 << 10
    assert _after(1e9) == 128 << 10
    assert _after(40e9) == 1 << 20
    assert _after(64e3) <= 16


def test_a_stall_is_seen_byte_by_byte_again() -> None:
    wakes = Wakes()
    wakes.count(10 << 20, 1.0)
    assert wakes.low > 1
    assert wakes.stalled()
    assert wakes.low == 1
    assert not wakes.stalled()


@given(st.lists(st.tuples(st.integers(0, 1 << 22), st.floats(0, 10)), max_size=50))
def test_whatever_comes_it_is_a_number_that_a_socket_takes(pieces: list[tuple[int, float]]) -> None:
    wakes, now = Wakes(), 0.0
    for moved, seconds in pieces:
        now += seconds
        before = wakes.low
        assert wakes.count(moved, now) == (wakes.low != before)
        assert 1 <= wakes.low <= 1 << 20
