"""Measure the SYN engine next to nmap and masscan: recall first, then ratios of the same run.

Usage, as root:  .venv/bin/python bench/syn_scan.py [--rounds 3] [--long] [--only TEXT]

All packets stay in two network namespaces joined by a veth pair. Runs are interleaved and the median counts, because
the machine may be busy with other things; only ratios carry over to another machine. nmap and masscan come from Debian.
`chrt -r 1` before the command keeps other work out of the way of all programs alike.
`--long` adds the firewalled host with all its ports and firewalled hosts on IPv6, for which nmap takes a minute each.
"""

import argparse
import contextlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.raw import client
from probes.kit.raw.client import HostStates
from probes.kit.raw.messages import Done, Job
from probes.kit.raw.states import State
from tests.support.netns import Attachment, Namespace, Namespaces
from wire.ports import expand, parse_ports
from wire.types import ScopeEntry

Pairs = set[tuple[str, int]]

_OPEN = (1, 22, 80, 443, 1024, 3306, 5000, 7000, 8080, 9100, 30000, 40001, 50000, 60000, 65535)
_LOW_OPEN = tuple(range(1, 98, 7))[:15]
_DROPPED = tuple(range(2000, 2103))
_PREFIX = "198.19.0.0/22"
_PREFIX6 = "2001:db8:99::/120"
_SECONDS = 150
_MASSCAN_SECONDS = 8
_FASTEST = 1e7


@dataclass
class Run:
    """One run of one program: what it found open, how long it took, how fast its SYNs left (0 when unknown).

    `wrong` are pairs that were not told as they are: open, closed or silent; None where a program does not tell all.
    """

    found: Pairs
    wall: float
    rate: float = 0.0
    cpu: float = 0.0
    note: str = ""
    wrong: int | None = None


@dataclass
class Row:
    """One job for all programs; `bar` is the least ratio of nmap's wall to ours.

    `answering`: the only ports that the target's filter lets through; None drops _DROPPED only; `limit` lets through so
    many SYNs a second. Rates are held against each other where the filter leaves nearly nothing to do but sending.
    """

    name: str
    answering: tuple[int, ...] | None
    truth: Pairs
    programs: dict[str, Callable[[], Run]]
    bar: float = 0.0
    limit: int = 0
    runs: dict[str, list[Run]] = field(default_factory=dict)


