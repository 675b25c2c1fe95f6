"""The tables that rules refer to are whole, and targets are found by place, kind and day."""

import re
from datetime import date

import pytest

from rules.data import (
    AUDIENCES,
    audience_of,
    clauses,
    high_risk,
    policies,
    ports,
    profile_for,
    province_of,
    read_targets,
)
from rules.errors import RulesError
from rules.model import Confidence, Severity
from wire.text import Text

TODAY = date(2026, 11, 22)


def test_clauses_and_their_counterparts_name_each_other() -> None:
    by_level = {level: [c for c in clauses().values() if c.level == level] for level in (2, 3)}
    assert (len(by_level[3]), len(by_level[2])) == (77, 44)
    for clause in clauses().values():
        chapter = {2: "7", 3: "8"}[clause.level]
        assert re.fullmatch(rf"{chapter}\.1\.\d+\.\d+( [a-j])?", clause.number)
        assert re.fullmatch(rf"L{clause.level}-[A-Z]{{3}}\d-\d{{2}}", clause.unit)
        assert clause.meaning.zh
        assert clause.meaning.en
        if clause.counterpart:
            assert clauses()[clause.counterpart].counterpart == clause.number
    assert len({clause.unit for clause in clauses().values()}) == len(clauses())


@pytest.mark.parametrize(
    "number",
    ["8.1.2.1 b", "8.1.3.1 b", "8.1.5.4 a", "8.1.5.4 b", "8.1.5.4 c", "8.1.5.4 d", "8.1.5.4 e", "8.1.5.4 f"],
)
def test_clauses_of_level_3_only(number: str) -> None:
    assert clauses()[number].counterpart == ""


def test_backup_moved_between_the_levels() -> None:
    assert clauses()["8.1.4.9 a"].counterpart == "7.1.4.8 a"


def test_policy_items_name_document_and_section() -> None:
    assert sum(item.metric != "capability" for item in policies().values()) == 24
    for item_id, item in policies().items():
        assert item_id == item.id
        assert item.province in ("32", "41", "45", "64")
        assert item.section
        assert item.meaning.zh
        assert item.meaning.en
        assert set(item.audience) <= set(AUDIENCES)
        assert (item.metric == "capability") == (item.op == "")
        assert item.op in ("", "eq", "ge")
    assert policies()["NX-BW-K12"].cite() == "宁政发〔2018〕49号 二（四）11"
    assert policies()["HA-WHITELIST"].cite() == "《河南省“十四五”教育信息化发展规划》 三（七）25"


def test_a_high_risk_port_says_how_grave_and_how_sure() -> None:
    smb = high_risk(445, "tcp")
    assert smb is not None
    assert (smb.service.en, smb.severity, smb.confidence) == ("SMB", Severity.CRITICAL, Confidence.VERIFIED)
    assert smb.never_on_internet
    assert not smb.clear_text
    docker = high_risk(2375, "tcp")
    assert docker is not None
    assert docker.confidence is Confidence.COMMON
    assert high_risk(138, "udp") is not None
    assert high_risk(443, "tcp") is None
    assert high_risk(22, "udp") is None
    never = {risk.port for risk in ports().values() if risk.never_on_internet}
    assert never == {22, 135, 137, 138, 139, 445, 3389}
    assert {risk.port for risk in ports().values() if risk.clear_text} == {21, 23, 512, 513, 514, 5900, 5901}
    for risk in ports().values():
        assert risk.reason.zh
        assert risk.reason.en
        assert risk.severity >= Severity.MEDIUM
    assert ports()[9100, "tcp"].service == Text("打印（RAW）", "raw printing")


