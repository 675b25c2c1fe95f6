"""Fixtures of the collector's data half."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collectors import Clock, Desk, desk


@pytest.fixture
def clock() -> Clock:
    """The collector's time."""
    return Clock()


@pytest.fixture(name="desk")
def _desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    """A running collector with the small unit tree."""
    with desk(tmp_path, clock=clock) as made:
        yield made
