"""Judging: total, with evidence and citation; colours as in the table of severity x level x exposure."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.data import policies
from rules.evaluate import COLOURS, colour, colour_of, judge
from rules.facts import EXPOSURES, Subject, SubjectKind, facts_of
from rules.loader import load_packs
from rules.model import Basis, Colour, Condition, Minimum, Rule, Severity, Verdict
from tests.rules.test_predicates import VALUES
from wire.text import Text

RULES = load_packs()
LEVELS = (1, None, 2, 3, 4, 5)
ISOLATED, LAN, EDU, INTERNET = EXPOSURES


def rule(**changes: Any) -> Rule:
    """Give a rule about open ports."""
    made = Rule(
        id="r",
        title=Text("标题", "title"),
        select=SubjectKind.SERVICE,
        when=Condition("eq", "state", "open"),
        severity=Severity.MEDIUM,
        basis=Basis({3: "8.1.3.1 b"}, (policies()["HA-WHITELIST"], policies()["NX-MONITOR"])),
        remedy=Text("办法", "remedy"),
    )
    return dataclasses.replace(made, **changes)


def judged(made: Rule, unit: str = "", **facts: Any) -> Any:
    """Judge one service by one rule."""
    return judge([made], Subject(SubjectKind.SERVICE, "id", unit, "label", facts))[0]


# The whole table: for each protection level and exposure the colours of info, low, medium, high and critical.
_TABLE = """
level     isolated  lan    edu    internet
1         .bbby     .bbyo  .bbyo  .byor
ungraded  .bbyo     .byor  .byor  .yorr
2         .bbyo     .byor  .byor  .yorr
3         .byor     .yorr  .yorr  .orrr
4         .byor     .yorr  .yorr  .orrr
5         .byor     .yorr  .yorr  .orrr
"""


def test_the_whole_table_of_colours() -> None:
    names = {".": "none", "b": "blue", "y": "yellow", "o": "orange", "r": "red"}
    rows = [line.split() for line in _TABLE.strip().splitlines()[1:]]
    assert len(rows) == 6
    for name, *cells in rows:
        level = None if name == "ungraded" else int(name)
        for exposure, cell in zip(EXPOSURES, cells, strict=True):
            for severity, letter in zip(Severity, cell, strict=True):
                assert colour(severity, level, exposure) == names[letter], (level, exposure, severity)


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("level", LEVELS)
def test_an_unknown_exposure_counts_as_the_campus_network(severity: Severity, level: int | None) -> None:
    assert colour(severity, level) == colour(severity, level, LAN)


_ORDERS = (
    tuple(Severity),
    LEVELS,
    (ISOLATED, None, LAN, EDU, INTERNET),
    COLOURS,
    COLOURS,
    (False, True),
    (True, False),
)


def test_no_step_up_ever_gives_a_milder_colour() -> None:
    def score(place: tuple[int, ...]) -> int:
        severity, level, exposure, low, high, children, mitigated = (
            order[index] for order, index in zip(_ORDERS, place, strict=True)
        )
        found = colour(
            severity,  # type: ignore[arg-type]
            level,  # type: ignore[arg-type]
            exposure,  # type: ignore[arg-type]
            minimum=low,  # type: ignore[arg-type]
            maximum=high,  # type: ignore[arg-type]
            children_data=bool(children),
            mitigated=bool(mitigated),
        )
        return COLOURS.index(found)

    every = itertools.product(*(range(len(order)) for order in _ORDERS))
    scores = {place: score(place) for place in every}
    for place, found in scores.items():
        for axis in range(len(_ORDERS)):
            higher = (*place[:axis], place[axis] + 1, *place[axis + 1 :])
            assert scores.get(higher, 4) >= found, (place, higher)


def test_minimum_then_children_then_maximum_then_mitigation() -> None:
    def low(**changes: Any) -> Colour:
        return colour(Severity.LOW, 2, LAN, **changes)

    assert low() is Colour.BLUE
    assert low(minimum=Colour.ORANGE) is Colour.ORANGE
    assert low(minimum=Colour.ORANGE, children_data=True) is Colour.RED
    assert low(children_data=True) is Colour.YELLOW
    assert low(minimum=Colour.RED, children_data=True, maximum=Colour.BLUE) is Colour.BLUE
    assert low(minimum=Colour.ORANGE, mitigated=True) is Colour.YELLOW
    assert low(mitigated=True) is Colour.BLUE
    assert colour(Severity.INFO, 5, INTERNET, minimum=Colour.RED, children_data=True) is Colour.NONE


FLOOR = Minimum(Colour.ORANGE, 2, (LAN, EDU, INTERNET))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, Colour.ORANGE),
        ({"mlps_level": 2}, Colour.ORANGE),
        ({"mlps_level": 1}, Colour.BLUE),
        ({"mlps_level": 3}, Colour.ORANGE),
        ({"exposure": ISOLATED}, Colour.BLUE),
        ({"exposure": INTERNET}, Colour.ORANGE),
        ({"exposure": "unknown"}, Colour.ORANGE),
        ({"exposure": "moon", "mlps_level": 9}, Colour.ORANGE),
        ({"maintenance": True}, Colour.BLUE),
        ({"maintenance": "unknown"}, Colour.ORANGE),
        ({"mitigated": True}, Colour.YELLOW),
        ({"children_data": True}, Colour.RED),
        ({"address": "127.0.0.1"}, Colour.BLUE),
        ({"address": "127.0.0.1", "exposure": INTERNET}, Colour.ORANGE),
        ({"address": "::1"}, Colour.BLUE),
        ({"address": "::ffff:127.0.0.1"}, Colour.BLUE),
        ({"address": "192.0.2.1"}, Colour.ORANGE),
    ],
)
def test_floors_and_caps_of_a_rule(facts: dict[str, Any], expected: Colour) -> None:
    found = judged(rule(severity=Severity.LOW, minimum=(FLOOR,)), state="open", **facts)
    assert found.colour is expected


def test_the_strictest_floor_counts_and_the_cap_of_the_rule_holds() -> None:
    strict = rule(severity=Severity.LOW, minimum=(Minimum(Colour.RED, 3), Minimum(Colour.YELLOW)))
    assert colour_of(strict, {"mlps_level": 3}) is Colour.RED
    assert colour_of(strict, {"mlps_level": 2}) is Colour.YELLOW
    assert colour_of(dataclasses.replace(strict, maximum=Colour.BLUE), {"mlps_level": 5}) is Colour.BLUE


@given(
    st.sampled_from(list(SubjectKind)).flatmap(
        lambda kind: st.builds(
            Subject,
            st.just(kind),
            st.text(max_size=3),
            st.text(max_size=12) | st.sampled_from(["640104", "2164000001"]),
            st.text(max_size=3),
            st.dictionaries(st.sampled_from(list(facts_of(kind))) | st.text(max_size=5), VALUES, max_size=12),
        )
    )
)
def test_judging_raises_nothing_whatever_the_facts(subject: Subject) -> None:
    found = judge(RULES, subject)
    assert [one.rule.id for one in found] == [one.id for one in RULES if one.select is subject.kind]
    for one in found:
        assert one.subject is subject
        assert (one.colour is Colour.NONE) == (one.verdict is not Verdict.MATCH)
        assert set(one.evidence) == {*one.rule.reads, *one.rule.shows}
    assert judge(RULES, subject) == found or any(value != value for value in subject.facts.values())


def test_evidence_is_what_the_rule_read_with_unknown_as_none() -> None:
    made = rule(
        when=Condition("any", parts=(Condition("eq", "state", "open"), Condition("eq", "product", "x"))),
        given=Condition("known", "port_risk", True),
    )
    found = judged(made, state="open", port=445, transport="tcp", family=4)
    assert found.evidence == {"port_risk": "critical", "state": "open", "product": None}
    assert list(found.evidence) == ["port_risk", "state", "product"]


def test_what_is_given_must_hold_or_nothing_is_said() -> None:
    made = rule(given=Condition("eq", "family", 6))
    assert judged(made, state="open", family=6).verdict is Verdict.MATCH
    assert judged(made, state="closed", family=6).verdict is Verdict.NO_MATCH
    assert judged(made, state="open", family=4).verdict is Verdict.UNKNOWN
    assert judged(made, state="open").verdict is Verdict.UNKNOWN


def test_given_facts_are_never_replaced_by_derived_ones() -> None:
    made = rule(when=Condition("eq", "port_risk", "none"))
    assert judged(made, port=445, transport="tcp").verdict is Verdict.NO_MATCH
    assert judged(made, port=445, transport="tcp", port_risk="none").verdict is Verdict.MATCH
    assert judged(made, port=8888, transport="udp").verdict is Verdict.MATCH
    assert judged(made, port=8888).verdict is Verdict.UNKNOWN
    assert judged(made, transport="tcp").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("level", "unit", "citation"),
    [
        (3, "640104", "GB/T 22239-2019 8.1.3.1 b"),
        (4, "640104", "GB/T 22239-2019 8.1.3.1 b"),
        (5, "", "GB/T 22239-2019 8.1.3.1 b"),
        (2, "640104", "宁政发〔2018〕49号 二（十）29"),
        (None, "2164000001", "宁政发〔2018〕49号 二（十）29"),
        (1, "640104", "宁政发〔2018〕49号 二（十）29"),
        ("3", "640104", "宁政发〔2018〕49号 二（十）29"),
        (2, "410102", "《河南省“十四五”教育信息化发展规划》 三（七）25"),
        (None, "", "《河南省“十四五”教育信息化发展规划》 三（七）25"),
        (2, "440103", ""),
    ],
)
def test_a_judgement_cites_the_clause_of_its_level_or_the_policy(level: Any, unit: str, citation: str) -> None:
    assert judged(rule(), unit, mlps_level=level, state="open").citation == citation


def test_a_policy_item_is_cited_only_to_those_it_is_about() -> None:
    basis = Basis(items=(policies()["NX-BW-K12"], policies()["NX-BW-HE"]))
    made = rule(basis=basis)
    for kind, unit, item in (
        ("school", "2164000001", "NX-BW-K12"),
        ("school", "3664000001", "NX-BW-HE"),
        ("university", "4164010001", "NX-BW-HE"),
    ):
        subject = Subject(SubjectKind.SERVICE, "id", unit, "label", {"unit_kind": kind})
        assert judge([made], subject)[0].citation == policies()[item].cite()
    assert basis.cite(None, "64", "county") == ""
    assert basis.cite(None) == policies()["NX-BW-K12"].cite()
    assert basis.policy == "NX-BW-K12, NX-BW-HE"
