"""The bandwidth probe next to iperf3 in the same run: correctness on shaped links, then speed and CPU on an open one.

Needs root, iperf3 and tc. Everything happens in two network namespaces of its own, joined by a veth pair; the far side
is the collector's responder. Bars: within 1 % of a shaped link; on an open one at least 1.3 times iperf3's rate at no
more than 0.6 times its CPU time per Gbit. Both skip one second of start-up.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

ROOT = Path(__file__).resolve().parents[1]
SECRET = "5e" * 32
PORT = 7443
SECONDS = 4
SHAPES = (("100mbit", 100e6), ("1gbit", 1e9))
FRAME = 1514 / 1448
"""What the shaper counts for each 1,448 bytes of payload."""

OURS = """
import json, sys, time
from probes.kit.contract import Context
from probes.kit.sending.net import Net
from probes.kit.options import build
from probes.kit.registry import load
from probes.kit.scope.model import Scope
from wire.bandwidth import make_ticket
from wire.types import Observation, Policy, Responder, ScopeEntry
host, port, secret, seconds, direction = sys.argv[1:]
net = Net(Scope([ScopeEntry("198.18.0.0/15", "benchmark", "own namespaces", None)]))
ticket = make_ticket(bytes.fromhex(secret), "benchmark", time.time() + 600, 1 << 36)
policy = Policy("", "", "", 300, responder=Responder(host, int(port), ticket))
probe = load("bandwidth")
given = {"seconds": float(seconds), "skip": 1.0, "max_bytes": 1 << 36, "direction": direction}
started = time.process_time()
found = [item for item in probe.run(build(probe, given), Context(net, policy, time.monotonic() + 60))]
spent = time.process_time() - started
values = next(dict(item.values) for item in found if type(item) is Observation)
rate = values[direction + "_bps"]
print(json.dumps({"bps": rate, "bytes": values["bytes"], "cpu": spent, "by": values["limited_by"]}))
"""


def cpu_seconds(pid: int) -> float:
    """Processor time of a process tree so far, from /proc, children that ended included."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(entry.name) == pid or int(fields[1]) == pid:
                total += sum(int(field) for field in fields[11:13]) / 100
    return total


def ours(space: Namespace, host: str, far: int, direction: str) -> tuple[float, float, str]:
    """Rate in bit/s, CPU seconds per Gbit of both ends together, and what limited it."""
    before = cpu_seconds(far)
    command = [*space.prefix, sys.executable, "-c", OURS, host, str(PORT), SECRET, str(SECONDS), direction]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=90, check=True, cwd=ROOT).stdout)
    spent = done["cpu"] + cpu_seconds(far) - before
    return done["bps"], spent / (done["bytes"] * 8 / 1e9), done["by"]


def iperf3(space: Namespace, host: str, direction: str) -> tuple[float, float]:
    """The same for iperf3, one stream."""
    reverse = ["-R"] if direction == "download" else []
    command = ["iperf3", "-c", host, "-t", str(SECONDS - 1), "-O", "1", "-J", *reverse]
    end = json.loads(space.run(command, seconds=60).stdout)["end"]
    used = end["cpu_utilization_percent"]
    seconds = end["sum_received"]["seconds"]
    rate = end["sum_received"]["bits_per_second"]
    return rate, (used["host_total"] + used["remote_total"]) / 100 * seconds / (rate * seconds / 1e9)


def main() -> None:
    """Measure shaped links, then the open one, both tools one after the other."""
    spaces = Namespaces()
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder))
        try:
            agent, collector = spaces(), spaces()
            here, there = spaces.link(agent, collector)
            host = str(there.v4.ip)
            responder = [sys.executable, ROOT / "tests" / "probes" / "responder.py", str(PORT), SECRET]
            far = processes(responder, netns=collector)
            processes(["iperf3", "-s"], netns=collector, ready=5201)
            time.sleep(2)
            print(f"{'link':10} {'direction':10} {'probe':>12} {'error':>8} {'iperf3':>12} {'error':>8}")
            for rate, bits in SHAPES:
                for space in (agent, collector):
                    shaper = ["tc", "qdisc", "replace", "dev", here.interface, "root", "tbf"]
                    space.run([*shaper, "rate", rate, "burst", "256kb", "latency", "50ms"])
                for direction in ("download", "upload"):
                    mine, _, _ = ours(agent, host, far.pid, direction)
                    theirs, _ = iperf3(agent, host, direction)
                    print(
                        f"{rate:10} {direction:10} {mine / 1e6:7.1f} Mb/s {mine * FRAME / bits - 1:8.2%} "
                        f"{theirs / 1e6:7.1f} Mb/s {theirs * FRAME / bits - 1:8.2%}",
                        flush=True,
                    )
            for space in (agent, collector):
                space.run(["tc", "qdisc", "del", "dev", here.interface, "root"])
            head = ("probe", "iperf3", "ratio", "CPU/Gbit", "iperf3", "ratio")
            print(
                f"\n{'open link':10}",
                *(f"{word:>{width}}" for word, width in zip(head, (12, 12, 7, 9, 9, 7), strict=True)),
            )
            for direction in ("download", "upload"):
                mine, my_cost, limited_by = ours(agent, host, far.pid, direction)
                theirs, their_cost = iperf3(agent, host, direction)
                print(
                    f"{direction:10} {mine / 1e9:7.2f} Gb/s {theirs / 1e9:7.2f} Gb/s {mine / theirs:7.2f} "
                    f"{my_cost:7.3f} s {their_cost:7.3f} s {my_cost / their_cost:7.2f}  limited by {limited_by}",
                    flush=True,
                )
        finally:
            processes.close()
            spaces.close()


if __name__ == "__main__":
    main()
