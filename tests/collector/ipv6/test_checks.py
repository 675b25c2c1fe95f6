"""Single checks of the IPv6 catalogue that an agent reports: as facts, and end to end as alerts."""

import pytest

from collector.memory.directory import AgentIdentity
from collector.sightings.checks import NO_IPV6_LINK, Said, check_of, of_checks
from tests.support.collectors import START, Desk
from tests.support.reports import site, state
from wire.types import Observation, Outcome, Section, Target, TargetKind, Value

LINK, OTHER = Target(TargetKind.NETWORK, "br-lan"), Target(TargetKind.NETWORK, "guest")
SELF = Target(TargetKind.AGENT, "self")


@pytest.fixture
def agent(desk: Desk) -> AgentIdentity:
    return desk.agent()


def check(method: str, outcome: Outcome, *evidence: str, code: str = "", on: Target = LINK) -> Observation:
    values: dict[str, Value] = {"code": code, "evidence": evidence}
    return Observation("lan_ipv6", method, on, outcome, START, values)


def lan(*said: Observation, at: float = START) -> Section:
    return state("lan", *said, at=at, probe="lan_ipv6")


def firing(desk: Desk, rule: str) -> int:
    desk.core.tick()
    return len(desk.alerts(rule))


def test_the_worst_link_counts_and_unknown_keeps_a_pass_open() -> None:
    fail, ok = Said("LAN-RA", "fail", {"code": "ra_hops", "evidence": ["a"]}), Said("LAN-RA", "pass", {})
    unknown = Said("LAN-RA", "unknown", {"code": "ra_silent"})
    blind = Said("LAN-RA", "unknown", {"code": NO_IPV6_LINK})
    assert of_checks([ok, fail, unknown])["lan_ra"] == "fail"
    assert of_checks([ok, fail])["lan_ra_seen"] == ("a",)
    assert of_checks([ok, fail])["lan_ra_code"] == "ra_hops"
    assert of_checks([ok, unknown])["lan_ra"] == "unknown"
    assert of_checks([ok, blind])["lan_ra"] == "pass"
    assert of_checks([blind])["lan_ra"] == "unknown"
    assert of_checks([Said("LAN-RA", "denied", {"evidence": 5})])["lan_ra"] == "unknown"


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("f|network|br-lan|LAN-RA", "LAN-RA"),
        ("f|agent|self|NET-RES6", "NET-RES6"),
        ("f|network|a|LAN-RA|LAN-ROGUERA", "LAN-ROGUERA"),
        ("f|site|www.example.cn|LAN-RA", ""),
        ("f|network|br-lan|LAN-HOSTS", ""),
        ("h|LAN-RA", ""),
        ("", ""),
    ],
)
def test_a_key_tells_which_check_it_is_about(key: str, found: str) -> None:
    assert check_of(key) == found


@pytest.mark.parametrize(
    ("method", "code", "rule"),
    [
        ("LAN-ROGUERA", "rogue_ra", "rogue-ra"),
        ("LAN-ROGUEDHCP6", "rogue_dhcp6", "rogue-dhcp6"),
        ("LAN-RAEXT", "ra_ext", "ra-extension-headers"),
        ("LAN-RAGUARD", "guard_missing", "ra-guard-missing"),
        ("LAN-RDNSS", "rdnss_silent", "rdnss-silent"),
        ("NET-RES6", "aaaa_stripped", "aaaa-stripped"),
        ("NET-PMTU", "pmtu", "pmtu-black-hole"),
        ("NET-FW6", "fw_weaker", "firewall-weaker-on-v6"),
    ],
)
def test_a_failed_check_raises_its_alert_and_a_passed_one_resolves_it(
    desk: Desk, agent: AgentIdentity, method: str, code: str, rule: str
) -> None:
    on = LINK if method.startswith("LAN") else SELF
    desk.send(agent, lan(check(method, Outcome.FAIL, "what was seen", code=code, on=on)))
    desk.core.tick()
    (alert,) = [alert for alert in desk.alerts() if alert.rule == rule]
    assert "what was seen" in str(alert.evidence)
    desk.clock.forward(60)
    desk.send(agent, lan(check(method, Outcome.UNKNOWN, code="no_time", on=on), at=desk.clock.now))
    assert firing(desk, rule) == 1
    desk.clock.forward(60)
    desk.send(agent, lan(check(method, Outcome.PASS, on=on), at=desk.clock.now))
    assert firing(desk, rule) == 0


def test_a_fault_on_one_link_stands_whatever_the_other_link_says(desk: Desk, agent: AgentIdentity) -> None:
    desk.send(agent, lan(check("LAN-ROGUERA", Outcome.FAIL, "x"), check("LAN-ROGUERA", Outcome.PASS, on=OTHER)))
    assert firing(desk, "rogue-ra") == 1


def test_a_resolver_that_is_silent_strips_nothing(desk: Desk, agent: AgentIdentity) -> None:
    desk.send(agent, lan(check("NET-RES6", Outcome.FAIL, "x", code="resolver_silent", on=SELF)))
    assert firing(desk, "aaaa-stripped") == 0


def test_a_site_behind_a_black_hole_is_found(desk: Desk, agent: AgentIdentity) -> None:
    desk.send(agent, state("sites", site("www.example.edu.cn", pmtu="fail"), at=START, probe="site_ipv6"))
    assert [alert.subject.label for alert in desk.alerts("site-pmtu-black-hole")] == ["www.example.edu.cn"]
    desk.clock.forward(60)
    better = site("www.example.edu.cn", pmtu="pass")
    desk.send(agent, state("sites", better, at=desk.clock.now, probe="site_ipv6"))
    assert desk.alerts("site-pmtu-black-hole") == []
