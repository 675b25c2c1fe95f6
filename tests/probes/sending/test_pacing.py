"""The token bucket keeps its rate over any span, and quiet hours are read as people write them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.sending.pacing import Pace, QuietHours


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.floats(0.5, 1e5),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(0, 500)), max_size=50),
)
def test_no_more_leaves_than_burst_and_rate_allow(rate: float, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(rate, clock=clock)
    sent = 0
    for wait, wanted in steps:
        clock.now += wait
        count = min(wanted, pace.available())
        pace.spend(count)
        sent += count
        assert sent <= pace.burst + (clock.now - 100.0) * rate + 1e-6


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    pace = Pace(10, clock=clock)
    for _ in range(50):
        clock.now += pace.wait() + 1e-9
        assert pace.available() >= 1
        pace.spend(1)
    assert clock.now - 100.0 == pytest.approx(4.9, abs=0.01)


def test_a_debt_is_waited_for() -> None:
    clock = Clock()
    pace = Pace(100, burst=10, clock=clock)
    pace.spend(110)
    assert pace.available() <= 0
    assert pace.wait() == pytest.approx(1.01)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pace(rate)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("07:30-12:00", ["07:30", "11:59"], ["07:29", "12:00", "00:00"]),
        ("22:00-06:00", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "21:59"]),
        (" 8:00 - 9:30 ", ["08:00", "09:29"], ["09:30"]),
    ],
)
def test_quiet_hours_hold_in_local_time_and_over_midnight(text: str, inside: list[str], outside: list[str]) -> None:
    hours = QuietHours.parse(text)
    for moment in inside:
        assert datetime.fromisoformat(f"2026-11-22T{moment}:30+08:00") in hours
    for moment in outside:
        assert datetime.fromisoformat(f"2026-11-22T{moment}:00+08:00") not in hours
    assert QuietHours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "07:30",
        "7-8",
        "25:00-26:00",
        "07:60-08:00",
        "07:30-07:30",
        "a:b-c:d",
        "07:30-08:00-09:00",
        "٠٧:30-08:00",
        "07:٣0-08:00",
        "0_7:30-08:00",
        "+7:30-08:00",
        "007:30-08:00",
    ],
)
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"07:30|00:00-23:59"):
        QuietHours.parse(text)
