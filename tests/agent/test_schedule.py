"""The scheduler on a clock of the test's own: rhythm, jitter, no overlap, no burst."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tasks.schedule import GAP, JITTER, SPREAD, Schedule


def halves() -> float:
    return 0.5


def numbers(*values: float) -> "Iterator[float]":
    while True:
        yield from values


def test_first_runs_are_spread_but_soon() -> None:
    schedule = Schedule({"often": 10, "seldom": 86_400}, 1000, halves)
    assert schedule.due(1000) is None
    assert schedule.wait(1000) == pytest.approx(0.5)  # half of a tenth of its interval
    assert schedule.due(1000.5) == "often"
    schedule.start("often", 1000.5)
    assert schedule.wait(1000.5) == pytest.approx(SPREAD / 2 - 0.5)
    assert schedule.due(1000 + SPREAD / 2) == "seldom"


def test_the_rhythm_holds_whatever_the_jitter() -> None:
    source = numbers(0.0, 0.999, 0.3)
    schedule = Schedule({"a": 100}, 0, lambda: next(source))
    now, runs = 0.0, []
    while len(runs) < 200:
        now += 1
        if schedule.due(now) == "a":
            runs.append(now)
            schedule.start("a", now)
            schedule.finish("a", now + 1)
    for number, run in enumerate(runs):
        assert abs(run - number * 100) <= 100 * JITTER + 12  # jitter never adds up


def test_a_task_never_overlaps_itself() -> None:
    schedule = Schedule({"a": 10}, 0, halves)
    schedule.start("a", 1)
    assert schedule.due(500) is None
    assert schedule.wait(500) is None
    schedule.finish("a", 500)
    assert schedule.due(500) is None  # the runs it missed are not made up for
    assert schedule.due(511) == "a"


def test_a_task_that_is_held_back_keeps_nobody_awake() -> None:
    schedule = Schedule({"held": 10, "other": 1000}, 0, halves)
    assert schedule.due(20, {"held"}) is None
    assert schedule.wait(20) == 0
    assert schedule.wait(20, {"held"}) == pytest.approx(SPREAD / 2 - 20)
    assert schedule.wait(20, {"held", "other"}) is None
    assert schedule.due(20) == "held"


def test_the_one_that_waited_longest_goes_first() -> None:
    schedule = Schedule({"a": 30, "b": 20}, 0, halves)
    assert schedule.due(100) == "b"
    schedule.start("b", 100)
    assert schedule.due(100) == "a"


def test_after_a_gap_nothing_starts_at_once() -> None:
    source = numbers(*(n / 10 for n in range(10)))
    schedule = Schedule({f"t{n}": 600 for n in range(10)}, 0, lambda: next(source))
    for n in range(10):
        schedule.start(f"t{n}", 1)
        schedule.finish(f"t{n}", 2)
    schedule.due(60)
    woken = 60 + GAP + 10_000
    starts = []
    for second in range(200):
        while (name := schedule.due(woken + second)) is not None:
            starts.append(second)
            schedule.start(name, woken + second)
            schedule.finish(name, woken + second)
    assert len(starts) == 10
    assert len(set(starts)) >= 9
    assert max(starts) <= SPREAD


def test_a_late_run_is_not_followed_at_once_by_the_next() -> None:
    schedule = Schedule({"a": 100}, 0, halves)
    schedule.due(0)
    now = schedule.wait(0) or 0
    schedule.due(now + 99)
    schedule.start("a", now + 99)
    schedule.finish("a", now + 99)
    assert schedule.wait(now + 99) == pytest.approx(50)


def test_other_tasks_keep_their_rhythm_when_one_changes() -> None:
    schedule = Schedule({"a": 100, "b": 100}, 0, halves)
    schedule.start("a", 10)
    schedule.replace({"a": 50, "b": 100, "c": 10}, 11)
    assert schedule.due(12) == "b"
    schedule.start("b", 12)
    assert schedule.due(12) == "c"
    schedule.start("c", 12)
    assert schedule.due(50) is None  # the one that runs still runs, though its interval changed
    schedule.finish("a", 51)
    schedule.finish("gone", 51)
    assert schedule.due(90) == "a"


def test_hastened_tasks_are_due_now() -> None:
    schedule = Schedule({"a": 1000, "b": 1000}, 0, halves)
    schedule.hasten(["b"], 1)
    assert schedule.due(1) == "b"
    schedule.start("b", 1)
    assert schedule.due(1) is None


def test_nothing_to_do_never_ends_the_wait() -> None:
    assert Schedule({}, 0, halves).wait(0) is None


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1e6), min_size=1),
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e3)), max_size=60),
    st.floats(0, 0.999),
)
def test_whatever_the_clock_does(intervals: dict[str, float], steps: list[tuple[float, float]], jitter: float) -> None:
    schedule = Schedule(intervals, 0, lambda: jitter)
    now, running, last = 0.0, set[str](), dict[str, float]()
    for ahead, takes in steps:
        now += ahead
        name = schedule.due(now)
        if name is not None:
            assert name not in running
            if name in last:
                assert now - last[name] >= intervals[name] * 0.499
            last[name] = now
            schedule.start(name, now)
            running.add(name)
        wait = schedule.wait(now)
        assert wait is None if running == intervals.keys() else wait is not None and wait >= 0
        if running and takes > 300:
            now += takes
            ended = min(running)
            running.remove(ended)
            schedule.finish(ended, now)
