"""Collectors for the tests of this folder: one that a whole file shares, and as many of its own as a test wants."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.web.door import Door, init_collector, running_door, start_collector
from tests.support.processes import Processes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A collector with the sample tree, shared by the tests of one file, none of which may stop it."""
    with running_door(tmp_path_factory) as door:
        yield door


@pytest.fixture
def make_door(process: Processes, tmp_path: Path) -> Callable[..., Door]:
    """`make_door("[limits]...")`: a collector of the test's own, with the sample tree and more configuration."""

    def make(tables: str = "", settings: str = "", name: str = "data") -> Door:
        data = tmp_path / name
        init_collector(data, settings, tables)
        door = Door(data, start_collector(process, data), process)
        door.plant()
        return door

    return make
