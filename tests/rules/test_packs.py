"""The rules that edusec ships: every example, and what must be true of all of them together."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.data import clauses, ports
from rules.evaluate import judge
from rules.examples import ExampleResult, run_examples
from rules.facts import Subject, SubjectKind
from rules.loader import load_packs
from rules.model import Confidence, Rule, Severity, Verdict

RULES = {rule.id: rule for rule in load_packs()}
EXAMPLES = [result for rule in load_packs(run=False) for result in run_examples(rule)]

# 汉字
_CHINESE = re.compile("[\u4e00-\u9fff]")


def matched(kind: SubjectKind, unit: str = "640104", **facts: Any) -> set[str]:
    """Give the ids of the rules that match a subject with these facts."""
    subject = Subject(kind, "id", unit, "label", facts)
    return {found.rule.id for found in judge(RULES.values(), subject) if found.verdict is Verdict.MATCH}


@pytest.mark.parametrize("result", EXAMPLES, ids=lambda result: f"{result.rule.id}-{result.number}")
def test_every_example_gives_its_verdict(result: ExampleResult) -> None:
    assert result.fault is None


def test_the_pack_has_what_the_product_promises() -> None:
    assert set(RULES) >= {
        "unlisted-asset",
        "unlisted-port",
        "unlisted-site",
        "whitelist-expired-open",
        "high-risk-port-critical",
        "high-risk-port-high",
        "high-risk-port-medium",
        "clear-text-management",
        "open-on-v6-closed-on-v4",
        "no-ipv6",
        "site-no-ipv6",
        "bandwidth-below-profile",
        "agent-silent",
        "agent-clock-skew",
        "spool-dropped",
        "agent-room",
        "registered-asset-absent",
    }


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_shows_all_three_verdicts(rule: Rule) -> None:
    shown = {example.verdict for example in rule.examples}
    # Whether a level is known is always known.
    assert shown == set(Verdict) - ({Verdict.UNKNOWN} if rule.id == "system-ungraded" else set())


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_speaks_both_languages(rule: Rule) -> None:
    for pair in (rule.title, rule.remedy):
        assert _CHINESE.search(pair.zh)
        assert not _CHINESE.search(pair.en)
        assert len(pair.en.split()) >= 3


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_clause_is_cited_with_its_counterpart_at_the_other_level(rule: Rule) -> None:
    cited = rule.basis.clauses
    if 3 in cited:
        assert cited.get(2, "") == clauses()[cited[3]].counterpart
    else:
        assert not cited


@pytest.mark.parametrize(
    ("rule_id", "clause"),
    [
        ("bandwidth-below-profile", "8.1.2.1 b"),
        ("unlisted-asset", "8.1.3.1 b"),
        ("agent-silent", "8.1.5.4 c"),
        ("spool-dropped", "8.1.5.4 c"),
        ("agent-room", "8.1.5.4 c"),
    ],
)
def test_where_level_2_has_no_clause_the_plan_of_the_province_is_cited(rule_id: str, clause: str) -> None:
    basis = RULES[rule_id].basis
    assert basis.cite(3) == f"GB/T 22239-2019 {clause}"
    for level in (None, 2, 1):
        assert basis.cite(level, "64", "school").startswith("宁政发〔2018〕49号 二")


def test_only_the_rules_on_common_practice_say_so() -> None:
    common = {rule.id for rule in RULES.values() if rule.confidence is Confidence.COMMON}
    assert common == {"common-risk-port-critical", "common-risk-port-high", "common-risk-port-medium"}
    assert all("惯例" in RULES[rule_id].title.zh for rule_id in common)


_STANDINGS = {SubjectKind.SERVICE: {"state": "open"}, SubjectKind.ASSET: {"presence": "present"}, SubjectKind.SITE: {}}


@pytest.mark.parametrize("kind", list(_STANDINGS))
@given(port=st.integers(0, 65535), exposure=st.sampled_from(["campus_lan", "internet", "unknown"]))
def test_without_a_whitelist_nothing_is_called_unlisted_or_expired(kind: SubjectKind, port: int, exposure: str) -> None:
    facts = {**_STANDINGS[kind], "port": port, "transport": "tcp", "exposure": exposure, "standing": "no_list"}
    assert not [rule_id for rule_id in matched(kind, **facts) if "unlisted" in rule_id or "expired" in rule_id]


@pytest.mark.parametrize("risk", ports().values(), ids=lambda risk: f"{risk.port}-{risk.transport}")
def test_every_high_risk_port_is_told_by_exactly_one_rule(risk: Any) -> None:
    facts = {"address": "192.0.2.1", "port": risk.port, "transport": risk.transport, "state": "open"}
    found = matched(SubjectKind.SERVICE, **facts, standing="unlisted") - {"unlisted-port"}
    assert len(found) == 1
    rule = RULES[found.pop()]
    assert rule.severity is risk.severity
    assert rule.confidence is risk.confidence
    approved = matched(SubjectKind.SERVICE, **facts, standing="listed")
    assert approved == ({rule.id} if risk.clear_text else set())
    from_outside = matched(SubjectKind.SERVICE, **facts, standing="listed", exposure="internet")
    assert ("high-risk-port-internet" in from_outside) == risk.never_on_internet


@given(st.integers(0, 65535).filter(lambda port: (port, "tcp") not in ports()))
def test_other_ports_are_no_risk(port: int) -> None:
    facts = {"address": "192.0.2.1", "port": port, "transport": "tcp", "state": "open", "exposure": "internet"}
    assert matched(SubjectKind.SERVICE, **facts, standing="listed") == set()
    assert matched(SubjectKind.SERVICE, **facts, standing="unlisted") == {"unlisted-port"}


def test_what_is_open_to_nobody_raises_nothing() -> None:
    for state in ("closed", "filtered", "unknown", None):
        for port in (22, 23, 445, 2375, 8888):
            facts = {"port": port, "transport": "tcp", "state": state, "exposure": "internet", "standing": "unlisted"}
            assert matched(SubjectKind.SERVICE, **facts) == set()


def test_a_healthy_agent_raises_nothing_and_a_sick_one_each_its_own() -> None:
    healthy = {"silent_intervals": 0.5, "clock_skew_seconds": 0.2, "dropped": 0, "held_ratio": 0.1, "ipv6": "pass"}
    healthy |= {"cpu_ratio": 0.2, "memory_ratio": 0.3, "disk_ratio": 0.4}
    assert matched(SubjectKind.AGENT, **healthy) == set()
    sick = {
        "agent-silent": {"silent_intervals": 3.0},
        "agent-clock-skew": {"clock_skew_seconds": 121.0},
        "spool-dropped": {"dropped": 1},
        "agent-room": {"held_ratio": 0.8},
        "no-ipv6": {"ipv6": "fail"},
        "gateway-overloaded": {"cpu_ratio": 1.0},
        "gateway-disk-full": {"disk_ratio": 0.9},
    }
    for rule_id, facts in sick.items():
        assert matched(SubjectKind.AGENT, **{**healthy, **facts}) == {rule_id}


def test_what_a_first_scan_finds_by_the_dozen_is_told_together() -> None:
    one_by_one = {rule.id for rule in RULES.values() if rule.select in _STANDINGS and not rule.drift}
    assert one_by_one == {
        # somebody takes another's place, be it that of the oldest device
        "address-claimed-twice",
        "card-shown-twice",
        # approvals run out and devices vanish later, one at a time
        "asset-approval-expired",
        "certificate-expiring",
        "registered-asset-absent",
        "site-approval-expired",
        "site-ipv6-regression",
        "whitelist-expired-open",
        # few, and each a hole of its own
        "high-risk-port-internet",
        "open-on-v6-closed-on-v4",
        "open-resolver",
        # registered sites only
        "site-no-ipv6",
        "site-pmtu-black-hole",
    }


def test_severities_are_spread_so_that_red_stays_rare() -> None:
    critical = {rule.id for rule in RULES.values() if rule.severity is Severity.CRITICAL}
    assert critical == {
        "common-risk-port-critical",
        "high-risk-port-critical",
        "high-risk-port-internet",
        "no-login-critical",
        "telnet-open",
    }
