"""The connect engine against real kernels: every way in which a handshake can end, shortage, and no ghost ports."""

import random
import select
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as daytime
from pathlib import Path

import pytest

from probes.kit.connect.sweep import Sweep
from probes.kit.errors import Refused
from probes.kit.machine.proc import local_ports
from probes.kit.ports.blocks import CODES, Block
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import Settled
from probes.kit.sending.pacing import QuietHours
from tests.probes.rig import LAB, net_of
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import Processes, open_files

LISTENERS = str(Path(__file__).parents[1] / "listeners.py")
_REJECTING = """
table inet filter {
  chain in {
    type filter hook input priority 0;
    tcp dport 30 drop
    tcp dport 31 reject
    tcp dport 32 reject with icmpx admin-prohibited
    tcp dport 33 reject with icmpx host-unreachable
    tcp dport 34 reject with icmpx no-route
    tcp dport 35 reject with tcp reset
  }
}
"""
_DAY = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
_NIGHT = _DAY + 6 * 3600
# The first SYN of a source to a port is lost, whatever comes after it passes.
_FIRST_IS_LOST = """
table inet filter {
  set known { type inet_service; flags dynamic; size 65536; timeout 1m; }
  chain in {
    type filter hook input priority 0;
    tcp flags & (syn | ack) != syn accept
    tcp dport @known accept
    add @known { tcp dport }
    drop
  }
}
"""


@pytest.fixture
def pair(netns: Namespaces) -> tuple[Namespace, Namespace, Attachment]:
    prober, target = netns(), netns()
    _, there = netns.link(prober, target)
    # Errors must come back for each port, or a silent one would pass as dropped.
    target.sysctl("net.ipv4.icmp_ratelimit", 0)
    target.sysctl("net.ipv6.icmp.ratelimit", 0)
    return prober, target, there


def _quiet_at(seconds: float) -> tuple[daytime, daytime]:
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    return tuple((local + timedelta(minutes=more)).time().replace(second=0) for more in (-1, 1))  # type: ignore[return-value]


def firewall(space: Namespace, rules: str) -> None:
    space.run(["sh", "-c", f"nft -f - <<'END'\n{rules}END\n"])


def sweep(net: Net, address: str, ports: range | list[int], **how: float) -> dict[int, Settled]:
    """Settle all ports of one address."""
    options: dict[str, float] = {"timeout": 2.0, "retries": 0, **how}
    block = Block((net.gate(address),), tuple(ports))
    seconds = options.pop("seconds", 60.0)
    done = [item for item in Sweep(net, **options).run([block], time.monotonic() + seconds) if item]  # type: ignore[arg-type]
    assert done == [block]
    return {port: CODES[code] for port, code in zip(block.ports, block.row(0), strict=True)}  # type: ignore[misc]


@pytest.mark.parametrize("family", [4, 6])
def test_each_way_in_which_a_handshake_ends(
    pair: tuple[Namespace, Namespace, Attachment], process: Processes, needs: Callable[..., str], family: int
) -> None:
    needs("nft", package="nftables")
    prober, target, there = pair
    firewall(target, _REJECTING)
    process([sys.executable, LISTENERS, "22", "30", "443"], netns=target, ready="ready")
    address = str(there.v4.ip if family == 4 else there.v6.ip)
    found = prober.call(sweep, net_of(*LAB), address, [22, 23, *range(30, 36), 443])
    assert found == {
        22: Settled.OPEN,
        23: Settled.CLOSED,
        30: Settled.TIMEOUT,
        31: Settled.PROHIBITED,
        # IPv4 has one errno for "prohibited" and "no such host"; either way something said no.
        32: Settled.PROHIBITED if family == 6 else Settled.NO_HOST,
        33: Settled.NO_HOST,
        34: Settled.UNREACHABLE,
        35: Settled.CLOSED,
        443: Settled.OPEN,
    }


