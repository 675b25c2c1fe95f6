"""Power cuts at any moment: what was spooled arrives, once. (With the real collector: tests/e2e/test_kill9.py.)"""

from pathlib import Path
from random import Random

import pytest

from agent.uplink.enrol import enrol
from tests.support.fake_collector import FakeCollector
from tests.support.gateway import Gateway
from tests.support.kill9 import TASKS, Siege, check
from tests.support.processes import Processes

pytestmark = [pytest.mark.usefixtures("hostile"), pytest.mark.e2e]
ROUNDS = 12


class Small:
    """The small collector of the tests, which keeps its store in memory over a stop."""

    def __init__(self, collector: FakeCollector) -> None:
        self._collector = collector

    def start(self) -> None:
        self._collector.stop()
        self._collector.start()

    def kill(self) -> None:
        self._collector.stop()

    def numbers(self) -> list[str]:
        store = self._collector.store
        with store.lock:
            return [
                str(observation.values["number"])
                for section in store.sections
                for observation in (section.body.observations if section.body else ())
            ]


def test_power_cuts_lose_nothing_and_double_nothing(
    tmp_path: Path, process: Processes, collector: FakeCollector
) -> None:
    gateway = Gateway(tmp_path, process)
    enrol(gateway.state, collector.url, collector.authority.token)
    gateway.configure(TASKS)
    siege = Siege(gateway, Small(collector), Random())
    siege.run(ROUNDS)
    arrived = siege.settle()
    check(siege, arrived, at_least=ROUNDS // 2)
    assert siege.agent_kills == ROUNDS
