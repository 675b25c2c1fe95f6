"""The arithmetic of the ratios, for all counts: what is unknown can never make a yes or a no."""

from hypothesis import given
from hypothesis import strategies as st

from collector.ipv6.facts import gap
from collector.ipv6.ratios import Ratios, count, joined, ratios_of, tally
from collector.ipv6.reports.report import answer
from collector.ipv6.results import SITE, read, step, write
from collector.memory.registered import Entry, Kind
from probes.kit.ipv6.ladder import Level, Ratio, Rung, Standing, climb, lowest
from probes.kit.ipv6.model import Verdict

RUNGS = st.sampled_from(Rung)
LEVELS = st.tuples(RUNGS, RUNGS).map(lambda pair: Level(min(pair), max(pair)))
ANSWERS = st.lists(st.sampled_from([True, False, None]), max_size=60)
TARGETS = st.floats(0, 1)
VERDICTS = st.sampled_from([Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN])


def settled(found: list[bool | None], unknown: bool) -> list[bool]:
    return [unknown if item is None else item for item in found]


@given(ANSWERS, TARGETS)
def test_a_target_is_judged_by_what_every_outcome_would_say(found: list[bool | None], target: float) -> None:
    ratio = tally(found)
    worst, best = tally(settled(found, False)), tally(settled(found, True))
    assert worst.passed <= ratio.passed + ratio.unknown == best.passed
    if not found:
        assert ratio.meets(target) is None
    elif worst.meets(target):
        assert ratio.meets(target) is True
    elif best.meets(target) is False:
        assert ratio.meets(target) is False
    else:
        assert ratio.meets(target) is None
    assert answer(ratio.meets(target)) in ("yes", "no", "unknown")


@given(ANSWERS, ANSWERS)
def test_sums_are_those_of_all_together(one: list[bool | None], other: list[bool | None]) -> None:
    first, second = tally(one), tally(other)
    both = joined(first, second)
    assert both == tally(one + other)
    if one and other:
        assert min(first.confirmed, second.confirmed) <= both.confirmed <= max(first.confirmed, second.confirmed)
    assert both.passed + both.unknown <= both.total


@given(st.lists(LEVELS, max_size=30), RUNGS)
def test_levels_are_counted_for_certain_or_not_at_all(levels: list[Level], needed: Rung) -> None:
    ratio = count(levels, needed)
    assert ratio.total == len(levels)
    assert ratio.passed == sum(level.confirmed >= needed for level in levels)
    assert ratio.total - ratio.passed - ratio.unknown == sum(level.possible < needed for level in levels)


@given(st.lists(LEVELS, min_size=1, max_size=10))
def test_the_weakest_part_decides(levels: list[Level]) -> None:
    found = lowest(levels)
    assert found.confirmed <= found.possible
    assert all(found.confirmed <= level.confirmed and found.possible <= level.possible for level in levels)
    assert found.confirmed in [level.confirmed for level in levels]


@given(st.dictionaries(st.sampled_from(["WEB-AAAA", "WEB-TCP", "WEB-HTTP", "WEB-TLS", "WEB-PMTU"]), VERDICTS))
def test_learning_more_never_leaves_the_range(verdicts: dict[str, Verdict]) -> None:
    level = climb(verdicts)
    assert level.confirmed <= level.possible
    for answered in (Verdict.PASS, Verdict.FAIL):
        known = {name: answered if verdict is Verdict.UNKNOWN else verdict for name, verdict in verdicts.items()}
        assert level.confirmed <= climb(known).confirmed <= level.possible


@given(ANSWERS, TARGETS)
def test_a_gap_is_told_only_when_it_is_certain(found: list[bool | None], target: float) -> None:
    ratio, missing = tally(found), gap(tally(found), target)
    if missing is not None and missing > 0:
        assert ratio.possible < target
    if missing == 0:
        assert ratio.confirmed >= target


@given(st.lists(VERDICTS, max_size=30), st.integers(1, 5))
def test_what_stands_came_so_often_in_a_row_or_never_changed(results: list[Verdict], needed: int) -> None:
    standing = Standing()
    states = [standing.state]
    for number, result in enumerate(results, start=1):
        standing = step(standing, result, needed)
        assert read(write({"x": standing})) == {"x": standing}
        if standing.state is not states[-1]:
            assert number >= needed
            assert results[number - needed : number] == [standing.state] * needed
        elif number >= needed and results[number - needed : number] == [result] * needed:
            assert standing.state is result
        states.append(standing.state)


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_only_what_is_registered_is_counted(registered: set[int], hidden: set[int]) -> None:
    entries = [Entry("u", Kind.WEBSITE, f"{number}.test", "", "", "", None, "") for number in registered]
    seen = {(SITE, f"{number}.test"): Level(Rung.SINGLE_STACK, Rung.SINGLE_STACK) for number in hidden}
    ratio = ratios_of(entries, seen).websites
    assert (ratio.passed, ratio.total, ratio.unknown) == (
        len(registered & hidden), len(registered), len(registered - hidden),
    )  # fmt: skip


def test_no_network_registered_leaves_it_open_and_no_website_does_not() -> None:
    full = Ratio(1, 1)
    assert Ratios(networks=full).meet(0.9) is True
    assert Ratios(websites=full, systems=full).meet(0.9) is None
    assert Ratios(networks=full, websites=Ratio(0, 1)).meet(0.9) is False
    assert Ratios(networks=full, websites=Ratio(0, 1, 1)).meet(0.9) is None
