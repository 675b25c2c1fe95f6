"""The lab of bench/syn_scan.py: two namespaces joined by a veth pair, one of which owns many addresses; runs in it."""

import contextlib
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import HostStates
from probes.kit.raw.syn.messages import Done, Job
from tests.support.netns import Attachment, Namespace, Namespaces
from wire.ports import expand, parse_ports
from wire.types import ScopeEntry

Pairs = set[tuple[str, int]]

OPEN = (1, 22, 80, 443, 1024, 3306, 5000, 7000, 8080, 9100, 30000, 40001, 50000, 60000, 65535)
LOW_OPEN = tuple(range(1, 98, 7))[:15]
_DROPPED = tuple(range(2000, 2103))
PREFIX = "198.19.0.0/22"
PREFIX6 = "2001:db8:99::/120"
_SECONDS = 400
_MASSCAN_SECONDS = 8
_FASTEST = 1e7
_SYN = "tcp flags & (syn | ack) == syn"


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
    """One job for all programs; `bar` is the least ratio of the wall of `nmap` to ours.

    `answering`: the only ports that the target's filter lets through; None drops _DROPPED only. `limit` lets through so
    many SYNs a second, `resets` so many resets; `refusal` is what happens to the other ports. Rates are held against
    each other where the filter leaves nearly nothing to do but sending.
    """

    name: str
    answering: tuple[int, ...] | None
    truth: Pairs
    programs: dict[str, Callable[[], Run]]
    bar: float = 0.0
    limit: int = 0
    resets: int = 0
    refusal: str = "drop"
    runs: dict[str, list[Run]] = field(default_factory=dict)


class Lab:
    """A scanner and a target that owns PREFIX, with listeners and a filter."""

    def __init__(self, netns: Namespaces, servers: contextlib.ExitStack) -> None:
        """Build it and wait until both sides use it."""
        self.scanner, self.target = netns(), netns()
        self.here, self.there = netns.link(self.scanner, self.target)
        self.target.run(["ip", "route", "add", "local", PREFIX, "dev", "lo"])
        self.scanner.run(["ip", "route", "add", PREFIX, "via", str(self.there.v4.ip)])
        for port in sorted({*OPEN, *LOW_OPEN}):
            address, family = ("::", port), socket.AF_INET6
            listening = self.target.call(
                socket.create_server, address, family=family, backlog=4096, dualstack_ipv6=True
            )
            servers.enter_context(listening)
        self.target.run(["ip", "-6", "route", "add", "local", PREFIX6, "dev", "lo"])
        self.scanner.run(["ip", "-6", "route", "add", PREFIX6, "via", str(self.there.v6.ip)])
        self._silent: Callable[[int], bool] = lambda _port: False
        time.sleep(2)
        self.mac = _mac(self.target, self.there)

    def firewall(self, row: Row) -> None:
        """Load the filter of a row: it drops SYNs without an answer."""
        self.target.run(["nft", "flush", "ruleset"])
        ports, sign = (_DROPPED, "") if row.answering is None else (row.answering, "!=")
        self._silent = _DROPPED.__contains__ if row.answering is None else lambda port: port not in ports
        rules = f"{_SYN} tcp dport {sign} {{ {', '.join(map(str, ports))} }} {row.refusal}"
        if row.limit:
            rules += f"; {_SYN} limit rate over {row.limit}/second burst 50 packets drop"
        chains = f"chain i {{ type filter hook prerouting priority -300; {rules}; }};"
        if row.resets:
            limit = f"tcp flags & rst == rst limit rate over {row.resets}/second burst 50 packets drop"
            chains += f" chain o {{ type filter hook output priority 0; {limit}; }};"
        self.target.run(["nft", f"table inet f {{ {chains} }}"])

    def _expected(self, port: int) -> State:
        if self._silent(port):
            return State.SILENT
        return State.OPEN if port in OPEN or port in LOW_OPEN else State.CLOSED

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
        # What a filter refuses may be told as silent too: a kernel sends one host six ICMP errors, then one a second.
        plain = bytes(State.SILENT if state == State.PROHIBITED else state for state in range(256))
        wrong = sum(
            is_ != said for host in told for is_, said in zip(expected, host.states.translate(plain), strict=True)
        )
        note = f"dropped {figures.dropped}, forged {figures.forged}, rounds {figures.rounds}"
        return Run(found, *timed, note, wrong)

    def nmap(self, targets: list[str], ports: str, *options: str) -> Run:
        """Run nmap -sS -T4, unless the options say otherwise."""
        argv = ["nmap", "-sS", "-T4", "-n", "-Pn", "-oG", "-", "-p", ports, *options, *targets]
        output: list[str] = []
        timed = self._timed(lambda: output.append(self._run(argv)), 0)
        expected = Counter(map(self._expected, expand(parse_ports(ports))))
        found: Pairs = set()
        wrong: int | None = 0
        for line in output[0].splitlines():
            host = re.match(r"Host: (\S+) .*Ports: ", line)
            if host:
                found |= {(host[1], int(port)) for port in re.findall(r"(\d+)/open/tcp", line)}
                # What most ports of a host have in common stands in one figure.
                told = Counter(re.findall(r"\d+/(open|closed|filtered)/tcp", line))
                told.update({state: int(count) for state, count in re.findall(r"State: (\w+) \((\d+)\)", line)})
                if wrong is None or told.total() < expected.total():
                    wrong = None  # it leaves out the figures where they are two
                    continue
                pairs = ((State.CLOSED, "closed"), (State.SILENT, "filtered"))
                wrong += max(abs(expected[state] - told[name]) for state, name in pairs)
        return Run(found, *timed, wrong=wrong)

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
    # Read as bytes: a codec that this thread is importing while the other one forks the helper would hang the helper.
    for line in Path("/proc/thread-self/net/dev").read_bytes().decode().splitlines():
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
