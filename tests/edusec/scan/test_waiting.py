"""How long an order waits for its agents, and what an operator is told of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edusec.scan.remote.waiting import MOST_SECONDS, SPARE_SECONDS, outlook, patience
from edusec.terminal.words import moment

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def agent(ago: float | None, interval: float = 300.0) -> dict[str, Any]:
    last = None if ago is None else NOW - timedelta(seconds=ago)
    due = None if last is None else last + timedelta(seconds=interval)
    times = {"last_report": last, "next_report": due}
    return {"unit_name": "学校", "name": "gw", **{name: time and time.isoformat() for name, time in times.items()}}


@pytest.mark.parametrize(
    ("agents", "beyond"),
    [
        ([agent(10)], 290),
        ([agent(7200)], 0),
        ([agent(None)], 0),
        ([agent(7200), agent(100)], 200),
        ([agent(-3600)], 300),  # this machine's clock is an hour behind
        ([], 0),
    ],
)
def test_an_order_waits_until_its_agents_are_due_and_a_minute_more(agents: list[dict[str, Any]], beyond: float) -> None:
    assert patience(agents, NOW) == beyond + SPARE_SECONDS


def test_nobody_waits_for_a_day_unless_asked_to() -> None:
    assert patience([agent(0, 86_400)], NOW) == MOST_SECONDS


def test_what_is_known_is_said() -> None:
    due = moment((NOW + timedelta(seconds=290)).isoformat())
    assert outlook(agent(10), NOW).endswith(f"the next is due {due}")
    assert outlook(agent(7200), NOW).endswith(": 1:55:00 late")
    assert outlook(agent(None), NOW) == "学校 · gw: it has never reported"
