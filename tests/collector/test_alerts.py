"""The life of an alert, from the first match to the last note."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.alerts.queries import acknowledge, resolve, show_alert
from collector.errors import BadInput, Conflict, Forbidden
from collector.registry.directory import AgentIdentity
from collector.registry.people import Role
from collector.settings import Settings
from tests.support.collectors import COUNTY, DAY, INTERVAL, SCHOOL, START, Clock, Desk, desk
from tests.support.reports import covers, host, measured, service, site, state, unchanged
from wire.types import Section

HOUR = 3600.0
RULE = """
id = "test-{name}"
title.zh = "测试"
title.en = "test"
select = "{select}"
severity = "medium"
{extra}
control = {{ 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }}
remedy.zh = "做点什么"
remedy.en = "do something"

[when]
{when}

[[example]]
facts = {{ {match} }}
verdict = "match"

[[example]]
facts = {{ {other} }}
verdict = "no_match"
"""


def pack(folder: Path) -> Path:
    """Rules of our own, so that these tests do not depend on the shipped ones."""
    made = folder / "pack"
    made.mkdir()
    open_port = {"select": "service", "match": 'state = "open", port = {0}', "other": 'state = "closed", port = {0}'}
    for name, port, extra in (("now", 5001, ""), ("held", 5002, 'for = "1h"'), ("drift", 5003, "drift = true")):
        fields = {key: value.format(port) for key, value in open_port.items()}
        (made / f"test-{name}.toml").write_text(
            RULE.format(name=name, extra=extra, when=f'state = "open"\nport = {port}', **fields), encoding="utf-8"
        )
    return made


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    with desk(tmp_path, clock=clock, packs=[pack(tmp_path)]) as made:
        yield made


@pytest.fixture
def agent(desk: Desk) -> AgentIdentity:
    made = desk.agent()
    desk.send(made, scan(desk))  # what comes later is no baseline
    return made


def scan(desk: Desk, *open_ports: int, closed: tuple[int, ...] = (), name: str = "10.0.0.5") -> Section:
    return state(
        "ports",
        host(name, closed=closed),
        *(service(name, port) for port in open_ports),
        covers("10.0.0.0/24", ports="1-10000"),
        at=desk.clock.now,
    )


def opened(desk: Desk, agent: AgentIdentity, *ports: int) -> None:
    desk.send(agent, scan(desk, *ports))


def shut(desk: Desk, agent: AgentIdentity, *ports: int) -> None:
    desk.send(agent, scan(desk, closed=ports))


def test_a_match_fires_with_its_evidence(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (alert,) = desk.alerts("test-now")
    assert alert.state == "firing"
    assert alert.colour == "yellow"
    assert alert.clause == "GB/T 22239-2019 7.1.4.4 b"
    assert alert.subject.label == "10.0.0.5:5001/tcp"
    assert alert.evidence == {"state": "open", "port": 5001}
    assert alert.unit == SCHOOL
    assert alert.first_seen.timestamp() == START
    assert not alert.baseline


def test_the_same_match_again_is_the_same_alert(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    before = desk.alerts("test-now")
    desk.clock.forward(INTERVAL)
    opened(desk, agent, 5001, 22)
    (after,) = desk.alerts("test-now", "all")
    assert after.id == before[0].id
    assert after.first_seen == before[0].first_seen
    assert after.last_seen.timestamp() == desk.clock.now


def test_what_no_longer_matches_resolves(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5001)
    assert desk.alerts("test-now") == []
    (alert,) = desk.alerts("test-now", "resolved")
    assert alert.resolved is not None
    assert alert.resolved.timestamp() == desk.clock.now


def test_what_is_unknown_neither_raises_nor_resolves(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    desk.clock.forward(INTERVAL)
    desk.send(agent, state("ports", host("10.0.1.1"), covers("10.0.1.0/24"), at=desk.clock.now))
    assert desk.asset("ip:10.0.0.5").services[0].state == "unknown"
    assert [alert.state for alert in desk.alerts("test-now")] == ["firing"]
    desk.clock.forward(10 * DAY)
    desk.core.tick()
    assert [alert.state for alert in desk.alerts("test-now")] == ["firing"]


def test_a_silent_agent_neither_raises_nor_resolves_what_only_it_covers(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001, 5002)
    desk.clock.forward(2 * HOUR)
    desk.core.tick()
    # The hold time of the second rule is over, but nobody has looked since.
    assert [alert.state for alert in desk.alerts("test-held", "all")] == ["pending"]
    assert [alert.state for alert in desk.alerts("test-now")] == ["firing"]
    assert [alert.rule for alert in desk.alerts() if alert.subject.kind == "agent"] == ["agent-silent"]
    desk.send(agent, unchanged(scan(desk, 5001, 5002), desk.clock.now))
    desk.clock.forward(INTERVAL)
    desk.core.tick()
    desk.clock.forward(INTERVAL)
    desk.send(agent, unchanged(scan(desk, 5001, 5002), desk.clock.now))
    desk.core.tick()
    assert [alert.state for alert in desk.alerts("test-held", "all")] == ["firing"]
    assert desk.alerts("agent-silent") == []


def test_within_the_flap_time_it_is_the_same_alert(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    first = desk.alerts("test-now")[0]
    acknowledge(desk.core, desk.admin, first.id, "looking")
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5001)
    desk.clock.forward(desk.core.settings.flap - 1)
    opened(desk, agent, 5001)
    (again,) = desk.alerts("test-now", "all")
    assert (again.id, again.first_seen, again.state) == (first.id, first.first_seen, "firing")
    assert again.acknowledged_by is None
    assert again.resolved is None
    assert again.note == "looking"


def test_later_it_is_another_alert_that_names_the_first(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    first = desk.alerts("test-now")[0]
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5001)
    desk.clock.forward(desk.core.settings.flap + 1)
    opened(desk, agent, 5001)
    (second,) = desk.alerts("test-now")
    assert second.id != first.id
    assert second.previous == first.id
    assert second.first_seen.timestamp() == desk.clock.now
    assert show_alert(desk.core, desk.admin, first.id).state == "resolved"


def test_a_hold_time_must_pass_first(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5002)
    assert desk.alerts("test-held") == []
    (pending,) = desk.alerts("test-held", "pending")
    for _ in range(11):
        desk.clock.forward(INTERVAL)
        desk.send(agent, unchanged(scan(desk, 5002), desk.clock.now))
        desk.core.tick()
        assert desk.alerts("test-held") == []
    desk.clock.forward(INTERVAL)
    desk.send(agent, unchanged(scan(desk, 5002), desk.clock.now))
    desk.core.tick()
    (alert,) = desk.alerts("test-held")
    assert (alert.id, alert.first_seen, alert.state) == (pending.id, pending.first_seen, "firing")


def test_what_ends_within_its_hold_time_was_nothing(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5002)
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5002)
    assert desk.alerts("test-held", "all") == []
    desk.clock.forward(2 * HOUR)
    desk.core.tick()
    assert desk.alerts("test-held", "all") == []


def test_a_held_alert_that_flaps_holds_again_and_keeps_its_clock(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5002)
    for _ in range(13):
        desk.clock.forward(INTERVAL)
        desk.send(agent, unchanged(scan(desk, 5002), desk.clock.now))
    desk.core.tick()
    (first,) = desk.alerts("test-held")
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5002)
    opened(desk, agent, 5002)
    (again,) = desk.alerts("test-held", "all")
    assert (again.id, again.first_seen, again.state) == (first.id, first.first_seen, "pending")
    shut(desk, agent, 5002)
    (ended,) = desk.alerts("test-held", "all")
    assert (ended.id, ended.state) == (first.id, "resolved")
    assert ended.resolved is not None


def test_an_acknowledged_alert_stands_until_it_resolves(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    operator = desk.person(Role.OPERATOR, COUNTY, "wang")
    shown = acknowledge(desk.core, operator, desk.alerts("test-now")[0].id, "called the school")
    assert (shown.state, shown.acknowledged_by, shown.note) == ("acknowledged", "wang", "called the school")
    desk.clock.forward(INTERVAL)
    opened(desk, agent, 5001, 22)
    assert [alert.state for alert in desk.alerts("test-now")] == ["acknowledged"]
    shut(desk, agent, 5001)
    assert desk.alerts("test-now") == []


def test_a_person_closes_an_alert_with_a_reason(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (alert,) = desk.alerts("test-now")
    for note in ("", "  "):
        with pytest.raises(BadInput, match="note"):
            resolve(desk.core, desk.admin, alert.id, note)
    shown = resolve(desk.core, desk.admin, alert.id, "a lab of the computer class")
    assert shown.state == "resolved"
    with pytest.raises(Conflict):
        resolve(desk.core, desk.admin, alert.id, "again")
    with pytest.raises(Conflict):
        acknowledge(desk.core, desk.admin, alert.id, "again")


def test_what_a_person_closed_stays_closed_while_it_still_matches(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (first,) = desk.alerts("test-now")
    resolve(desk.core, desk.admin, first.id, "known")
    for number in range(5):
        desk.clock.forward(2 * HOUR)
        opened(desk, agent, 5001, 100 + number)
        desk.core.tick()
        assert desk.alerts("test-now") == []


def test_what_a_person_closed_comes_back_when_it_still_matches_later(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (first,) = desk.alerts("test-now")
    resolve(desk.core, desk.admin, first.id, "known")
    desk.clock.forward(desk.core.settings.reopen_after + 1)
    desk.send(agent, unchanged(scan(desk, 5001), desk.clock.now))
    desk.core.tick()
    (again,) = desk.alerts("test-now")
    assert (again.id, again.first_seen, again.state, again.note) == (first.id, first.first_seen, "firing", "known")


def test_what_was_mended_and_broke_again_is_not_hidden_by_the_closing(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (first,) = desk.alerts("test-now")
    resolve(desk.core, desk.admin, first.id, "mended")
    shut(desk, agent, 5001)
    desk.clock.forward(INTERVAL)
    opened(desk, agent, 5001)
    (again,) = desk.alerts("test-now")
    assert (again.id, again.state) == (first.id, "firing")


def test_a_closed_alert_of_a_mended_fault_stays_closed(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    resolve(desk.core, desk.admin, desk.alerts("test-now")[0].id, "mended")
    desk.clock.forward(INTERVAL)
    shut(desk, agent, 5001)
    desk.clock.forward(3 * desk.core.settings.reopen_after)
    desk.send(agent, unchanged(scan(desk, closed=(5001,)), desk.clock.now))
    desk.core.tick()
    assert desk.alerts("test-now") == []


def test_only_operators_handle_alerts(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (alert,) = desk.alerts("test-now")
    viewer = desk.person(Role.VIEWER, None)
    for act in (acknowledge, resolve):
        with pytest.raises(Forbidden):
            act(desk.core, viewer, alert.id, "x")


@pytest.mark.parametrize("note", ["x" * 1025, "a\x1b[31m", "a\x00"])
def test_a_note_is_plain_text_within_bounds(desk: Desk, agent: AgentIdentity, note: str) -> None:
    opened(desk, agent, 5001)
    with pytest.raises(BadInput, match="note"):
        resolve(desk.core, desk.admin, desk.alerts("test-now")[0].id, note)


def test_every_step_of_a_person_is_in_the_audit_trail(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 5001)
    (alert,) = desk.alerts("test-now")
    acknowledge(desk.core, desk.admin, alert.id, "one")
    resolve(desk.core, desk.admin, alert.id, "two")
    rows = desk.core.store.write(
        lambda turn: turn.rows("SELECT id, person, action, object FROM audit ORDER BY id DESC LIMIT 2")
    )
    assert [row[1:] for row in rows] == [
        ("root", "alert.resolved", alert.id),
        ("root", "alert.acknowledged", alert.id),
    ]
    numbers = desk.core.store.write(lambda turn: turn.rows("SELECT id FROM audit ORDER BY id"))
    assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))


def test_the_worst_comes_first(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 23, 5001)
    assert [alert.rule for alert in desk.alerts()] == ["telnet-open", "test-now"]


@pytest.mark.parametrize("wrong", ["open", "FIRING", "firing,resolved"])
def test_an_unknown_state_is_named(desk: Desk, wrong: str) -> None:
    with pytest.raises(BadInput, match="firing, acknowledged, resolved, all"):
        desk.alerts(state=wrong)


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
