"""`edusec scan` where raw packets may not be sent: it scans by handshakes and says so, or says what would mend it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.edusec.run_cli import argv, json_lines
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

_LISTENERS = Path(__file__).parents[2] / "probes" / "listeners.py"
_WORDS = ("--ports", "1-2200", "--no-identify", "--rate", "100000", "--fail-on", "none")


@pytest.fixture
def lab(netns: Namespaces, process: Processes, needs: Callable[..., str]) -> tuple[Namespace, str, list[str]]:
    """A namespace, a host in scope on its link, and the words that run a command there without CAP_NET_RAW."""
    setpriv = needs("setpriv", package="util-linux")
    here, there = netns(), netns()
    _, theirs = netns.link(here, there)
    process(["python3", _LISTENERS, "22", "2049"], netns=there, ready="ready")
    target, until = str(theirs.v4.ip), str(datetime.now(UTC).date() + timedelta(1))
    here.run(argv("scope", "add", target, "--authoriser", "test", "--reason", "test", "--until", until))
    return here, target, [setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--"]


@pytest.mark.parametrize(
    ("lang", "says", "mends"),
    [("en", "the connect engine took over", "or grant: CAP_NET_RAW"), ("zh", "改用 connect 引擎", "以 root 运行")],
)
def test_without_the_privilege_a_scan_connects_and_says_why(
    lab: tuple[Namespace, str, list[str]], lang: str, says: str, mends: str
) -> None:
    here, target, without = lab
    words = argv("scan", target, *_WORDS, "--json", "--lang", lang)
    found, by_raw = here.run([*without, *words], check=False), here.run(words, check=False)
    [line] = [line for line in found.stderr.splitlines() if says in line]
    assert mends in line
    assert says not in by_raw.stderr
    for done, method in ((found, "connect"), (by_raw, "syn")):
        assert done.returncode == 0, done.stderr
        lines = json_lines(done)
        services = [item for item in lines if item["type"] == "service"]
        assert [(item["port"], item["method"]) for item in services] == [(22, method), (2049, method)]
        assert lines[0]["status"] == "done"


def test_an_engine_that_was_asked_for_by_name_is_not_replaced(lab: tuple[Namespace, str, list[str]]) -> None:
    here, target, without = lab
    words = argv("scan", target, *_WORDS, "--engine", "syn", "--lang", "en")
    for more in ([], ["--json"], ["--dry-run"]):
        done = here.run([*without, *words, *more], check=False)
        assert (done.returncode, done.stdout) == (4, "")
        assert "or grant: CAP_NET_RAW" in done.stderr
        assert "took over" not in done.stderr
