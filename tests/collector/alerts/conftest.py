"""A collector with rules of our own, and one agent whose first scan is past."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.memory.directory import AgentIdentity
from tests.collector.alerts.rules_at_hand import pack, scan
from tests.support.collectors import Clock, Desk, desk


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    with desk(tmp_path, clock=clock, packs=[pack(tmp_path)]) as made:
        yield made


@pytest.fixture
def agent(desk: Desk) -> AgentIdentity:
    made = desk.agent()
    desk.send(made, scan(desk))  # what comes later is no baseline
    return made
