"""What an idle agent costs next to prometheus-node-exporter in the same run: memory, and processor time.

The agent is a real one with its default tasks and a large policy, enrolled with a small collector on loopback; it has
run all tasks, reported, and has a question about orders held before it is measured. Memory is what
/proc/PID/smaps_rollup says. The share of one core is the daemon's own, over the time of measuring, plus what one round
of its default tasks and one report cost (measured too) spread over their intervals, and what a question about orders
costs. Run it as `python bench/agent_footprint.py`; the bar is 25 MB and 0.5 %.
"""

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from agent.config import DEFAULT_TASKS
from agent.orders.desk import HOLD_SECONDS
from agent.orders.run import QUESTION_SECONDS
from agent.probing.job import Job
from agent.probing.runner import perform
from agent.uplink import identity
from agent.uplink.delivery import Ask
from agent.uplink.enrol import enrol
from agent.uplink.line import Line, connect
from agent.uplink.postman import Courier
from tests.support.fake_collector import UNIT, UNIT_NAME, FakeCollector, make_authority, running
from tests.support.ports import free_port
from tests.support.processes import Processes, Running, wait_until
from wire.codec import compress, encode
from wire.types import EntryKind, Policy, Report, WhitelistEntry

BAR_BYTES = 25 << 20
BAR_SHARE = 0.005
REPORT_INTERVAL = 300.0


def main() -> int:
    """Measure and print; exit code 1 when a bar is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30, help="how long both are watched while idle")
    options.add_argument("--whitelist", type=int, default=20_000, help="entries of the policy handed down")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(folder / "processes")
        try:
            with running(make_authority(folder), free_port()) as collector:
                return _measure(folder, processes, collector, chosen.seconds, chosen.whitelist)
        finally:
            processes.close()


def _measure(folder: Path, processes: Processes, collector: FakeCollector, seconds: float, entries: int) -> int:
    collector.store.policy = _policy(entries)
    collector.store.holds = True
    agent = _start_agent(folder, processes, collector)
    exporter = _start_exporter(processes)
    watched = [("edusec agent", agent), *([("prometheus-node-exporter", exporter)] if exporter else [])]
    before = {name: _ticks(process.pid) for name, process in watched}
    time.sleep(seconds)
    for name, process in watched:
        share = (_ticks(process.pid) - before[name]) / os.sysconf("SC_CLK_TCK") / seconds
        sizes = "  ".join(f"{key} {size / 2**20:.1f} MB" for key, size in _memory(process.pid).items())
        print(f"{name:26} {sizes}  idle {share:.3%} of one core")
    if exporter is None:
        print("prometheus-node-exporter is not installed: apt-get install prometheus-node-exporter")
    own = (_ticks(agent.pid) - before["edusec agent"]) / os.sysconf("SC_CLK_TCK") / seconds
    total = own + _tasks() + _report(folder, collector) + _question(folder)
    print(f"with default tasks and reports: {total:.3%} of one core (bar {BAR_SHARE:.1%})")
    rss = _memory(agent.pid)["RSS"]
    print(f"idle RSS {rss / 2**20:.1f} MB (bar {BAR_BYTES / 2**20:.0f} MB)")
    return 0 if rss <= BAR_BYTES and total <= BAR_SHARE else 1


def _policy(entries: int) -> Policy:
    listed = tuple(
        WhitelistEntry(EntryKind.HOST, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "an owner", "a reason", "an approver")
        for n in range(entries)
    )
    return Policy("bench", UNIT, UNIT_NAME, REPORT_INTERVAL, whitelist=listed)


def _start_agent(folder: Path, processes: Processes, collector: FakeCollector) -> Running:
    state, config, port = folder / "state", folder / "agent.toml", free_port()
    enrol(state, collector.url, collector.authority.token)
    config.write_text(
        f'[agent]\nstate = "{state}"\nscope = "{folder}/scope.toml"\nmetrics = "127.0.0.1:{port}"\n', encoding="utf-8"
    )
    words = [sys.executable, "-P", "-m", "agent", "run", "--config", config, "--now"]
    agent = processes(words, ready=port)
    names = {task.name for task in DEFAULT_TASKS}
    wait_until(lambda: names <= set(collector.store.names()), "every default task has been reported", seconds=120)
    wait_until(lambda: any("since=r0" in path for path in collector.store.paths), "it waits for orders", seconds=60)
    time.sleep(5)  # until the process that asked has gone
    _scrape(port)
    return agent


def _start_exporter(processes: Processes) -> Running | None:
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        return None
    port = free_port()
    exporter = processes([program, f"--web.listen-address=127.0.0.1:{port}"], ready=port)
    _scrape(port)
    return exporter


def _scrape(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        answer.read()


def _tasks() -> float:
    """Share of one core that the default tasks take, from one run of each."""
    share = 0.0
    for task in DEFAULT_TASKS:
        before = _children()
        perform(Job(task.name, task.probe, 60, task.options))
        spent = _children() - before
        share += spent / task.interval
        print(f"  {task.name:20} {spent:6.2f} s of processor time every {task.interval:.0f} s")
    return share


def _report(folder: Path, collector: FakeCollector) -> float:
    """Share of one core that an empty report takes."""
    courier = Courier(identity.load(folder / "state"), folder)
    collector.store.policy = None
    report = Report("agent-1", "bench", 1, "bench", time.time(), "edusec/bench", ())
    before = _children()
    courier(compress(encode(report)), 30)
    spent = _children() - before
    print(f"  {'report':20} {spent:6.2f} s of processor time every {REPORT_INTERVAL:.0f} s")
    return spent / REPORT_INTERVAL


def _question(folder: Path) -> float:
    """Share of one core that asking for orders takes, once for each time that the collector holds the question."""
    who = identity.load(folder / "state")
    before = _children()
    with contextlib.closing(connect(who)) as held, Line(who, held) as line:
        line.ask(Ask("GET", "/api/v1/orders?wait=1&since=", QUESTION_SECONDS, hold=True))
    spent = _children() - before
    print(f"  {'question':20} {spent:6.2f} s of processor time every {HOLD_SECONDS:.0f} s")
    return spent / HOLD_SECONDS


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    return {"RSS": sizes["Rss"], "PSS": sizes["Pss"], "own": sizes["Private_Dirty"]}


if __name__ == "__main__":
    sys.exit(main())
