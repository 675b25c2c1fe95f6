"""A namespace of its own for real servers, a folder that they can reach, and the way to begin one."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.services.server_lab import Begin, listens
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes


@pytest.fixture
def lab(netns: Namespaces) -> Namespace:
    """A namespace of its own; its loopback belongs to the test."""
    return netns()


@pytest.fixture
def folder(process: Processes) -> Iterator[Path]:
    """A folder that servers under other users can reach; they end before it goes."""
    path = Path("/tmp") / f"edusec-lab-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir(mode=0o755)
    yield path
    process.close()
    shutil.rmtree(path)


@pytest.fixture
def begin(lab: Namespace, process: Processes) -> Begin:
    """`begin(argv, port)`: a server in the lab, ready when its port listens."""
    return lambda argv, port, **more: process(argv, netns=lab, ready=lambda: listens(lab, port), **more)