@pytest.mark.parametrize(
    ("division", "kind", "school", "mbps", "item"),
    [
        ("640104", "school", "2164000001", 200, "NX-BW-K12"),
        ("640104", "school", "", 200, "NX-BW-K12"),
        ("640104", "school", "1164000001", 200, "NX-BW-K12"),
        ("640104", "school", "3664000001", 1000, "NX-BW-HE"),
        ("640100", "university", "4164010001", 1000, "NX-BW-HE"),
        ("410102", "school", "2141000001", 100, "HA-BASE-100M"),
        ("320102", "school", "2132000001", 1000, "JS-BW"),
        ("450102", "school", "2145000001", 100, "GX-BW"),
    ],
)
def test_each_province_and_kind_of_school_has_its_bandwidth_target(
    division: str, kind: str, school: str, mbps: int, item: str
) -> None:
    target = profile_for(division, kind, TODAY, school)["egress_bps"]
    assert (target.value, target.item.id) == (mbps * 1_000_000, item)


@pytest.mark.parametrize(
    ("division", "kind", "school"),
    [
        ("440103", "school", "2144000001"),
        ("640104", "county", ""),
        ("320102", "university", "4132010001"),
        ("410102", "school", "1141000001"),
        ("", "school", ""),
        ("6", "school", ""),
        ("640104", "", ""),
    ],
)
def test_where_no_plan_sets_a_target_there_is_none(division: str, kind: str, school: str) -> None:
    assert "egress_bps" not in profile_for(division, kind, TODAY, school)


def test_a_target_holds_from_the_day_it_was_due() -> None:
    assert "egress_bps" not in profile_for("640104", "school", date(2020, 12, 30))
    assert "egress_bps" in profile_for("640104", "school", date(2020, 12, 31))


def test_shares_are_for_those_above_the_schools() -> None:
    assert profile_for("320100", "city", TODAY)["ipv6_ratio"].value == 0.9
    assert profile_for("410000", "province", TODAY)["ipv6_ratio"].value == 1.0
    assert profile_for("320102", "county", TODAY)["schools_at_egress_target_ratio"].value == 0.95


def test_a_later_target_takes_the_place_of_an_earlier_one() -> None:
    entry = '[[target]]\nprovince = "64"\nfor = ["school"]\nmetric = "egress_bps"\nitem = "NX-BW-K12"\n'
    steps = ((5e8, "2026-01-01"), (2e8, "2020-12-31"), (1e9, "2030-12-31"))
    raw = "".join(f"{entry}value = {value}\ndue = {due}\n" for value, due in steps)
    own = read_targets(raw.encode(), "own.toml")
    assert profile_for("640104", "school", TODAY, among=own)["egress_bps"].value == 5e8


def test_faults_of_a_profile_are_all_named() -> None:
    raw = b"""
    [[target]]
    province = 64
    for = ["pupil"]
    metric = ""
    value = "fast"
    due = "2020"
    item = "NX-BW-K13"
    unit = "bit"
    [[target]]
    province = "6x"
    metric = "egress_bps"
    value = nan
    due = 2020-12-31T00:00:00
    [profile]
    """
    with pytest.raises(RulesError) as caught:
        read_targets(raw, "own.toml")
    assert [(fault.file, fault.key) for fault in caught.value.faults] == [
        ("own.toml", "profile"),
        ("own.toml", "target[1].unit"),
        ("own.toml", "target[1].item"),
        ("own.toml", "target[1].for[1]"),
        ("own.toml", "target[1].province"),
        ("own.toml", "target[1].metric"),
        ("own.toml", "target[1].value"),
        ("own.toml", "target[1].due"),
        ("own.toml", "target[2].item"),
        ("own.toml", "target[2].for"),
        ("own.toml", "target[2].province"),
        ("own.toml", "target[2].value"),
        ("own.toml", "target[2].due"),
    ]


@pytest.mark.parametrize(
    ("unit", "province"),
    [
        ("640104", "64"),
        ("2164000001", "64"),
        ("1144001800", "44"),
        ("", ""),
        ("64010", ""),
        ("64010x", ""),
        ("６４０１０４", ""),
    ],
)
def test_the_province_of_a_unit(unit: str, province: str) -> None:
    assert province_of(unit) == province


def test_only_schools_are_told_apart_by_their_code() -> None:
    assert audience_of("school", "1164000001") == "kindergarten"
    assert audience_of("school", "640104") == "school"
    assert audience_of("county", "1164000001") == "county"
