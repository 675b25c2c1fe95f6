"""Power cuts of a real agent and a real collector at any moment: what was durable is in the store, once."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from agent.uplink.enrol import enrol
from tests.support.extra_probes import with_test_probes
from tests.support.gateway import Gateway
from tests.support.kill9 import TASKS, Siege, check
from tests.support.processes import Processes
from tests.support.real_collector import RealCollector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ROUNDS = 20


def test_power_cuts_on_both_sides_lose_nothing_and_double_nothing(
    tmp_path: Path, process: Processes, free_port: Callable[..., int]
) -> None:
    collector = RealCollector(tmp_path / "collector", free_port(), process)
    collector.make()
    probes = with_test_probes(tmp_path / "probes")
    gateway = Gateway(tmp_path, process, {"PYTHONPATH": probes})
    enrol(gateway.state, collector.url, collector.token())
    gateway.configure(TASKS)
    siege = Siege(gateway, collector, Random())
    siege.run(ROUNDS)
    arrived = siege.settle()
    check(siege, arrived, at_least=ROUNDS // 2)
    assert siege.agent_kills + siege.collector_kills >= 20
    (agent,) = collector.get("/api/v1/agents")["items"]
    assert agent["dropped"] == 0
