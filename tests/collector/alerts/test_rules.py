"""What rules find in what was measured, and what becomes of alerts when rules or time go on."""

from pathlib import Path

import pytest

from collector.memory.directory import AgentIdentity
from collector.settings import Settings
from tests.collector.alerts.rules_at_hand import opened, pack, scan, shut
from tests.support.collectors import DAY, INTERVAL, START, Clock, Desk, desk
from tests.support.reports import covers, host, measured, service, site, state

HOUR = 3600.0


def test_the_rule_of_an_alert_may_be_removed(tmp_path: Path) -> None:
    clock, rules = Clock(), pack(tmp_path)
    with desk(tmp_path, clock=clock, packs=[rules]) as first:
        agent = first.agent()
        first.send(agent, scan(first))
        opened(first, agent, 5001, 5002)
        assert [alert.state for alert in first.alerts("test-now")] == ["firing"]
    with desk(tmp_path, clock=clock) as second:
        assert second.alerts("test-now") == []
        assert second.alerts("test-held", "all") == []
        (gone,) = second.alerts("test-now", "resolved")
        assert gone.title.en == "test-now"
    with desk(tmp_path, clock=clock, packs=[rules]) as third:
        third.core.tick()
        assert [alert.state for alert in third.alerts("test-now")] == ["firing"]


def test_new_rules_judge_what_was_found_before(tmp_path: Path) -> None:
    clock = Clock()
    with desk(tmp_path, clock=clock) as first:
        agent = first.agent()
        first.send(agent, scan(first))
        opened(first, agent, 5001)
    with desk(tmp_path, clock=clock, packs=[pack(tmp_path)]) as second:
        second.core.tick()
        assert [alert.subject.label for alert in second.alerts("test-now")] == ["10.0.0.5:5001/tcp"]


def test_a_site_without_ipv6_is_found(desk: Desk, agent: AgentIdentity) -> None:
    desk.whitelist("domain,www.example.edu.cn,,,o,r,a,\n")
    answers = {"aaaa": False, "ipv4": "pass", "ipv6": "fail"}
    desk.send(
        agent, state("sites", site("https://www.example.edu.cn/", **answers), at=START, probe="ipv6_reachability")
    )
    assert [alert.subject.label for alert in desk.alerts("site-no-ipv6")] == ["https://www.example.edu.cn/"]
    better = {"aaaa": True, "ipv4": "pass", "ipv6": "pass"}
    desk.send(agent, state("sites", site("https://www.example.edu.cn/", **better), at=START, probe="ipv6_reachability"))
    assert desk.alerts("site-no-ipv6") == []


def test_a_slow_line_is_measured_against_the_policy_of_its_province(desk: Desk, agent: AgentIdentity) -> None:
    slow = {"download_bps": 9e7, "upload_bps": 9.5e7, "limited_by": "line"}
    desk.send(agent, measured("line", "bandwidth", slow, at=START))
    assert desk.alerts("bandwidth-below-profile") == []
    desk.clock.forward(HOUR)
    desk.send(agent, measured("line", "bandwidth", slow, at=desk.clock.now))
    desk.core.tick()
    (alert,) = desk.alerts("bandwidth-below-profile")
    assert alert.evidence["target_ratio"] == pytest.approx(0.45)
    fast = {"download_bps": 3e8, "upload_bps": 3e8, "limited_by": "line"}
    desk.send(agent, measured("line", "bandwidth", fast, at=desk.clock.now))
    assert desk.alerts("bandwidth-below-profile") == []


def test_a_full_disk_of_the_gateway_is_found(desk: Desk, agent: AgentIdentity) -> None:
    full = {"cpu_ratio": 0.1, "memory_ratio": 0.2, "disk_ratio": 0.99}
    for _ in range(40):
        desk.send(agent, measured("vitals", "host_vitals", full, at=desk.clock.now))
        desk.core.tick()
        desk.clock.forward(INTERVAL)
    (alert,) = desk.alerts("gateway-disk-full")
    assert alert.subject.id == agent.id


def test_open_on_v6_but_closed_on_v4_is_found(desk: Desk, agent: AgentIdentity) -> None:
    both = covers("10.0.0.0/24", ports="1-10000"), covers("2001:db8::/64", ports="1-10000")
    desk.send(
        agent,
        state(
            "ports",
            host("10.0.0.5", mac="00:16:3e:00:00:01", closed=[8080]),
            host("2001:db8::5", mac="00:16:3e:00:00:01"),
            service("2001:db8::5", 8080),
            *both,
            at=START,
        ),
    )
    found = [alert.subject.label for alert in desk.alerts("open-on-v6-closed-on-v4")]
    assert found == ["[2001:db8::5]:8080/tcp"]
    desk.send(
        agent,
        state(
            "ports",
            host("10.0.0.5", mac="00:16:3e:00:00:01"),
            service("10.0.0.5", 8080),
            host("2001:db8::5", mac="00:16:3e:00:00:01"),
            service("2001:db8::5", 8080),
            *both,
            at=START,
        ),
    )
    assert desk.alerts("open-on-v6-closed-on-v4") == []


def test_a_registered_device_that_is_gone_is_told_of_after_three_covering_scans(
    desk: Desk, agent: AgentIdentity
) -> None:
    desk.whitelist("host,10.0.0.5,,,o,r,a,\n")
    found = []
    for turn in range(4):
        desk.clock.forward(INTERVAL)
        desk.send(agent, scan(desk, name=f"10.0.0.{20 + turn}"))
        found.append([alert.subject.label for alert in desk.alerts("registered-asset-absent")])
    assert found == [[], [], ["10.0.0.5"], ["10.0.0.5"]]
    desk.send(agent, scan(desk))
    assert desk.alerts("registered-asset-absent") == []


def test_old_alerts_and_samples_are_removed(tmp_path: Path) -> None:
    clock = Clock()
    with desk(
        tmp_path, Settings(alert_days=30, measurement_days=10, change_days=20), clock, packs=[pack(tmp_path)]
    ) as small:
        agent = small.agent()
        small.send(agent, scan(small))
        opened(small, agent, 5001)
        shut(small, agent, 5001)
        small.send(agent, measured("line", "bandwidth", {"download_bps": 1.0}, at=clock.now))

        def stored() -> list[int]:
            ((alerts, samples, changes),) = small.core.store.write(
                lambda turn: turn.rows(
                    "SELECT (SELECT count(*) FROM alert WHERE rule = 'test-now'), "
                    "(SELECT count(*) FROM measurement), (SELECT count(*) FROM change)"
                )
            )
            return [alerts, samples, changes]

        small.core.tick()
        assert stored() == [1, 1, 1]
        for days, left in ((11, [1, 0, 1]), (10, [1, 0, 0]), (10, [0, 0, 0])):
            clock.forward(days * DAY)
            small.core.tick()
            assert stored() == left
