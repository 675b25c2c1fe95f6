"""Fixtures of the agent's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.uplink.enrol import enrol
from agent.uplink.identity import Identity
from tests.agent.uplink.uplinks import Agent, made
from tests.support.extra_probes import with_test_probes
from tests.support.fake_collector import Authority, FakeCollector, make_authority, running


@pytest.fixture
def hostile(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes started by this test find the probes `hostile` and `counting` next to the real ones."""
    monkeypatch.setenv("PYTHONPATH", with_test_probes(tmp_path_factory.mktemp("probes")))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA and a server certificate for 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def collector(authority: Authority, free_port: Callable[..., int]) -> Iterator[FakeCollector]:
    """A running small collector."""
    with running(authority, free_port()) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder of an agent."""
    return tmp_path / "state"


@pytest.fixture
def enrolled(collector: FakeCollector, folder: Path) -> Identity:
    """The identity of an agent that is enrolled with that collector."""
    return enrol(folder, collector.url, collector.authority.token)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the spool of an agent lies."""
    return tmp_path / "spool.db"


@pytest.fixture
def agent(folder: Path, enrolled: Identity) -> Iterator[Agent]:
    """An enrolled agent's uplink, spool and counters."""
    with made(folder, enrolled) as agent:
        yield agent
