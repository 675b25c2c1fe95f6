"""What people do with alerts: acknowledge, close with a reason, and be found in the audit trail."""

import pytest

from collector.alerts.queries import acknowledge, resolve
from collector.errors import BadInput, Conflict, Forbidden
from collector.memory.directory import AgentIdentity
from collector.memory.people import Role
from tests.collector.alerts.rules_at_hand import opened, scan, shut
from tests.support.collectors import COUNTY, INTERVAL, Desk
from tests.support.reports import unchanged

HOUR = 3600.0


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
