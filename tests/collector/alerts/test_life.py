"""The life of an alert, from the first match to the last note."""

import pytest
from sqlalchemy import text

from collector.alerts.queries import acknowledge, show_alert
from collector.errors import BadInput
from collector.memory.directory import AgentIdentity
from tests.collector.alerts.rules_at_hand import opened, scan, shut
from tests.support.collectors import DAY, INTERVAL, SCHOOL, START, Desk
from tests.support.reports import covers, host, state, unchanged

HOUR = 3600.0


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
    # The hold time of the second rule is over, but nobody has looked since; not every tick judges it again for that.
    with desk.core.store.reader() as connection:
        due = connection.execute(text("SELECT due FROM alert WHERE rule = 'test-held'")).scalar_one()
    assert due > desk.clock.now
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


def test_the_worst_comes_first(desk: Desk, agent: AgentIdentity) -> None:
    opened(desk, agent, 23, 5001)
    assert [alert.rule for alert in desk.alerts()] == ["telnet-open", "test-now"]


@pytest.mark.parametrize("wrong", ["open", "FIRING", "firing,resolved"])
def test_an_unknown_state_is_named(desk: Desk, wrong: str) -> None:
    with pytest.raises(BadInput, match="firing, acknowledged, resolved, all"):
        desk.alerts(state=wrong)
