"""Fixtures that every room's tests use; the work is done in tests/support/."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import debian, netns, ports, processes

# No deadline, and slow is no fault: a busy machine must not fail a property, nor one that stood still. No more examples
# than keep the suite within minutes.
hypothesis.settings.register_profile(
    "edusec",
    deadline=None,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("edusec")

# A suite started in the background inherits that Ctrl-C is ignored, and so would everything that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_XDG = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")


def _own_environment(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in list(os.environ):
        # A proxy would send a request for loopback elsewhere; a locale would change the language of messages.
        if name.startswith(("EDUSEC_", "LC_")) or name.lower().endswith("_proxy") or name in ("LANGUAGE", "NO_COLOR"):
            patch.delenv(name)
    patch.setenv("LANG", "C.UTF-8")
    patch.setenv("HOME", str(home))
    for name in _XDG:
        folder = home / name.lower()
        folder.mkdir(mode=0o700, exist_ok=True)
        patch.setenv(name, str(folder))


@pytest.fixture(scope="session", autouse=True)
def _session_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the operator's settings and files away from fixtures wider than one test."""
    with pytest.MonkeyPatch.context() as patch:
        _own_environment(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def _test_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty home, so that none finds what another left."""
    _own_environment(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.fixture
def free_port() -> Callable[..., int]:
    """`free_port()` or `free_port("::1")`: a local port free for TCP and UDP."""
    return ports.free_port


@pytest.fixture
def needs() -> Callable[..., str]:
    """`needs("named", package="bind9")`: the program's path, or a skip that names the Debian package."""
    return debian.needs


@pytest.fixture
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Processes]:
    """`process(argv, ready=8080)`: a started process, see tests/support/processes.py; all are ended after the test."""
    made = processes.Processes(tmp_path_factory.mktemp("processes"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def _namespaces_possible() -> None:
    reason = netns.why_not()
    if reason:
        pytest.skip(reason)
    netns.remove_leftovers()


@pytest.fixture(name="netns")
def _netns(_namespaces_possible: None, process: processes.Processes) -> Iterator[netns.Namespaces]:
    """`netns()`, `netns.link(a, b)`, `netns.lan(a, b, c)`: see tests/support/netns.py; all are removed after the test.

    It asks for `process` so that processes inside a namespace end before the namespace goes.
    """
    made = netns.Namespaces()
    try:
        yield made
    finally:
        process.close()
        made.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use the namespace fixture, so that `-m "not netns"` finds all of them."""
    for item in items:
        if "netns" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.netns)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what would let the skipped tests run."""
    if debian.missing_packages:
        packages = " ".join(sorted(debian.missing_packages))
        terminalreporter.write_line(f"Some tests were skipped; to run them: apt-get install {packages}")
