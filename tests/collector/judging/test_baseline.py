"""The first scan is a baseline, not a flood; what comes later is news."""

import pytest

from collector.alerts.queries import resolve
from tests.support.collectors import INTERVAL, SCHOOL, Desk
from tests.support.reports import covers, host, service, site, state
from wire.types import Coverage, Observation

LIST = "host,10.0.200.0/24,,,o,r,a,\nport,*,tcp,22,o,r,a,\ndomain,www.example.edu.cn,,,o,r,a,\n"
FULL = covers("10.0.0.0/16")


def scan(desk: Desk, agent: object, *said: Observation | Coverage, task: str = "ports") -> None:
    desk.send(agent, state(task, *said, at=desk.clock.forward(INTERVAL)))  # type: ignore[arg-type]


def many(count: int, first: int = 1) -> list[Observation]:
    return [host(f"10.0.0.{number}") for number in range(first, first + count)]


def test_the_first_scan_raises_one_alert_for_each_rule(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, *many(60), *(service(f"10.0.0.{number}", 8888) for number in range(1, 31)), FULL)
    found = {alert.rule: alert for alert in desk.alerts()}
    assert {rule for rule in found if rule.startswith("unlisted")} == {"unlisted-asset", "unlisted-port"}
    assert len(desk.alerts()) == len(found)
    assets = found["unlisted-asset"]
    assert assets.baseline
    assert (assets.subject.kind, assets.subject.id) == ("unit", SCHOOL)
    assert assets.evidence["count"] == 60
    assert len(assets.evidence["examples"]) == 20
    assert found["unlisted-port"].evidence["count"] == 30
    assert "首次" in assets.title.zh


def test_what_comes_later_is_an_alert_of_its_own(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, *many(5), FULL)
    # One port that every run asked, and one that none says it asked: neither was there at the first.
    scan(desk, agent, *many(6), service("10.0.0.1", 902), service("10.0.0.1", 8888), FULL)
    news = [alert for alert in desk.alerts() if not alert.baseline]
    assert {(alert.rule, alert.subject.label) for alert in news} == {
        ("unlisted-asset", "10.0.0.6"),
        ("unlisted-port", "10.0.0.1:902/tcp"),
        ("unlisted-port", "10.0.0.1:8888/tcp"),
    }
    (summary,) = [alert for alert in desk.alerts() if alert.baseline]
    assert summary.evidence["count"] == 5


def test_a_list_that_comes_later_finds_the_baseline_in_one_alert(desk: Desk) -> None:
    agent = desk.agent()
    scan(desk, agent, *many(40), FULL)
    assert desk.alerts("unlisted-asset") == []
    desk.whitelist(LIST)
    (summary,) = desk.alerts("unlisted-asset")
    assert (summary.baseline, summary.evidence["count"]) == (True, 40)


def test_the_summary_shrinks_and_resolves_as_things_are_listed(desk: Desk) -> None:
    agent = desk.agent()
    desk.whitelist(LIST)
    scan(desk, agent, *many(3), FULL)
    desk.whitelist("host,10.0.0.1,,,o,r,a,\nhost,10.0.0.2,,,o,r,a,\n")
    (summary,) = desk.alerts("unlisted-asset")
    assert summary.evidence == {"count": 1, "examples": ["10.0.0.3"]}
    desk.whitelist("host,10.0.0.3,,,o,r,a,\n")
    assert desk.alerts("unlisted-asset") == []
    assert [alert.id for alert in desk.alerts("unlisted-asset", "resolved")] == [summary.id]


def test_a_summary_that_a_person_closed_comes_back_like_any_other(desk: Desk) -> None:
    agent = desk.agent()
    desk.whitelist(LIST)
    scan(desk, agent, *many(3), FULL)
    (summary,) = desk.alerts("unlisted-asset")
    resolve(desk.core, desk.admin, summary.id, "we know")
    desk.clock.forward(desk.core.settings.reopen_after - 10)
    desk.core.tick()
    assert desk.alerts("unlisted-asset") == []
    desk.clock.forward(20)
    desk.core.tick()
    assert [alert.id for alert in desk.alerts("unlisted-asset")] == [summary.id]


def test_a_prefix_that_is_scanned_for_the_first_time_is_a_baseline_too(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, host("10.0.0.1"), covers("10.0.0.0/24"))
    scan(desk, agent, host("10.0.0.1"), *(host(f"10.0.1.{n}") for n in range(1, 11)), covers("10.0.0.0/23"))
    (summary,) = desk.alerts("unlisted-asset")
    assert (summary.baseline, summary.evidence["count"]) == (True, 11)


def test_ports_that_are_scanned_for_the_first_time_are_a_baseline_too(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, host("10.0.0.1"), covers("10.0.0.0/24", ports="1-1024"))
    scan(desk, agent, host("10.0.0.1"), service("10.0.0.1", 8888), covers("10.0.0.0/24", ports="1-10000"))
    (summary,) = desk.alerts("unlisted-port")
    assert summary.baseline


def test_a_run_that_was_cut_short_does_not_hide_what_appears_afterwards(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    whole, part = covers("10.0.0.0/24", "10.0.1.0/24"), covers("10.0.0.0/24")
    scan(desk, agent, host("10.0.0.1"), host("10.0.1.1"), whole)
    scan(desk, agent, host("10.0.0.1"), part)
    scan(desk, agent, host("10.0.0.1"), host("10.0.1.1"), host("10.0.1.2"), whole)
    assert [alert.subject.label for alert in desk.alerts("unlisted-asset") if not alert.baseline] == ["10.0.1.2"]


@pytest.mark.parametrize("closed", [True, False])
def test_a_port_that_was_refused_and_opens_again_is_news(desk: Desk, closed: bool) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, host("10.0.0.1"), service("10.0.0.1", 888), FULL)
    for number in range(3):
        scan(desk, agent, host("10.0.0.1", closed=[888] if closed else (), turn=number), FULL)
    assert desk.alerts("unlisted-port") == []
    scan(desk, agent, host("10.0.0.1"), service("10.0.0.1", 888), FULL)
    assert [alert.baseline for alert in desk.alerts("unlisted-port")] == [not closed]


def test_a_laptop_that_was_away_is_no_news(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    scan(desk, agent, host("10.0.0.1"), host("10.0.0.2"), FULL)
    for number in range(4):
        scan(desk, agent, host("10.0.0.1", turn=number), FULL)
    assert desk.asset("ip:10.0.0.2").presence == "absent"
    scan(desk, agent, host("10.0.0.1"), host("10.0.0.2"), FULL)
    assert [alert.baseline for alert in desk.alerts("unlisted-asset")] == [True]


def test_a_second_agent_brings_no_flood_of_its_own(desk: Desk) -> None:
    desk.whitelist(LIST)
    one, other = desk.agent(name="one"), desk.agent(name="other")
    scan(desk, one, *many(5), FULL)
    scan(desk, other, *many(20), FULL)
    (summary,) = desk.alerts("unlisted-asset")
    assert (summary.baseline, summary.evidence["count"]) == (True, 20)


def test_sites_have_a_baseline_too(desk: Desk) -> None:
    desk.whitelist(LIST)
    agent = desk.agent()
    first = [site(f"https://old{number}.example.edu.cn/", ipv4="pass") for number in range(4)]
    scan(desk, agent, *first, task="sites")
    scan(desk, agent, *first, site("https://new.example.edu.cn/", ipv4="pass"), task="sites")
    assert {(alert.baseline, alert.subject.label) for alert in desk.alerts("unlisted-site")} == {
        (True, f"{SCHOOL} (4)"),
        (False, "https://new.example.edu.cn/"),
    }
