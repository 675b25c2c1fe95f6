"""Clocks of agents: one that is wrong is set right, and no time lies in the future or moves back."""

import pytest

from collector.inventory.lists.measurements import list_measurements
from collector.registry import agents
from tests.support.collectors import DAY, INTERVAL, START, Desk
from tests.support.reports import measured, ports, unchanged


@pytest.mark.parametrize("ahead", [INTERVAL * 2, DAY, 50 * 365 * DAY])
def test_a_clock_that_runs_ahead_is_set_right(desk: Desk, ahead: float) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START + ahead - 10), created=START + ahead)
    found = desk.asset("ip:10.0.0.5")
    assert found.first_seen.timestamp() == pytest.approx(START - 10)
    assert agents.list_agents(desk.core, desk.admin)[0].clock_skew_seconds == pytest.approx(ahead)
    desk.core.tick()
    assert [alert.subject.id for alert in desk.alerts("agent-clock-skew")] == [agent.id]
    desk.send(agent, ports(START))
    desk.core.tick()
    assert desk.alerts("agent-clock-skew") == []


def test_a_clock_that_starts_in_1970_counts_as_no_clock(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(100.0), measured("line", "bandwidth", {"download_bps": 1.0}, at=100.0), created=110.0)
    assert desk.asset("ip:10.0.0.5").first_seen.timestamp() == START
    assert list_measurements(desk.core, desk.admin)[0].time.timestamp() == START


def test_a_report_that_waited_in_the_spool_keeps_its_times(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START - 2 * DAY), created=START - 2 * DAY)
    assert desk.asset("ip:10.0.0.5").first_seen.timestamp() == START - 2 * DAY


def skew(desk: Desk) -> float:
    found = agents.list_agents(desk.core, desk.admin)[0].clock_skew_seconds
    assert found is not None
    return found


def test_reports_that_waited_are_no_wrong_clock(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent)
    # The line was down for six hours; then everything that waited comes within seconds.
    made = [desk.clock.now + (turn + 1) * INTERVAL for turn in range(72)]
    desk.clock.forward(6 * 3600)
    for turn, created in enumerate(made):
        desk.clock.forward(1)
        desk.send(agent, ports(created, 22, 100 + turn), created=created)
        assert skew(desk) == 0
    desk.core.tick()
    assert desk.alerts("agent-clock-skew") == []
    found = desk.asset("ip:10.0.0.5")
    assert found.first_seen.timestamp() == made[0]
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == made[-1]


def test_a_clock_that_is_behind_is_known_by_its_second_report(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent)
    for _ in range(2):
        now = desk.clock.forward(INTERVAL)
        desk.send(agent, ports(now - DAY, 22, int(now) % 1000 + 30), created=now - DAY)
    assert skew(desk) == pytest.approx(-DAY)
    desk.core.tick()
    assert [alert.subject.id for alert in desk.alerts("agent-clock-skew")] == [agent.id]
    now = desk.clock.forward(INTERVAL)
    desk.send(agent, ports(now - DAY - 10, 9), created=now - DAY)
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == pytest.approx(now - 10)
    desk.send(agent, created=desk.clock.forward(INTERVAL))
    assert skew(desk) == 0


def test_times_never_lie_in_the_future(desk: Desk) -> None:
    agent = desk.agent()
    desk.send(agent, ports(START + 200), created=START)
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.first_seen.timestamp() == found.last_confirmed.timestamp() == START


def test_what_is_confirmed_never_moves_back(desk: Desk) -> None:
    agent = desk.agent()
    section = ports(START)
    desk.send(agent, section)
    desk.send(agent, unchanged(section, START - DAY))
    found = desk.asset("ip:10.0.0.5")
    assert found.last_confirmed is not None
    assert found.last_confirmed.timestamp() == START