def test_what_this_machine_itself_does_not_let_out(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    prober, _, _ = pair
    prober.run(["ip", "route", "add", "prohibit", "198.18.100.0/24"])
    prober.run(["ip", "route", "add", "unreachable", "198.18.101.0/24"])
    prober.run(["ip", "route", "add", "blackhole", "198.18.102.0/24"])
    ends = {
        "198.18.100.1": Settled.DENIED,
        "198.18.101.1": Settled.UNREACHABLE,
        "198.18.102.1": Settled.UNREACHABLE,
        "198.18.103.1": Settled.UNREACHABLE,
        "2001:db8:ffff::1": Settled.UNREACHABLE,
    }
    net = net_of(*LAB)
    for address, expected in ends.items():
        assert set(prober.call(sweep, net, address, range(1, 20)).values()) == {expected}, address


def test_a_host_that_is_not_on_the_link_is_no_answer(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    prober, _, there = pair
    missing = str(there.v4.ip + 77)
    found = prober.call(sweep, net_of(*LAB), missing, range(1, 5), timeout=5.0)
    assert set(found.values()) == {Settled.NO_HOST}


@pytest.mark.parametrize("family", [4, 6])
def test_it_finds_what_nmap_finds(
    pair: tuple[Namespace, Namespace, Attachment], process: Processes, needs: Callable[..., str], family: int
) -> None:
    nmap = needs("nmap")
    needs("nft", package="nftables")
    prober, target, there = pair
    dice = random.Random(7)
    ports = sorted(dice.sample(range(1, 3001), 60))
    hidden = dice.sample(ports, 10)
    rules = "table inet filter {\n chain in {\n  type filter hook input priority 0;\n  tcp dport { "
    firewall(target, rules + ", ".join(map(str, hidden)) + " } drop\n }\n}\n")
    process([sys.executable, LISTENERS, *map(str, ports)], netns=target, ready="ready")
    address = str(there.v4.ip if family == 4 else there.v6.ip)
    command = [nmap, *(["-6"] if family == 6 else []), "-sT", "-n", "-Pn", "-T4", "-p", "1-3000", "-oG", "-", address]
    theirs = prober.run(command, seconds=90).stdout
    told = {
        int(part.split("/")[0].split()[-1]) for part in theirs.partition("Ports: ")[2].split(",") if "/open/" in part
    }
    net = net_of(*LAB, per_host=1000)
    ours = prober.call(sweep, net, address, range(1, 3001), timeout=1.0, retries=1, connections=1000)
    assert {port for port, end in ours.items() if end is Settled.OPEN} == told == set(ports) - set(hidden)
    assert {port for port, end in ours.items() if end is Settled.TIMEOUT} == set(hidden)


def test_a_lost_packet_is_made_up_for(
    pair: tuple[Namespace, Namespace, Attachment], process: Processes, needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    prober, target, there = pair
    process([sys.executable, LISTENERS, *map(str, range(1000, 1050))], netns=target, ready="ready")
    for retries, expected in ((0, Settled.TIMEOUT), (1, Settled.OPEN)):
        firewall(target, "flush ruleset\n" + _FIRST_IS_LOST)
        found = prober.call(sweep, net_of(*LAB), str(there.v4.ip), range(1000, 1050), timeout=0.5, retries=retries)
        assert set(found.values()) == {expected}


def test_nothing_is_left_behind(pair: tuple[Namespace, Namespace, Attachment], process: Processes) -> None:
    """Each handshake ends with a reset: no TIME_WAIT on either side, and no descriptor kept."""
    prober, target, there = pair
    process([sys.executable, LISTENERS, *map(str, range(1000, 1200))], netns=target, ready="ready")
    before = open_files()
    found = prober.call(sweep, net_of(*LAB), str(there.v4.ip), range(900, 1300))
    assert sum(end is Settled.OPEN for end in found.values()) == 200
    assert open_files() <= before
    for space in (prober, target):
        assert space.run(["ss", "-Htan", "state", "time-wait"]).stdout == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_no_port_of_this_machine_is_open_to_itself_only(netns: Namespaces, address: str) -> None:
    """Among 32 source ports handshakes meet themselves and each other (simultaneous open) all the time."""
    space = netns()
    space.sysctl("net.ipv4.ip_local_port_range", "40000 40031")
    for _ in range(10):
        found = space.call(sweep, net_of(), address, range(40000, 40032))
        assert set(found.values()) == {Settled.CLOSED}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_all_ports_of_this_machine(netns: Namespaces, process: Processes, address: str) -> None:
    space = netns()
    ports = sorted(random.Random(5).sample(range(1, 65536), 50))
    process([sys.executable, LISTENERS, *map(str, ports)], netns=space, ready="ready")
    found = space.call(sweep, net_of(per_host=1000), address, range(1, 65536))
    assert [port for port, end in found.items() if end is Settled.OPEN] == ports
    assert set(found.values()) == {Settled.OPEN, Settled.CLOSED}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_that_never_accepts_is_open(netns: Namespaces, address: str) -> None:
    """Its queue is full after the first handshake, so that a second look meets silence."""
    space = netns()
    port = int(space.run(["cat", "/proc/sys/net/ipv4/ip_local_port_range"]).stdout.split()[0]) + 1
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.call(socket.create_server, (address, port), family=family, backlog=0):
        found = space.call(sweep, net_of(), address, [port - 1, port], timeout=0.5)
    assert found == {port - 1: Settled.CLOSED, port: Settled.OPEN}


def test_shortage_of_descriptors_slows_it_down_and_changes_nothing(
    pair: tuple[Namespace, Namespace, Attachment], process: Processes
) -> None:
    prober, target, there = pair
    process([sys.executable, LISTENERS, *map(str, range(1000, 1020))], netns=target, ready="ready")
    code = f"""
import resource, sys, os
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.probes.connect.test_sweep import sweep
from tests.probes.rig import LAB, net_of
from probes.kit.connect.sweep import Sweep
import probes.kit.connect.sweep
# The limit sinks after the engine has looked at it, as when another part of the process takes descriptors.
class Later(Sweep):
    def _begin(self, block):
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 5,) * 2)
        super()._begin(block)
import tests.probes.connect.test_sweep as module
module.Sweep = Later
found = sweep(net_of(*LAB), {str(there.v4.ip)!r}, range(900, 1100), retries=1)
print(*sorted(port for port, end in found.items() if end == "open"))
print(*sorted({{end.value for end in found.values()}}))
"""
    done = prober.run([sys.executable, "-c", code])
    opened, ends = done.stdout.splitlines()
    assert opened.split() == [str(port) for port in range(1000, 1020)]
    assert ends == "closed open"


def test_no_more_handshakes_are_under_way_than_the_caps_allow(
    pair: tuple[Namespace, Namespace, Attachment], needs: Callable[..., str]
) -> None:
    needs("nft", package="nftables")
    prober, target, there = pair
    firewall(
        target, "table inet f {\n chain in {\n  type filter hook input priority 0;\n  tcp dport 1-999 drop\n }\n}\n"
    )
    most = {"host": 0, "all": 0}

    class Watched(Sweep):
        def _start(self, item):  # type: ignore[no-untyped-def]
            started = super()._start(item)
            most["host"] = max(most["host"], *(lane.busy for lane in self._lanes.values()))
            most["all"] = max(most["all"], len(self._pending))
            return started

    def scan() -> list[Block | None]:
        net = net_of(*LAB, per_host=20, connections=30)
        hosts = (net.gate(str(there.v4.ip)), net.gate(str(there.v6.ip)))
        engine = Watched(net, timeout=0.1, retries=0, per_host=500, connections=5000)
        return list(engine.run([Block((host,), tuple(range(1, 200))) for host in hosts], time.monotonic() + 60))

    assert [block.left for block in prober.call(scan) if block] == [0, 0]
    assert most == {"host": 20, "all": 30}


def test_the_pace_holds(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    prober, _, there = pair
    started = time.monotonic()
    found = prober.call(sweep, net_of(*LAB), str(there.v4.ip), range(1, 201), rate=400)
    assert set(found.values()) == {Settled.CLOSED}
    # 200 handshakes at 400 a second, less the burst of 8 that may leave at once.
    assert time.monotonic() - started >= (200 - 8 - 1) / 400


def test_at_the_deadline_what_is_left_stays_pending(pair: tuple[Namespace, Namespace, Attachment]) -> None:
    prober, _, there = pair

    def cut(seconds: float) -> dict[int, Settled]:
        return prober.call(sweep, net_of(*LAB), str(there.v4.ip), range(1, 6001), rate=200, seconds=seconds)

    found = given_time(cut, lambda found: Settled.CLOSED in found.values(), first=1)
    assert set(found.values()) == {Settled.CLOSED, "pending"}


def test_quiet_hours_that_begin_before_the_second_look_end_the_run(
    netns: Namespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open port of this machine from which it may call itself is looked at once more when all else is settled."""
    monkeypatch.setattr("probes.kit.sending.net._TIME_CHECK_SECONDS", 0.0)
    space = netns()
    space.batch(["address add 198.18.0.1/32 dev lo"])

    def inside() -> tuple[list[Block | None], Refused | None]:
        port = local_ports()[1000]
        with socket.create_server(("198.18.0.1", port)) as server:

            def clock() -> float:
                return _NIGHT if select.select([server], [], [], 0)[0] else _DAY

            net = net_of(*LAB, quiet=(QuietHours(*_quiet_at(_NIGHT)),), clock=clock)
            run = Sweep(net, timeout=2.0, retries=0)
            blocks = list(run.run([Block((net.gate("198.18.0.1"),), (port,))], time.monotonic() + 60))
            return blocks, run.stopped

    blocks, stopped = space.call(inside)
    assert [block.left for block in blocks if block] == [1]
    assert stopped is not None
    assert stopped.skipped.reason.startswith("quiet_hours")


def test_a_gate_that_allows_less_than_the_block_is_a_fault() -> None:
    from tests.probes.rig import entry

    net = net_of(entry("198.18.0.0/24", "80"))
    block = Block((net.gate("198.18.0.1"),), (80, 81))
    with pytest.raises(ValueError, match="does not allow every port"):
        list(Sweep(net, timeout=5, retries=0).run([block], time.monotonic() + 30))


def test_an_abandoned_run_closes_everything() -> None:
    before = open_files()
    net = net_of()
    running = Sweep(net, timeout=1, retries=0).run(
        [Block((net.gate("127.0.0.1"),), tuple(range(1, 65536)))], time.monotonic() + 60
    )
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert open_files() <= before


def test_the_kernel_measures_the_round_trip(pair: tuple[Namespace, Namespace, Attachment], process: Processes) -> None:
    prober, target, there = pair
    process([sys.executable, LISTENERS, "80"], netns=target, ready="ready")

    def scan() -> Block:
        net = net_of(*LAB)
        block = Block((net.gate(str(there.v6.ip)),), (79, 80))
        list(Sweep(net, timeout=5, retries=0).run([block], time.monotonic() + 30))
        return block

    block = prober.call(scan)
    assert [CODES[code] for code in block.states] == [Settled.CLOSED, Settled.OPEN]
    assert 0 < block.round_trips[1] < 5
