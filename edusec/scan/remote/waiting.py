"""What is known of the agents that a scan is asked of, and for how long an order of it may wait for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edusec.lang import t
from edusec.terminal.progress import span
from edusec.terminal.words import moment

SPARE_SECONDS = 60.0
"""Beyond the time at which an agent is due: one that has just come back asks within this, as a rule."""
MOST_SECONDS = 600.0

Agent = Mapping[str, Any]
"""An agent as `GET /api/v1/agents` gives it."""


def patience(agents: Sequence[Agent], now: datetime) -> float:
    """Give the seconds for which an order should wait: until the last of the agents is due, and a little more.

    An agent that holds a question takes it within seconds, any other with the answer to its next report. One that is
    late already, or never reported, gets the little more only.
    """
    return min(max((_until_due(agent, now) for agent in agents), default=0.0) + SPARE_SECONDS, MOST_SECONDS)


def outlook(agent: Agent, now: datetime) -> str:
    """Say when an agent was heard of, and when it is expected."""
    name = f"{agent['unit_name']} · {agent['name']}"
    last, due = moment(agent["last_report"]), moment(agent["next_report"])
    if agent["last_report"] is None:
        return t(f"{name}：从未上报", f"{name}: it has never reported")
    if late := _late(agent, now):
        return t(
            f"{name}：最近上报 {last}，应于 {due} 上报，已迟 {span(late)}",
            f"{name}: last report {last}, the next was due {due}: {span(late)} late",
        )
    return t(f"{name}：最近上报 {last}，下次应于 {due}", f"{name}: last report {last}, the next is due {due}")


def announce(seconds: float) -> str:
    """Say for how long agents are waited for, and what to do when that is not what is wanted."""
    return t(
        f"最多等待 {span(seconds)} 让代理领取（--wait 可改）；Ctrl-C 撤回任务",
        f"waiting up to {span(seconds)} for an agent to take it (--wait sets this); Ctrl-C withdraws the order",
    )


def _late(agent: Agent, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(agent["next_report"])).total_seconds())


def _until_due(agent: Agent, now: datetime) -> float:
    """Give the seconds until an agent is due; never more than its interval, whatever this machine's clock says."""
    if agent["last_report"] is None:
        return 0.0
    last, due = (datetime.fromisoformat(agent[name]) for name in ("last_report", "next_report"))
    return max(0.0, min((due - now).total_seconds(), (due - last).total_seconds()))
