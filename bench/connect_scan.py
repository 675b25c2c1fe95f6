"""The connect engine next to `nmap -sT` in the same run: recall first, then wall time of the whole process.

Needs root, nmap and nftables. Everything happens in two network namespaces of its own: one owns 198.18.4.0/24 and
2001:db8:4::/120 with 15 open ports on every address, the other scans it; for the last job it drops all other ports.
Bars: at most 1.2 times nmap's wall on hosts that answer, at most a tenth of it on hosts behind a firewall.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

ROOT = Path(__file__).resolve().parents[1]
OPEN = (21, 22, 23, 25, 53, 80, 443, 445, 3306, 3389, 5432, 6379, 8080, 8443, 9100)
ROUNDS = 3
DROP = """
table inet filter {{
  chain in {{
    type filter hook input priority 0;
    tcp dport {{ {ports} }} accept
    tcp flags & (syn | ack) == syn drop
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What is scanned; `bar` is the largest allowed share of nmap's wall, `nmap` its options beside -sT."""

    name: str
    target: str
    ports: str
    addresses: int
    bar: float
    firewalled: bool = False

    @property
    def expected(self) -> int:
        """How many open services there are to be found."""
        first, last = (int(part) for part in self.ports.split("-"))
        return self.addresses * sum(first <= port <= last for port in OPEN)


JOBS = (
    Job("97 ports x 254, all answer", "198.18.4.1-254", "1-97", 254, 1.2),
    Job("97 ports x 256 on IPv6, all answer", "2001:db8:4::/120", "1-97", 256, 1.2),
    Job("1 x 65535, answers", "198.18.4.1", "1-65535", 1, 1.2),
    Job("97 ports x 254, firewalled", "198.18.4.1-254", "1-97", 254, 0.1, firewalled=True),
)

OURS = """
import json, sys, time
from probes.kit.contract import Context
from probes.kit.net import Net
from probes.kit.options import build
from probes.kit.pacing import Pace
from probes.kit.registry import load
from probes.kit.scope import Scope
from wire.types import Observation, Policy, ScopeEntry
target, ports = sys.argv[1:]
entries = [ScopeEntry(value, "benchmark", "own namespaces", None) for value in ("198.18.4.0/24", "2001:db8:4::/64")]
net = Net(Scope(entries), pace=Pace(1e6), per_host=16000, connections=16000)
given = {"targets": [target], "ports": ports, "engine": "connect", "identify": False}
given |= {"rate": 1e6, "per_host": 16000, "connections": 16000}
probe = load("open_ports")
found = probe.run(build(probe, given), Context(net, Policy("", "", "", 300), time.monotonic() + 120))
print(json.dumps(sum(type(item) is Observation and item.outcome == "open" for item in found)))
"""


def ours(space: Namespace, job: Job) -> tuple[int, float]:
    """Open services found, and seconds of wall time, interpreter and imports included."""
    started = time.perf_counter()
    command = [*space.prefix, sys.executable, "-c", OURS, job.target, job.ports]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True, cwd=ROOT)
    return json.loads(done.stdout), time.perf_counter() - started


def nmap(space: Namespace, job: Job) -> tuple[int, float]:
    """The same for nmap -sT -T4."""
    started = time.perf_counter()
    family = ["-6"] if ":" in job.target else []
    command = ["nmap", *family, "-sT", "-n", "-Pn", "-T4", "-p", job.ports, "-oG", "-", job.target]
    done = space.run(command, seconds=300)
    return len(re.findall(r"/open/tcp/", done.stdout)), time.perf_counter() - started


def lab(spaces: Namespaces, processes: Processes) -> tuple[Namespace, Namespace]:
    """The namespace that scans, and the one that owns all addresses."""
    scanning, owning = spaces(), spaces()
    near, far = spaces.link(scanning, owning)
    owning.run(["ip", "route", "add", "local", "198.18.4.0/24", "dev", "lo"])
    owning.run(["ip", "-6", "route", "add", "local", "2001:db8:4::/64", "dev", "lo"])
    scanning.run(["ip", "route", "add", "198.18.4.0/24", "via", str(far.v4.ip), "src", str(near.v4.ip)])
    scanning.run(["ip", "-6", "route", "add", "2001:db8:4::/64", "via", str(far.v6.ip)])
    listeners = ROOT / "tests" / "probes" / "listeners.py"
    processes([sys.executable, listeners, *map(str, OPEN)], netns=owning, ready="ready")
    return scanning, owning


def main() -> None:
    """Measure both, one after the other, a few times; print the best of each with its recall."""
    print(f"{'job':36} {'recall':>15} {'wall':>8} {'nmap recall':>15} {'wall':>8} {'ratio':>6}  bar")
    spaces = Namespaces()
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder))
        try:
            scanning, owning = lab(spaces, processes)
            for job in JOBS:
                owning.run(["nft", "flush", "ruleset"])
                if job.firewalled:
                    rules = DROP.format(ports=", ".join(map(str, OPEN)))
                    owning.run(["sh", "-c", f"nft -f - <<'END'\n{rules}END\n"])
                rounds = 1 if job.firewalled else ROUNDS
                measured = [(ours(scanning, job), nmap(scanning, job)) for _ in range(rounds)]
                found, told = (min(sample[side][0] for sample in measured) for side in (0, 1))
                mine, theirs = (min(sample[side][1] for sample in measured) for side in (0, 1))
                recall, their_recall = (f"{number}/{job.expected}" for number in (found, told))
                print(f"{job.name:36} {recall:>15} {mine:6.2f} s {their_recall:>15} {theirs:6.2f} s", end=" ")
                print(f"{mine / theirs:6.2f}  <= {job.bar:.1f}", flush=True)
        finally:
            processes.close()
            spaces.close()


if __name__ == "__main__":
    main()