class Lab:
    """A scanner and a target that owns _PREFIX, with listeners and a filter."""

    def __init__(self, netns: Namespaces, servers: contextlib.ExitStack) -> None:
        """Build it and wait until both sides use it."""
        self.scanner, self.target = netns(), netns()
        self.here, self.there = netns.link(self.scanner, self.target)
        self.target.run(["ip", "route", "add", "local", _PREFIX, "dev", "lo"])
        self.scanner.run(["ip", "route", "add", _PREFIX, "via", str(self.there.v4.ip)])
        for port in sorted({*_OPEN, *_LOW_OPEN}):
            address, family = ("::", port), socket.AF_INET6
            listening = self.target.call(
                socket.create_server, address, family=family, backlog=4096, dualstack_ipv6=True
            )
            servers.enter_context(listening)
        self.target.run(["ip", "-6", "route", "add", "local", _PREFIX6, "dev", "lo"])
        self.scanner.run(["ip", "-6", "route", "add", _PREFIX6, "via", str(self.there.v6.ip)])
        self._silent: Callable[[int], bool] = lambda _port: False
        time.sleep(2)
        self.mac = _mac(self.target, self.there)

    def firewall(self, row: Row) -> None:
        """Load the filter of a row: it drops SYNs without an answer."""
        self.target.run(["nft", "flush", "ruleset"])
        ports, sign = (_DROPPED, "") if row.answering is None else (row.answering, "!=")
        self._silent = _DROPPED.__contains__ if row.answering is None else lambda port: port not in ports
        syn = "tcp flags & (syn | ack) == syn"
        rules = f"{syn} tcp dport {sign} {{ {', '.join(map(str, ports))} }} drop"
        if row.limit:
            rules += f"; {syn} limit rate over {row.limit}/second burst 50 packets drop"
        self.target.run(
            ["nft", f"table inet f {{ chain i {{ type filter hook prerouting priority -300; {rules}; }}; }}"]
        )

    def _expected(self, port: int) -> State:
        if self._silent(port):
            return State.SILENT
        return State.OPEN if port in _OPEN or port in _LOW_OPEN else State.CLOSED

    def ours(self, targets: list[str], ports: str, hosts: int = 1, *, retries: int = 1) -> Run:
        """Run the SYN engine as the probes do, helper and all, with a last wait of 1 s where nothing answers."""
        today = datetime.now(UTC).date()
        scope = tuple(ScopeEntry(value, "bench", "bench", today) for value in ("198.18.0.0/15", "2001:db8::/32"))
        job = Job(tuple(targets), ports, scope, rate=_FASTEST, host_rate=_FASTEST, retries=retries, seconds=_SECONDS)
        numbers = expand(parse_ports(ports))
        expected = bytes(map(self._expected, numbers))
        found: Pairs = set()
        done: list[Done] = []
        told: list[HostStates] = []

        def work() -> None:
            for said in client.run(job):
                if isinstance(said, HostStates):
                    told.append(said)
                elif isinstance(said, Done):
                    done.append(said)

        timed = self._timed(lambda: self.scanner.call(work), hosts * len(numbers))
        [figures] = done
        for host in told:
            found |= {
                (host.address, port) for port, state in zip(numbers, host.states, strict=True) if state == State.OPEN
            }
        wrong = sum(is_ != said for host in told for is_, said in zip(expected, host.states, strict=True))
        note = f"dropped {figures.dropped}, forged {figures.forged}, rounds {figures.rounds}"
        return Run(found, *timed, note, wrong)

    def nmap(self, targets: list[str], ports: str, *options: str) -> Run:
        """Run nmap -sS -T4."""
        argv = ["nmap", "-sS", "-T4", "-n", "-Pn", "--open", "-oG", "-", "-p", ports, *options, *targets]
        output: list[str] = []
        timed = self._timed(lambda: output.append(self._run(argv)), 0)
        found: Pairs = set()
        for line in output[0].splitlines():
            host = re.match(r"Host: (\S+)", line)
            if host:
                found |= {(host[1], int(port)) for port in re.findall(r"(\d+)/open/tcp", line)}
        return Run(found, *timed)

    def masscan(self, targets: list[str], ports: str, pairs: int) -> Run:
        """Run masscan; a rate is measured at the interface, as ours is."""
        argv = [
            "masscan",
            *targets,
            "-p",
            ports,
            "--rate",
            str(int(_FASTEST)),
            "--wait",
            "1",
            "-e",
            self.here.interface,
        ]
        argv += ["--source-ip", str(self.here.v4.ip), "--router-mac", self.mac]
        output: list[str] = []
        timed = self._timed(lambda: output.append(self._run(argv, seconds=_MASSCAN_SECONDS)), pairs)
        lines = re.findall(r"Discovered open port (\d+)/tcp on (\S+)", output[0])
        return Run({(address, int(port)) for port, address in lines}, *timed)

    def _run(self, argv: list[str], seconds: float = _SECONDS) -> str:
        # masscan may wait for ever on an idle interface; what it found until then counts.
        try:
            done = subprocess.run(
                [*self.scanner.prefix, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=seconds, check=False,
            )  # fmt: skip
            return done.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired as error:
            return (error.stdout or b"").decode("utf-8", "replace")

    def _timed(self, work: Callable[[], object], pairs: int) -> tuple[float, float, float]:
        """Give seconds, packets a second for the first `pairs` packets by the interface's own counter, CPU seconds."""
        samples: list[tuple[float, int]] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                samples.append((time.perf_counter(), _sent(self.here.interface)))
                time.sleep(0.001)

        watcher = threading.Thread(target=self.scanner.call, args=(watch,)) if pairs else None
        if watcher:
            watcher.start()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        work()
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        stop.set()
        if watcher:
            watcher.join()
        return wall, _rate(samples, pairs) if pairs else 0.0, cpu


def _sent(interface: str) -> int:
    for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == interface:
            return int(figures.split()[9])
    raise LookupError(interface)


def _rate(samples: list[tuple[float, int]], pairs: int) -> float:
    """Give the packets per second between the first and the last tenth of the first `pairs` packets."""
    base = samples[0][1]
    inside = [(at, sent - base) for at, sent in samples if 0.05 * pairs <= sent - base <= 0.95 * pairs]
    if len(inside) < 2:
        return 0.0
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def _mac(space: Namespace, attachment: Attachment) -> str:
    return space.run(["ip", "-brief", "link", "show", "dev", attachment.interface]).stdout.split()[2]


def rows(lab: Lab, long: bool) -> Iterator[Row]:
    """Give the jobs."""
    host, host6 = "198.19.0.9", str(lab.there.v6.ip)
    some = [f"198.19.1.{number}" for number in range(1, 255)]
    many = [f"198.19.{third}.{last}" for third in range(4) for last in range(256)][1:-1]
    some6 = [f"2001:db8:99::{number:x}" for number in range(1, 255)]
    high, low = "1-65535", "1-97"
    unfiltered = {*_OPEN, *_LOW_OPEN}
    truth = {(host, port) for port in _OPEN}
    yield Row(
        "1 host x 65535, 103 ports dropped, the others answering",
        None,
        {(host, port) for port in unfiltered},
        {
            "edusec": lambda: lab.ours([host], high),
            "masscan": lambda: lab.masscan([host], high, 65535),
            "nmap": lambda: lab.nmap([host], high),
        },
        5.0,
    )
    yield Row(
        "IPv6: 1 host x 65535, 103 ports dropped, the others answering",
        None,
        {(host6, port) for port in unfiltered},
        {"edusec": lambda: lab.ours([host6], high), "nmap": lambda: lab.nmap([host6], high, "-6")},
        5.0,
    )
    yield Row(
        "16 hosts x 65535, 103 ports dropped, the others answering",
        None,
        {(address, port) for address in some[:16] for port in unfiltered},
        {
            "edusec": lambda: lab.ours(some[:16], high, 16),
            "masscan": lambda: lab.masscan([f"{some[0]}-{some[15]}"], high, 16 * 65535),
        },
    )
    yield Row(
        "1 host x 5000, 2000 SYNs a second answered",
        None,
        {(host, port) for port in unfiltered if port <= 5000},
        {
            "edusec": lambda: lab.ours([host], "1-5000"),
            "masscan": lambda: lab.masscan([host], "1-5000", 5000),
            "nmap": lambda: lab.nmap([host], "1-5000"),
        },
        limit=2000,
    )
    yield Row(
        "97 ports x 1022 hosts, firewalled",
        _LOW_OPEN,
        {(address, port) for address in many for port in _LOW_OPEN},
        {
            "edusec": lambda: lab.ours([_PREFIX], low, len(many)),
            "masscan": lambda: lab.masscan([f"{many[0]}-{many[-1]}"], low, len(many) * 97),
        },
    )
    yield Row(
        "transmit: 1 host x 65535, firewalled, asked once",
        _OPEN,
        truth,
        {
            "edusec": lambda: lab.ours([host], high, retries=0),
            "masscan": lambda: lab.masscan([host], high, 65535),
        },
    )
    yield Row(
        "97 ports x 254 hosts, firewalled",
        _LOW_OPEN,
        {(address, port) for address in some for port in _LOW_OPEN},
        {"edusec": lambda: lab.ours(some, low, len(some)), "nmap": lambda: lab.nmap(["198.19.1.1-254"], low)},
        20.0,
    )
    if long:
        yield Row(
            "1 host x 65535, firewalled",
            _OPEN,
            truth,
            {"edusec": lambda: lab.ours([host], high), "nmap": lambda: lab.nmap([host], high)},
            20.0,
        )
        yield Row(
            "IPv6: 97 ports x 254 hosts, firewalled",
            _LOW_OPEN,
            {(address, port) for address in some6 for port in _LOW_OPEN},
            {
                "edusec": lambda: lab.ours(some6, low, len(some6)),
                "nmap": lambda: lab.nmap([_PREFIX6], low, "-6"),
            },
            20.0,
        )


def measure(row: Row, rounds: int) -> None:
    """Run the programs in turn; what takes a peer more than 20 s is not repeated."""
    for _ in range(rounds):
        for name, program in row.programs.items():
            before = row.runs.setdefault(name, [])
            if not before or before[-1].wall < 20:
                before.append(program())


def report(row: Row) -> bool:
    """Print a row; tells whether recall and ratios reach their bars."""
    print(f"\n{row.name}")
    medians: dict[str, tuple[float, float]] = {}
    fine = True
    for name, runs in row.runs.items():
        recalls = [len(run.found & row.truth) / len(row.truth) for run in runs]
        false = sum(len(run.found - row.truth) for run in runs)
        wall, rate = statistics.median(run.wall for run in runs), statistics.median(run.rate for run in runs)
        medians[name] = wall, rate
        speed = f"  {rate / 1e6:6.3f} Mpps" if rate else ""
        print(
            f"  {name:9} recall {min(recalls):7.2%} (worst of {len(runs)}), false {false}{_wrong(runs)}"
            f"  wall {wall:7.3f} s  CPU {statistics.median(run.cpu for run in runs):6.3f} s{speed}  {runs[-1].note}"
        )
        if name == "edusec":
            fine = fine and min(recalls) == 1 and not false and not any(run.wrong for run in runs)
    our_wall, our_rate = medians.pop("edusec")
    for name, (wall, rate) in medians.items():
        bar = row.bar if name == "nmap" else 0.0
        said = f"  {name} / edusec: wall x{wall / our_wall:.1f}{_verdict(wall / our_wall, bar)}"
        fine = fine and wall / our_wall >= bar
        if rate:
            bar = 1.0 if row.answering and not row.limit else 0.0
            said += f"; edusec / {name}: rate x{our_rate / rate:.2f}{_verdict(our_rate / rate, bar)}"
            fine = fine and our_rate / rate >= bar
        print(said)
    return fine


def _wrong(runs: list[Run]) -> str:
    known = [run.wrong for run in runs if run.wrong is not None]
    return f", told wrong {max(known)}" if known else ""


def _verdict(ratio: float, bar: float) -> str:
    return f" (bar {bar:g}: {'reached' if ratio >= bar else 'MISSED'})" if bar else ""


def main() -> int:
    """Build the lab, measure, report; 0 when every bar was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", help="part of the names of the rows to measure")
    options = parser.parse_args()
    missing = [program for program in ("nmap", "masscan", "nft", "ip") if not shutil.which(program)]
    if missing:
        print(f"needs {', '.join(missing)}: apt-get install nmap masscan nftables iproute2", file=sys.stderr)
        return 2
    netns = Namespaces()
    fine = True
    with contextlib.ExitStack() as closing:
        closing.callback(netns.close)
        lab = Lab(netns, closing.enter_context(contextlib.ExitStack()))
        for row in rows(lab, options.long):
            if options.only in row.name:
                lab.firewall(row)
                measure(row, options.rounds)
                fine = report(row) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
