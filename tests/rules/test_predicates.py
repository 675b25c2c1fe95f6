"""Conditions follow Kleene's logic: what is not known is never taken for a no."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.conditions import OPERATORS
from rules.model import Condition
from rules.predicates import COMBINATIONS, TESTS, all_of, any_of, holds, opposite

THREE = st.sampled_from([True, False, None])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["open", "closed", "filtered", "open_filtered", "unknown", "", "中"])
    | st.text(max_size=4)
)
VALUES = SCALARS | st.lists(st.text(max_size=3), max_size=3).map(tuple)
NAMES = st.sampled_from(["a", "b", "c"])
CONDITIONS = st.recursive(
    st.builds(Condition, st.sampled_from(TESTS), NAMES, VALUES | st.lists(SCALARS, max_size=3).map(tuple)),
    lambda inner: st.builds(
        lambda op, parts: Condition(op, parts=tuple(parts)),
        st.sampled_from(COMBINATIONS),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)
FACTS = st.dictionaries(NAMES, VALUES, max_size=3)


def test_the_truth_tables() -> None:
    # Rows: the first part is true, unknown, false; columns: the second one likewise.
    three = (True, None, False)
    assert [[all_of((a, b)) for b in three] for a in three] == [
        [True, None, False],
        [None, None, False],
        [False, False, False],
    ]
    assert [[any_of((a, b)) for b in three] for a in three] == [
        [True, True, True],
        [True, None, None],
        [True, None, False],
    ]
    assert [opposite(a) for a in three] == [False, None, True]


@given(st.lists(THREE, max_size=4), st.lists(THREE, max_size=4), THREE)
def test_the_laws_of_kleene_hold(one: list[bool | None], other: list[bool | None], part: bool | None) -> None:
    assert all_of(one) == all_of(reversed(one))
    assert all_of([all_of(one), all_of(other)]) == all_of([*one, *other])
    assert any_of([any_of(one), any_of(other)]) == any_of([*one, *other])
    assert opposite(all_of(one)) == any_of(map(opposite, one))
    assert opposite(any_of(one)) == all_of(map(opposite, one))
    assert opposite(opposite(part)) == part
    assert all_of([part, any_of([part, *one])]) == part
    assert any_of([part, all_of([part, *one])]) == part


@given(CONDITIONS, FACTS)
def test_every_condition_has_one_of_three_answers(condition: Condition, facts: dict[str, Any]) -> None:
    assert holds(condition, facts) in (True, False, None)
    assert holds(Condition("not", parts=(condition,)), facts) == opposite(holds(condition, facts))


def _asks_for_knowledge(condition: Condition) -> bool:
    return condition.op == "known" or any(map(_asks_for_knowledge, condition.parts))


@given(CONDITIONS.filter(lambda condition: not _asks_for_knowledge(condition)), FACTS, NAMES)
def test_knowing_less_never_turns_yes_into_no(condition: Condition, facts: dict[str, Any], forgotten: str) -> None:
    less = holds(condition, {name: value for name, value in facts.items() if name != forgotten})
    assert less in (None, holds(condition, facts))
    assert holds(condition, {**facts, forgotten: None}) == less
    assert holds(condition, {**facts, forgotten: "unknown"}) == less
    assert holds(condition, {**facts, forgotten: float("nan")}) == less


@given(st.sampled_from([op for op in TESTS if op != "known"]), VALUES)
def test_a_test_of_nothing_known_is_unknown(op: str, value: Any) -> None:
    assert holds(Condition(op, "a", value), {}) is None


@pytest.mark.parametrize(
    ("op", "fact", "value", "answer"),
    [
        ("eq", "open", "open", True),
        ("eq", "open", "closed", False),
        ("eq", 22, 22, True),
        ("eq", 22, 22.0, True),
        ("eq", True, 1, None),
        ("eq", 1, True, None),
        ("eq", "22", 22, None),
        ("ne", "open", "closed", True),
        ("ne", "open", "open", False),
        ("ne", "22", 22, None),
        ("lt", 1, 2, True),
        ("lt", 2, 2, False),
        ("le", 2, 2, True),
        ("gt", 2.5, 2, True),
        ("gt", 2, 2, False),
        ("ge", 2, 2.0, True),
        ("ge", float("inf"), 10**400, True),
        ("lt", "1", 2, None),
        ("lt", True, 2, None),
        ("in", 22, (21, 22), True),
        ("in", 23, (21, 22), False),
        ("in", 23, (), False),
        ("in", "22", (21, 22), None),
        ("not_in", 22, (21, 22), False),
        ("not_in", 23, (21, 22), True),
        ("contains", ("10.0.0.1", "::1"), "::1", True),
        ("contains", ("10.0.0.1",), "10.0.0", False),
        ("contains", "OpenSSH_9.2p1 Debian", "openssh", True),
        ("contains", "nginx", "openssh", False),
        ("contains", 22, "2", None),
        ("known", "open", True, True),
        ("known", None, True, False),
        ("known", "unknown", False, True),
        ("known", float("nan"), False, True),
        ("known", "", True, True),
        ("known", False, True, True),
    ],
)
def test_each_operator_answers_yes_no_or_unknown(op: str, fact: Any, value: Any, answer: bool | None) -> None:
    assert holds(Condition(op, "a", value), {"a": fact}) is answer


@pytest.mark.parametrize(
    ("op", "value", "answer"),
    [
        ("eq", "open", None),
        ("eq", "filtered", None),
        ("eq", "closed", False),
        ("eq", "open_filtered", True),
        ("ne", "open", None),
        ("ne", "closed", True),
        ("in", ("open", "filtered"), None),
        ("in", ("open", "open_filtered"), True),
        ("in", ("closed", "filtered"), None),
        ("not_in", ("closed",), True),
        ("not_in", ("open",), None),
    ],
)
def test_an_unanswered_udp_port_may_be_open_or_filtered(op: str, value: Any, answer: bool | None) -> None:
    assert holds(Condition(op, "state", value), {"state": "open_filtered"}) is answer


def test_every_operator_is_offered_to_some_fact_and_none_else() -> None:
    assert {op for allowed in OPERATORS.values() for op in allowed} == set(TESTS)


def test_a_condition_lists_the_facts_it_reads_in_order() -> None:
    part = Condition("not", parts=(Condition("eq", "b", 1),))
    assert Condition("all", parts=(Condition("eq", "c", 1), part, Condition("known", "a", True))).reads() == (
        "c",
        "b",
        "a",
    )
