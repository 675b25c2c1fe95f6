"""What the collector knows about the demonstration unit, asked through its HTTP interface as any operator would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edusec.client import Collector, Profile
from edusec.demo.prepare import UNIT

Item = Mapping[str, Any]

SETTLED = frozenset({"firing", "acknowledged"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the collector; `agent` is None before it reported for the first time."""

    url: str
    agent: Item | None
    assets: Sequence[Item]
    review: Item
    bandwidth: Item | None
    alerts: Sequence[Item]

    @property
    def sections(self) -> Sequence[Item]:
        """The last run of each task."""
        return self.agent["sections"] if self.agent else ()

    def done_since(self, moment: datetime, tasks: Sequence[str]) -> bool:
        """Tell whether every task was run and reported since a moment."""
        finished = {section["name"]: datetime.fromisoformat(section["finished"]) for section in self.sections}
        return all(task in finished and finished[task] >= moment for task in tasks)


def look(profile: Profile) -> Snapshot:
    """Ask the collector once; raises Stop when it does not answer."""
    with Collector(profile) as collector:
        agents = [agent for agent in collector.items("/api/v1/agents") if agent["unit"] == UNIT]
        samples = collector.get("/api/v1/measurements", unit=UNIT, probe="bandwidth", limit=1)["items"]
        return Snapshot(
            url=profile.url,
            agent=max(agents, key=lambda agent: agent["last_report"] or "", default=None),
            assets=list(collector.items("/api/v1/assets", under=UNIT)),
            review=collector.get("/api/v1/whitelist/review", unit=UNIT),
            bandwidth=samples[0] if samples else None,
            alerts=list(collector.items("/api/v1/alerts", under=UNIT)),
        )
