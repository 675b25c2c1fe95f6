"""Finding hosts next to arp-scan and nmap -sn in the same run: recall first, then wall time of the whole process.

Needs root, arp-scan and nmap. Everything happens in two network namespaces of its own: one owns 198.19.0.0/22 (all of
it, or every fourth address) and 254 IPv6 addresses, the other finds them. Bars: /22 by ARP in at most 0.5 s with a
recall of 100 %, and at least three times as fast as nmap -sn -T4.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.debian import find
from tests.support.netns import Namespace, Namespaces

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 3
COMPILED = tempfile.mkdtemp(prefix="edusec-bench-")
NETWORK, SIX = "198.19.0.0/22", "2001:db8:9::/120"

OURS = """
import json, sys, time
from probes.kit.contract import Context
from probes.kit.sending.net import Net
from probes.kit.options import build
from probes.kit.sending.pacing import Pace
from probes.kit.registry import load
from probes.kit.scope.model import Scope
from wire.types import Observation, Policy, ScopeEntry
target, method, rate = sys.argv[1:]
entries = [ScopeEntry(value, "benchmark", "own namespaces", None) for value in ("198.19.0.0/22", "2001:db8:9::/64")]
net = Net(Scope(entries), pace=Pace(1e6))
probe = load("discovery")
given = {"targets": [target], "methods": [method], "link_rate": float(rate), "leases": []}
found = probe.run(build(probe, given), Context(net, Policy("", "", "", 300), time.monotonic() + 120))
print(json.dumps(sum(type(item) is Observation and item.outcome == "seen" for item in found)))
"""

Run = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Job:
    """What is looked for: how many are there, and the tools by name, ours first."""

    name: str
    expected: int
    tools: dict[str, Run]


def count(space: Namespace, command: list[str], pattern: str) -> int:
    """How often a pattern is in the output of a command."""
    return len(set(re.findall(pattern, space.run(command, seconds=300, check=False).stdout, re.MULTILINE)))


def ours(space: Namespace, target: str, method: str, rate: float) -> Run:
    """The probe in a process of its own, interpreter and imports included; compiled before, as what is installed."""
    command = [*space.prefix, sys.executable, "-c", OURS, target, method, str(rate)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = COMPILED

    def run() -> int:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True, cwd=ROOT, env=env)
        return int(json.loads(done.stdout))

    return run


def jobs(space: Namespace, interface: str, expected: int, what: str) -> Iterator[Job]:
    """The tools for one network; nmap and arp-scan as they are, and arp-scan as fast as it was found to go."""
    arp_scan, nmap = find("arp-scan") or "arp-scan", find("nmap") or "nmap"
    arp = [arp_scan, "-q", "-x", "-I", interface]
    seen = r"^198\.19\.\d+\.\d+"
    up = r"^Host: (\S+) .*Status: Up"
    yield Job(
        f"ARP /22, {what}",
        expected,
        {
            "edusec": ours(space, NETWORK, "arp", 1e6),
            "edusec, default rate": ours(space, NETWORK, "arp", 5000),
            "arp-scan": lambda: count(space, [*arp, NETWORK], seen),
            "arp-scan tuned": lambda: count(space, [*arp, "-B", "500M", "-r", "1", "-t", "100", NETWORK], seen),
            "nmap -sn -T4": lambda: count(space, [nmap, "-sn", "-n", "-T4", "-oG", "-", NETWORK], up),
        },
    )


def six_job(space: Namespace) -> Job:
    """Neighbour discovery of 254 addresses."""
    command = [find("nmap") or "nmap", "-6", "-sn", "-n", "-T4", "-oG", "-", SIX]
    return Job(
        "ND of 254",
        254,
        {
            "edusec": ours(space, SIX, "nd", 1e6),
            "edusec, default rate": ours(space, SIX, "nd", 5000),
            "nmap -6 -sn -T4": lambda: count(space, command, r"^Host: (\S+) .*Status: Up"),
        },
    )


def measure(job: Job) -> None:
    """Run the tools of a job in turns; print the best of each with its worst recall."""
    best: dict[str, tuple[int, float]] = {}
    for _ in range(ROUNDS):
        for name, run in job.tools.items():
            started = time.perf_counter()
            found = run()
            wall = time.perf_counter() - started
            before = best.get(name, (found, wall))
            best[name] = min(before[0], found), min(before[1], wall)
    mine = best["edusec"][1]
    for name, (found, wall) in best.items():
        recall = f"{found}/{job.expected}"
        print(f"{job.name:24} {name:22} {recall:>10} {wall:7.3f} s {wall / mine:6.2f}", flush=True)


def main() -> None:
    """Measure everything."""
    print(f"{'job':24} {'tool':22} {'recall':>10} {'wall':>9} {'ratio':>6}")
    spaces = Namespaces()
    try:
        near, far = spaces(), spaces()
        at, there = spaces.link(near, far)
        near.run(["ip", "route", "add", NETWORK, "dev", at.interface])
        near.run(["ip", "-6", "address", "add", "2001:db8:9::ffff/64", "dev", at.interface, "nodad"])
        lines = [f"address add 2001:db8:9::{n:x}/64 dev {there.interface} nodad" for n in range(1, 255)]
        far.run(["sh", "-c", "ip -6 -batch - <<'END'\n" + "\n".join(lines) + "\nEND\n"])
        far.run(["ip", "route", "add", "local", NETWORK, "dev", "lo"])
        time.sleep(2)  # links made just now are not used for IPv6 at once
        for job in jobs(near, at.interface, 1024, "all there"):
            measure(job)
        far.run(["ip", "route", "del", "local", NETWORK, "dev", "lo"])
        some = [f"route add local 198.19.{n >> 8}.{n & 255} dev lo" for n in range(1, 1023, 4)]
        far.run(["sh", "-c", "ip -batch - <<'END'\n" + "\n".join(some) + "\nEND\n"])
        for job in jobs(near, at.interface, len(some), "every fourth"):
            measure(job)
        measure(six_job(near))
    finally:
        spaces.close()
        shutil.rmtree(COMPILED)


if __name__ == "__main__":
    main()
