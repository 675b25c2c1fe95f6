"""The SYN engine and the connect engine are asked the same and say the same."""

import time
from collections.abc import Callable
from datetime import datetime
from datetime import time as daytime
from ipaddress import ip_address

import pytest

from probes.kit.connect.sweep import Sweep
from probes.kit.errors import Quiet
from probes.kit.ports.blocks import CODE_OF, CODES, PENDING, Block
from probes.kit.raw.syn.blocks import SynSweep
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import OUTCOMES, Settled
from probes.kit.sending.pacing import Pace, QuietHours
from tests.raw.lab import LAB, scope, usable
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.patience import given_time
from wire.types import Outcome

_OPEN = (22, 80, 443, 8080)


@pytest.fixture
def lab(
    netns: Namespaces, listen: Callable[..., None], rules: Callable[..., None]
) -> tuple[Namespace, Attachment, Attachment]:
    """A scanner and a target with open, closed, dropped and rejected ports."""
    scanner, target = netns(), netns()
    here, there = netns.link(scanner, target)
    usable(scanner, target)
    listen(target, _OPEN)
    target.sysctl("net.ipv4.icmp_ratelimit", 0)
    target.sysctl("net.ipv6.icmp.ratelimit", 0)
    syn = "tcp flags & (syn | ack) == syn"
    rules(target, f"{syn} tcp dport 100-109 drop; {syn} tcp dport 200-209 reject with icmpx type admin-prohibited")
    return scanner, here, there


def _net(**more: object) -> Net:
    return Net(Scope(scope(*LAB)), pace=Pace(50_000.0), **more)  # type: ignore[arg-type]


def _outcomes(block: Block) -> list[Outcome]:
    return [OUTCOMES[Settled(CODES[code])] for code in block.states]


def test_both_engines_say_the_same(lab: tuple[Namespace, Attachment, Attachment]) -> None:
    scanner, here, there = lab
    beyond = (there.v4.ip, there.v6.ip, there.v4.network[99])
    addresses = ["127.0.0.1", "::1", *map(str, (here.v4.ip, here.v6.ip, *beyond))]
    ports = (443, 22, 23, 80, *range(95, 115), *range(195, 215), 8080)

    def both() -> tuple[list[Block], list[Block]]:
        found = []
        for engine in (Sweep, SynSweep):
            net = _net()
            gates = tuple(net.gate(address) for address in addresses)
            blocks = [Block(gates[:3], ports), Block(gates[3:], ports), Block(gates[:1], (80,))]
            more = {"host_rate": 10_000.0} if engine is SynSweep else {}
            sweep = engine(net, timeout=1.0, retries=1, **more)  # type: ignore[arg-type]
            done = [block for block in sweep.run(blocks, time.monotonic() + 60) if block is not None]
            assert sweep.done == sum(len(block.states) for block in blocks)
            assert sweep.stopped is None
            found.append(sorted(done, key=blocks.index))
        return found[0], found[1]

    connect, syn = scanner.call(both)
    # The connect engine learns of an absent host only from its own timeout; what it makes of it is the same.
    assert [_outcomes(block) for block in syn] == [_outcomes(block) for block in connect]
    assert CODE_OF[Settled.PROHIBITED] in syn[1].states
    assert CODE_OF[Settled.TIMEOUT] in syn[1].states
    assert [block.left for block in syn] == [0, 0, 0]
    opened = syn[1].states.count(CODE_OF[Settled.OPEN])
    assert opened == 2 * len(_OPEN)
    assert set(syn[1].round_trips) <= set(connect[1].round_trips)


def test_what_was_not_asked_in_time_stays_pending(lab: tuple[Namespace, Attachment, Attachment]) -> None:
    scanner, _, there = lab

    def cut(seconds: float) -> tuple[list[Block], int]:
        net = _net()
        blocks = [Block((net.gate(str(there.v4.ip)),), tuple(range(1000, 1000 + count))) for count in (60_000, 3000)]
        sweep = SynSweep(net, timeout=1.0, retries=1, host_rate=500.0)
        done = [block for block in sweep.run(blocks, time.monotonic() + seconds) if block is not None]
        return done, sweep.done

    [block], done = given_time(lambda seconds: scanner.call(cut, seconds), lambda found: found[1] > 0, first=2)
    assert len(block.ports) == 60_000
    assert 0 < done < 60_000
    assert block.left == block.states.count(PENDING) == 60_000 - done


def test_quiet_hours_end_a_run(lab: tuple[Namespace, Attachment, Attachment]) -> None:
    scanner, _, there = lab
    now = datetime.now().astimezone().replace(hour=12, minute=0)
    clock = [now.timestamp()]

    def run() -> tuple[SynSweep, Block]:
        net = _net(quiet=(QuietHours(daytime(13, 0), daytime(14, 0)),), clock=lambda: clock[0])
        block = Block((net.gate(str(there.v4.ip)),), tuple(range(1000, 60000)))
        sweep = SynSweep(net, timeout=1.0, retries=1, host_rate=300.0)
        for _ in sweep.run([block], time.monotonic() + 120):
            clock[0] = now.replace(hour=13, minute=30).timestamp()
        return sweep, block

    sweep, block = scanner.call(run)
    assert isinstance(sweep.stopped, Quiet)
    assert block.left == len(block.ports)


def test_quiet_hours_end_a_run_that_still_looks_for_its_hosts(lab: tuple[Namespace, Attachment, Attachment]) -> None:
    scanner, _, there = lab
    now = datetime.now().astimezone().replace(hour=12, minute=0)
    clock = [now.timestamp()]

    def run() -> tuple[SynSweep, Block]:
        net = _net(quiet=(QuietHours(daytime(13, 0), daytime(14, 0)),), clock=lambda: clock[0])
        absent = tuple(net.gate(there.v4.network[number]) for number in range(10, 110))
        block = Block(absent, (80, 443))
        sweep = SynSweep(net, timeout=1.0, retries=1, host_rate=300.0, rate=1.0)
        for _ in sweep.run([block], time.monotonic() + 120):
            clock[0] = now.replace(hour=13, minute=30).timestamp()
        return sweep, block

    sweep, block = scanner.call(run)
    assert isinstance(sweep.stopped, Quiet)
    assert (block.left, sweep.figures) == (200, [])


def test_an_address_that_a_domain_led_to_is_in_scope_for_its_ports_only(netns: Namespaces) -> None:
    space, other = netns(), netns()
    _, there = netns.link(space, other)
    other.run(["ip", "route", "add", "local", "9.9.9.0/24", "dev", "lo"])
    space.run(["ip", "route", "add", "9.9.9.0/24", "via", str(there.v4.ip)])

    def run() -> tuple[bytes, int]:
        net = Net(Scope(scope("school.example", ports="80")), pace=Pace(1000.0))
        net.lend("school.example", [ip_address("9.9.9.9")])
        block = Block((net.gate("9.9.9.9", 80),), (80,))
        sweep = SynSweep(net, timeout=1.0, retries=0, host_rate=100.0)
        list(sweep.run([block], time.monotonic() + 30))
        return bytes(block.states), net.sent

    assert space.call(run) == (bytes([CODE_OF[Settled.CLOSED]]), 1)
