"""An uplink with what it works with, for tests."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import policy as policies
from agent.log import Problems
from agent.metrics.stats import Stats
from agent.spool.packing import pack
from agent.spool.sections import MIN_BYTES, Spool
from agent.uplink.identity import Identity
from agent.uplink.postman import Courier
from agent.uplink.reports import Hooks, Uplink
from tests.support.sections import section
from wire.types import Report

INTERVAL = 100.0


@dataclasses.dataclass(slots=True)
class Agent:
    """An uplink with what it works with."""

    spool: Spool
    uplink: Uplink
    courier: Courier
    stats: Stats
    problems: Problems
    policies: list[policies.Kept]
    policy: str = ""

    def add(self, *names: str) -> None:
        """Put a section of each name into the spool."""
        for name in names:
            self.spool.add(pack(section(name)))

    def attempts(self) -> dict[str, int]:
        """Count the attempts to deliver, by result."""
        samples = self.stats.samples(None)["edusec_agent_uplink_attempts_total"]
        return {labels["result"]: int(number) for labels, number in samples}


@contextmanager
def made(folder: Path, identity: Identity, random: Callable[[], float] = lambda: 0.5) -> Iterator[Agent]:
    """Make an agent for a while; `random` (0 to 1) draws its jitter."""
    spool = Spool(folder / "spool.db", MIN_BYTES, agent=identity.agent, unit=identity.unit, on_reset=print)
    stats, problems, courier = Stats(), Problems(), Courier(identity, folder)
    agent: Agent
    hooks = Hooks(
        report=lambda: Report(identity.agent, "", 1, "", time.time(), "edusec/test", (), policy=agent.policy),
        interval=lambda: INTERVAL,
        adopt_policy=lambda head: agent.policies.append(policies.adopt(folder, head)),
        random=random,
    )
    uplink = Uplink(spool, courier, hooks, stats, problems, identity.url)
    agent = Agent(spool, uplink, courier, stats, problems, [])
    try:
        yield agent
    finally:
        spool.close()
