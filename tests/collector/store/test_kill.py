"""A collector that is killed at any moment: what was acknowledged is there, once."""

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from collector.inventory.lists.measurements import list_measurements
from tests.collector.store.feeder import SPOOL, address
from tests.support.collectors import Clock, desk
from tests.support.processes import Processes

ROUNDS = 6
FEEDER = Path(__file__).parent / "feeder.py"


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_no_acknowledged_report_is_lost_and_none_is_there_twice(tmp_path: Path, process: Processes) -> None:
    log = tmp_path / "acknowledged"
    log.touch()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    chance = random.Random(20261122)
    acknowledged = 0

    def count() -> int:
        return log.read_text(encoding="ascii").count("\n")

    for _ in range(ROUNDS):
        # The agent goes on with the first report that it has no answer for; the collector may have that one already.
        running = process([sys.executable, str(FEEDER), str(tmp_path), str(acknowledged + 1)], env=env, ready="ready")
        enough = acknowledged + chance.randrange(20, 150)
        running.wait_ready(lambda enough=enough: count() >= enough, seconds=60)
        running.send(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        acknowledged = count()
    clock = Clock()
    clock.forward(10**6)
    with desk(tmp_path, clock=clock) as made:
        samples = [sample.values["download_bps"] for sample in list_measurements(made.core, made.admin, limit=10_000)]
        stored = len(samples)
        # Some may be stored whose answer was never read; there is no gap, and none is there twice.
        assert sorted(samples) == [float(number) for number in range(1, stored + 1)]
        assert stored >= acknowledged
        (agent,) = made.core.directory.agents
        spool = made.core.sections.spool(agent, SPOOL)
        assert spool is not None
        assert spool.sequence == stored
        rows = made.core.store.write(lambda turn: turn.rows("SELECT address FROM service"))
        assert sorted(row[0] for row in rows) == sorted(address(number) for number in range(1, stored + 1))
        assert made.core.store.write(lambda turn: turn.rows("PRAGMA integrity_check")) == [("ok",)]
