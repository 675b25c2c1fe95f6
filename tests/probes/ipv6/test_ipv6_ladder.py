"""Levels, ratios and changes of state: what is unknown neither raises nor lowers anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.ipv6.ladder import REQUIRED, Level, Ratio, Rung, Standing, climb, forecast, settle, together
from probes.kit.ipv6.model import Verdict

VERDICT = st.sampled_from(Verdict)
NAMES = [name for required in REQUIRED.values() for name in required]


# The ladder.


@given(st.dictionaries(st.sampled_from(NAMES), VERDICT))
def test_unknown_never_lowers_what_is_possible_and_never_raises_what_is_confirmed(found: dict[str, Verdict]) -> None:
    level = climb(found)
    assert level.confirmed <= level.possible
    for name in NAMES:
        blind = climb({**found, name: Verdict.UNKNOWN})
        assert blind.possible >= level.possible
        assert blind.confirmed <= level.confirmed
        assert climb({**found, name: Verdict.FAIL}).possible <= level.possible
        assert climb({**found, name: Verdict.PASS}).confirmed >= level.confirmed


@given(st.permutations(NAMES), st.integers(0, len(NAMES)))
def test_a_level_is_the_highest_rung_with_every_rung_below_it_passed(order: list[str], passed: int) -> None:
    good = set(order[:passed])
    level = climb({name: Verdict.PASS if name in good else Verdict.FAIL for name in NAMES})
    expected = Rung.NONE
    for rung, required in REQUIRED.items():
        if not set(required) <= good:
            break
        expected = rung
    assert level == Level(expected, expected)


def test_nothing_known_is_anything_possible() -> None:
    assert climb({}) == Level(Rung.NONE, Rung.SINGLE_STACK)
    assert climb({"WEB-AAAA": Verdict.FAIL}) == Level(Rung.NONE, Rung.NONE)


def test_blocked_is_unknown_for_the_ladder() -> None:
    found = dict.fromkeys(NAMES, Verdict.PASS)
    assert climb(found) == Level(Rung.SINGLE_STACK, Rung.SINGLE_STACK)
    assert climb({**found, "WEB-HTTP": Verdict.BLOCKED}) == Level(Rung.PUBLISHED, Rung.SINGLE_STACK)


def test_the_forecast_has_the_seven_indicators() -> None:
    found = {**dict.fromkeys(NAMES, Verdict.PASS), "DNS-CHAIN": Verdict.FAIL, "WEB-L3": Verdict.UNKNOWN}
    assert forecast(found) == (Verdict.PASS,) * 3 + (Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.UNKNOWN)
    assert together([]) is Verdict.UNKNOWN
    assert together([Verdict.WARN, Verdict.PASS]) is Verdict.WARN


# Ratios.

COUNTS = st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))


@given(COUNTS, st.floats(0, 1))
def test_a_target_is_met_only_when_the_worst_case_meets_it(counts: tuple[int, int, int], target: float) -> None:
    passed, failed, open_ = counts
    ratio = Ratio(passed, passed + failed + open_, open_)
    assert 0 <= ratio.confirmed <= ratio.possible <= 1
    worst, best = Ratio(passed, ratio.total), Ratio(passed + open_, ratio.total)
    if not ratio.total:
        assert ratio.meets(target) is None
    elif ratio.meets(target):
        assert worst.meets(target)
    elif ratio.meets(target) is False:
        assert best.meets(target) is False
    else:
        assert open_
        assert worst.meets(target) is False
        assert best.meets(target) is True


@given(COUNTS)
def test_a_verdict_stands_only_if_the_unknown_cannot_change_it(counts: tuple[int, int, int]) -> None:
    passed, failed, open_ = counts
    ratio = Ratio(passed, passed + failed + open_, open_)
    verdict = ratio.judge(0.9, 0.8)
    if verdict is not Verdict.UNKNOWN:
        for more in range(open_ + 1):
            assert Ratio(passed + more, ratio.total).judge(0.9, 0.8) is verdict


def test_a_ratio_reads_as_counts_and_a_range() -> None:
    ratio = Ratio(82, 100, 6)
    assert ratio.text.en == "82 of 100 (6 unknown)"
    assert ratio.text.zh == "82/100（6 个未知）"
    assert ratio.range == "82-88%"
    assert Ratio(899, 1000).range == "89%"  # never rounded up to the target
    assert Ratio(0, 0).range == "-"
    with pytest.raises(ValueError, match="3 passed"):
        Ratio(3, 2)


# States.


@given(st.lists(VERDICT, max_size=30))
def test_a_state_changes_only_after_three_equal_results(results: list[Verdict]) -> None:
    standing = Standing()
    for number, result in enumerate(results, start=1):
        before, standing = standing, settle(standing, result)
        last = results[max(0, number - 3) : number]
        expected = result if len(last) == 3 and len(set(last)) == 1 else before.state
        assert standing.state is expected
