"""What Prometheus asks for: the agents that can be scraped and the collector itself, as HTTP service discovery."""

from collections.abc import Iterable
from typing import Any, Literal

from collector.answers.views import ScrapeTarget
from wire.endpoint import Endpoint

Role = Literal["agent", "collector"]


def targets(agents: Iterable[ScrapeTarget], own: Endpoint, role: Role | None = None) -> list[dict[str, Any]]:
    """Give the full list, in one stable order."""
    groups: list[dict[str, Any]] = []
    if role in (None, "agent"):
        groups += [
            {
                "targets": [agent.address],
                "labels": {
                    "__scheme__": agent.scheme,
                    "__metrics_path__": agent.path,
                    "role": "agent",
                    "agent": agent.agent,
                    "unit": agent.unit,
                    "unit_name": agent.unit_name,
                    "county": agent.county,
                    "county_name": agent.county_name,
                },
            }
            for agent in sorted(agents, key=lambda agent: agent.agent)
        ]
    if role in (None, "collector"):
        groups.append(
            {
                "targets": [str(own)],
                "labels": {"__scheme__": "https", "__metrics_path__": "/metrics", "role": "collector"},
            }
        )
    return groups
