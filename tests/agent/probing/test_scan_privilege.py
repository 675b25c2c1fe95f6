"""Who may send raw packets: the probe that declares it, where its runner was given it, and else nobody; it says so."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.probing.job import Job
from agent.probing.runner import run
from tests.probes.servers import tcp_server
from tests.support.netns import Namespaces

ROOT = Path(__file__).parents[3]
_RUNNER = """
import sys
from datetime import UTC, datetime, timedelta
from agent.probing.job import Job
from agent.probing.runner import run
from wire.types import ScopeEntry
scope = (ScopeEntry("198.18.0.0/15", "a person", "the lab", datetime.now(UTC).date() + timedelta(1)),)
options = {"targets": (sys.argv[1],), "ports": "1-3000", "engine": sys.argv[2], "identify": False}
notes = set()
section = run(Job("scan", "open_ports", 60.0, options, scope), on_progress=lambda step: notes.add(step.note))
print(section.status.value, section.reason)
print(sorted(notes))
for item in section.body.observations:
    # The other side's hardware address is made anew with each link.
    values = {name: value for name, value in item.values.items() if name not in {"mac", "local_mac"}}
    print(item.method, item.target.kind.value, item.outcome.value, values)
"""


@pytest.mark.parametrize(
    ("capabilities", "engine", "says"),
    [
        ("", "auto", ["connect agent seen {'engine': 'connect', 'why': 'no_raw_packets: CAP_NET_RAW'}"]),
        ("", "syn", ["cannot_run no_raw_packets: CAP_NET_RAW"]),
        ("+net_raw", "auto", ["done", "syn host seen {'closed': '1-3000'}", "['']"]),
        ("+net_raw", "syn", ["done", "syn host seen {'closed': '1-3000'}"]),
    ],
)
def test_a_runner_without_root(
    netns: Namespaces, needs: Callable[..., str], capabilities: str, engine: str, says: list[str]
) -> None:
    setpriv = needs("setpriv", package="util-linux")
    python = next((name for name in (sys.executable, "/usr/bin/python3") if _readable_by_others(Path(name))), None)
    if python is None or not _readable_by_others(ROOT):
        pytest.skip("needs an interpreter and a checkout that other users may read")
    space, other = netns(), netns()
    _, there = netns.link(space, other)
    user = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    bounding = ["--bounding-set", f"-all,{capabilities}" if capabilities else "-all"]
    given = ["--inh-caps", capabilities, "--ambient-caps", capabilities] if capabilities else []
    # The agent's side needs nothing but the standard library.
    interpreter = ["env", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", python]
    command = [*user, *given, *bounding, "--", *interpreter, "-P", "-c", _RUNNER, str(there.v4.ip), engine]
    done = space.run(command)
    for line in says:
        assert line in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may send raw packets")
def test_strangers_are_spoken_with_only_after_every_privilege_is_gone() -> None:
    found: set[str] = set()

    def look(line: socket.socket) -> None:
        found.update(_privileges_of_grandchildren())
        line.sendall(b"220 mx ESMTP Postfix\r\n")
        line.recv(100)

    with tcp_server(look) as port:
        options = {"targets": ("127.0.0.1",), "ports": str(port), "engine": "syn"}
        section = run(Job("scan", "open_ports", 60.0, options))
    assert section.body is not None
    assert section.body.observations[0].values["product"] == "Postfix"
    assert found == {"0" * 16}


def _privileges_of_grandchildren() -> set[str]:
    """What the processes of our children's children are permitted: the probe's, whose guard is our child."""
    parents, permitted = {}, {}
    for file in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            said = dict(line.split(":\t", 1) for line in file.read_text().splitlines() if ":\t" in line)
            parents[said["Pid"]], permitted[said["Pid"]] = said["PPid"], said["CapPrm"]
    children = {pid for pid, parent in parents.items() if parent == str(os.getpid())}
    return {permitted[pid] for pid, parent in parents.items() if parent in children}


def _readable_by_others(file: Path) -> bool:
    real = file.resolve()
    return real.exists() and all(folder.stat().st_mode & 0o005 == 0o005 for folder in (*file.parents, *real.parents))
