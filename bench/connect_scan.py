"""The connect engine next to `nmap -sT` in the same run: recall first, then wall time of the whole process.

Needs root, nmap and nftables. Everything happens in two network namespaces of its own: one owns 198.18.4.0/24 and
2001:db8:4::/64 with 15 open ports on every address, the other scans it. A firewalled host drops all other ports, a
limited one all SYNs above 2,000 a second. `wrong` are pairs that are not told as they are: open, closed or filtered.
Bars: at most 1.2 times nmap's wall on hosts that answer, at most a tenth of it on hosts behind a firewall.
`--long` adds what takes nmap most of a minute each.
"""

import argparse
import json
import os
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
TABLE = "table inet filter {{ chain in {{ type filter hook input priority 0; {rules}; }}; }}"
SYN = "tcp flags & (syn | ack) == syn"
FILTERS = {
    "": "accept",
    "firewalled": f"tcp dport {{ {', '.join(map(str, OPEN))} }} accept; {SYN} drop",
    "limited": f"{SYN} limit rate over 2000/second burst 50 packets drop",
}


Sample = tuple[tuple[int, int, int], float]


@dataclass(frozen=True, slots=True)
class Job:
    """What is scanned; `bar` is the largest allowed share of nmap's wall, `nmap` its options beside -sT."""

    name: str
    target: str
    ports: str
    addresses: int
    bar: float
    filter: str = ""
    long: bool = False

    @property
    def expected(self) -> tuple[int, int, int]:
        """How many ports are open, closed and filtered."""
        first, last = (int(part) for part in self.ports.split("-"))
        count, opened = last - first + 1, sum(first <= port <= last for port in OPEN)
        rest = (0, count - opened) if self.filter == "firewalled" else (count - opened, 0)
        return self.addresses * opened, self.addresses * rest[0], self.addresses * rest[1]


JOBS = (
    Job("97 ports x 254, all answer", "198.18.4.1-254", "1-97", 254, 1.2),
    Job("97 ports x 256 on IPv6, all answer", "2001:db8:4::/120", "1-97", 256, 1.2),
    Job("1 x 65535, answers", "198.18.4.1", "1-65535", 1, 1.2),
    Job("1 x 65535 on IPv6, answers", "2001:db8:4::1", "1-65535", 1, 1.2),
    Job("1 x 5000, rate-limited", "198.18.4.1", "1-5000", 1, 1.2, "limited"),
    Job("97 ports x 254, firewalled", "198.18.4.1-254", "1-97", 254, 0.1, "firewalled"),
    Job("97 ports x 256 on IPv6, firewalled", "2001:db8:4::/120", "1-97", 256, 0.1, "firewalled", long=True),
)

OURS = """
import json, sys, time
from probes.kit.contract import Context
from probes.kit.sending.net import Net
from probes.kit.options import build
from probes.kit.sending.pacing import Pace
from probes.kit.registry import load
from probes.kit.scope.model import Scope
from wire.ports import expand, parse_ports
from wire.types import Observation, Policy, ScopeEntry
target, ports = sys.argv[1:]
entries = [ScopeEntry(value, "benchmark", "own namespaces", None) for value in ("198.18.4.0/24", "2001:db8:4::/64")]
net = Net(Scope(entries), pace=Pace(1e6), per_host=16000, connections=16000)
given = {"targets": [target], "ports": ports, "engine": "connect", "identify": False}
given |= {"rate": 1e6, "per_host": 16000, "connections": 16000}
probe = load("open_ports")
found = probe.run(build(probe, given), Context(net, Policy("", "", "", 300), time.monotonic() + 120))
seen = [item for item in found if type(item) is Observation]
count = {"open": sum(item.outcome == "open" for item in seen)}
for name in ("closed", "filtered"):
    count[name] = sum(len(expand(parse_ports(item.values.get(name, "")))) for item in seen)
print(json.dumps([*count.values()]))
"""


def ours(space: Namespace, job: Job) -> Sample:
    """Open, closed and filtered ports told, and seconds of wall time, interpreter and imports included."""
    started = time.perf_counter()
    command = [*space.prefix, sys.executable, "-c", OURS, job.target, job.ports]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True, cwd=ROOT)
    opened, closed, filtered = json.loads(done.stdout)
    return (opened, closed, filtered), time.perf_counter() - started


def nmap(space: Namespace, job: Job) -> Sample:
    """The same for nmap -sT -T4."""
    started = time.perf_counter()
    family = ["-6"] if ":" in job.target else []
    command = ["nmap", *family, "-sT", "-n", "-Pn", "-T4", "-p", job.ports, "-oG", "-", job.target]
    done = space.run(command, seconds=300)
    told = [len(re.findall(rf"/{state}/tcp/", done.stdout)) for state in ("open", "closed", "filtered")]
    # What most ports of a host have in common stands in one figure.
    for state, count in re.findall(r"Ignored State: (closed|filtered) \((\d+)\)", done.stdout):
        told[("open", "closed", "filtered").index(state)] += int(count)
    return (told[0], told[1], told[2]), time.perf_counter() - started


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
    """Measure both in turn, a few times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", help="part of the names of the jobs to measure")
    options = parser.parse_args()
    print(
        f"{'job':36} {'recall':>15} {'wrong':>6} {'wall':>8} {'nmap recall':>15} {'wrong':>6} {'wall':>8} {'ratio':>6}"
    )
    # As where it is installed: the bytecode is there, and the first run, which counts for nothing, sees to that.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    spaces = Namespaces()
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder))
        try:
            scanning, owning = lab(spaces, processes)
            ours(scanning, JOBS[0])
            for job in JOBS:
                if options.only in job.name and (options.long or not job.long):
                    owning.run(["nft", "flush", "ruleset"])
                    owning.run(["nft", TABLE.format(rules=FILTERS[job.filter])])
                    rounds = 1 if job.filter else ROUNDS
                    report(job, [(ours(scanning, job), nmap(scanning, job)) for _ in range(rounds)])
        finally:
            processes.close()
            spaces.close()


def report(
    job: Job, measured: list[tuple[tuple[tuple[int, int, int], float], tuple[tuple[int, int, int], float]]]
) -> None:
    """Print one line: for each side the worst recall, the most pairs told wrong, and the best wall."""
    line, walls = f"{job.name:36}", []
    for side in (0, 1):
        told = [sample[side][0] for sample in measured]
        wall = min(sample[side][1] for sample in measured)
        wrong = max(sum(abs(is_ - seen) for is_, seen in zip(job.expected, some, strict=True)) for some in told)
        recall = f"{min(some[0] for some in told)}/{job.expected[0]}"
        line += f" {recall:>15} {wrong:>6} {wall:6.2f} s"
        walls.append(wall)
    print(f"{line} {walls[0] / walls[1]:6.2f}  <= {job.bar:.1f}", flush=True)


if __name__ == "__main__":
    main()
