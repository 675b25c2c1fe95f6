"""Whoever of a scan's processes is ended, and how: no process, no socket, no firewall rule and no route is left."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.kit.raw.helper.process import NAME
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, Running, wait_until

_RUNNER = """
import sys
from datetime import UTC, datetime, timedelta
from agent.probing.job import Job, Limits
from agent.probing.runner import run
from wire.types import ScopeEntry
scope = (ScopeEntry("198.18.0.0/15", "a person", "the lab", datetime.now(UTC).date() + timedelta(1)),)
options = {"targets": (sys.argv[1],), "ports": "1-60000", "engine": sys.argv[2], "rate": 300.0}
def tell(step):
    if step.rate: print("under way", flush=True)
section = run(Job("scan", "open_ports", 300.0, options, scope), on_progress=tell)
print("ended", section.status.value, section.reason, flush=True)
"""


def _processes(space: Namespace) -> dict[str, int]:
    """The scan's processes by what they are."""
    found: dict[str, int] = {}
    parents: dict[int, int] = {}
    for pid in map(int, space.run(["ip", "netns", "pids", space.name]).stdout.split()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == NAME:
            found["helper"] = pid
        elif b"agent.probing.guard" in words:
            parents[pid] = parent
        elif b"-c" in words:
            found["runner"] = pid
    # The guard and what it forked have the same words.
    return found | {"probe" if parent in parents else "guard": pid for pid, parent in parents.items()}


def _left(space: Namespace) -> dict[str, str]:
    """What a scan could leave behind."""

    def tables() -> dict[str, str]:
        return {
            name: "\n".join(
                line for line in Path(f"/proc/thread-self/net/{name}").read_text(encoding="ascii").splitlines()[1:]
            )
            for name in ("packet", "raw", "raw6", "udp", "udp6")
        }

    return {
        **space.call(tables),
        "tcp": space.run(["ss", "-Htan", "state", "all", "exclude", "time-wait"]).stdout,
        "rules": space.run(["sh", "-c", "nft list ruleset"]).stdout,
        "routes": space.run(["ip", "route"]).stdout,
    }


def _begin(space: Namespace, target: str, engine: str, process: Processes, parts: set[str]) -> Running:
    running = process([sys.executable, "-P", "-c", _RUNNER, target, engine], netns=space, ready="under way")
    wait_until(lambda: parts <= set(_processes(space)), f"{parts} run")
    return running


@pytest.mark.parametrize(
    ("engine", "who", "how"),
    [
        ("syn", "runner", signal.SIGKILL),
        ("syn", "runner", signal.SIGTERM),
        ("syn", "runner", signal.SIGINT),
        ("syn", "guard", signal.SIGKILL),
        ("syn", "guard", signal.SIGTERM),
        ("syn", "probe", signal.SIGKILL),
        ("syn", "probe", signal.SIGTERM),
        ("syn", "helper", signal.SIGKILL),
        ("connect", "runner", signal.SIGKILL),
        ("connect", "guard", signal.SIGKILL),
        ("connect", "probe", signal.SIGTERM),
    ],
)
def test_nothing_is_left_behind(
    netns: Namespaces, process: Processes, needs: Callable[..., str], engine: str, who: str, how: int
) -> None:
    nft = needs("nft", package="nftables")
    space, other = netns(), netns()
    _, there = netns.link(space, other)
    other.run([nft, "table inet f { chain c { type filter hook prerouting priority -300; meta l4proto tcp drop; }; }"])
    before = _left(space)
    parts = {"runner", "guard", "probe"} | ({"helper"} if engine == "syn" else set())
    running = _begin(space, str(there.v4.ip), engine, process, parts)
    assert _left(space) != before
    os.kill(_processes(space)[who], how)
    wait_until(lambda: not _processes(space), "all of it ended")
    wait_until(lambda: _left(space) == before, "nothing is left")
    if who != "runner":
        # The runner lives on and tells what happened.
        wait_until(lambda: running.returncode is not None, "the runner ended")
        assert running.returncode == 0
        assert "ended crashed" in running.stdout or "ended cannot_run engine_failed" in running.stdout
