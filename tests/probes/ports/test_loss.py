"""Lost packets are told from filtered ports: a scan asks less and again, and says that it does not know."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.kit.ports.loss import KNOWN, WINDOW, Brake, Host, LossWatch, risen
from probes.kit.sending.pacing import Pace
from tests.probes.rig import LAB, Run, net_of, run
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes
from wire.ports import format_ports
from wire.types import Observation, TargetKind, Value

LISTENERS = str(Path(__file__).parents[1] / "listeners.py")
OPEN = (22, 80, 443, 1500)


def test_a_little_more_silence_is_no_loss_however_sure_it_is() -> None:
    assert [risen(100, excess, variance=0.01) for excess in (1, 20, 30)] == [False, False, True]
    # Nor much more, where chance explains it.
    assert not risen(100, 30, variance=64)


@pytest.mark.parametrize(("every", "slowed"), [(2, True), (200, False)])
def test_only_a_host_that_misses_a_good_share_is_slowed_down(every: int, slowed: bool) -> None:
    host = Host(made=4000)
    said = [host.answer(number % every == 0, 10 + number / 100) for number in range(4000)]
    assert any(said) is slowed
    assert (host.gap > 0) is slowed


def tell(watch: LossWatch, host: Host, *, silent: float, count: int, dice: random.Random) -> list[bool]:
    """Let tries come to silence with such a chance; gives what the watch says meanwhile."""
    said = []
    for _ in range(count):
        watch.begin(host).silent = dice.random() < silent
        risen = watch.look()
        if risen is not None:
            said.append(risen)
    return said


@pytest.mark.parametrize("silent", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_ports_that_are_filtered_are_no_loss(silent: float) -> None:
    dice = random.Random(7)
    watch = LossWatch()
    # Also when hosts that answer everything are followed by hosts that answer next to nothing.
    assert not any(tell(watch, Host(), silent=0.0, count=2000, dice=dice))
    for _ in range(50):
        assert not any(tell(watch, Host(), silent=silent, count=97, dice=dice))


@pytest.mark.parametrize("silent", [0.2, 0.5, 0.7])
def test_a_host_that_was_asked_little_so_far_is_not_judged_by_that(silent: float) -> None:
    for seed in range(100):
        assert not any(tell(LossWatch(), Host(), silent=silent, count=8 * WINDOW, dice=random.Random(seed)))


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.5), (0.3, 0.8), (0.5, 1.0)])
def test_silence_that_rises_is_loss_for_as_long_as_it_lasts(before: float, after: float) -> None:
    dice = random.Random(8)
    watch, host = LossWatch(), Host()
    assert not any(tell(watch, host, silent=before, count=10 * WINDOW, dice=dice))
    assert all(tell(watch, host, silent=after, count=10 * WINDOW, dice=dice)[1:])
    assert not any(tell(watch, host, silent=before, count=4 * WINDOW, dice=dice)[1:])


def test_answers_that_come_before_the_silence_of_earlier_tries_are_no_rise() -> None:
    watch, host = LossWatch(), Host()
    tries = [watch.begin(host) for _ in range(4 * WINDOW)]
    for made in tries[::2]:
        made.silent = False
        assert watch.look() is None or made is tries[0]
    for made in tries[1::2]:
        made.silent = True
    said = [watch.look() for _ in range(4)]
    assert True not in said
    assert said[:3] == [False, False, False]
    assert host.tried == KNOWN + 3 * WINDOW


def test_the_brake_slows_lets_up_and_gives_up() -> None:
    paces, watch = [Pace(10_000.0)], LossWatch()
    brake, host = Brake(paces, watch), Host()

    def window(silent: bool) -> bool | None:
        for _ in range(WINDOW):
            watch.begin(host).silent = silent
        return brake.look(800.0)

    tell(watch, host, silent=0.0, count=KNOWN, dice=random.Random(9))
    assert window(False) is False
    assert len(paces) == 1
    assert window(True) is None
    assert [pace.rate for pace in paces] == [10_000.0, 400.0]
    assert window(False) is False
    assert paces[1].rate == 500.0
    for _ in range(4):
        window(False)
    assert len(paces) == 1
    assert [window(True) for _ in range(4)] == [None, None, None, True]
    assert paces[1].rate == 100.0


def test_only_a_host_that_answers_late_is_doubted_and_slowed() -> None:
    steady, lossy = Host(), Host()
    slowed = []
    for number in range(200):
        now = 10 + number / 100
        steady.made += 1
        lossy.made += 1 + number % 2
        assert not steady.answer(0, now)
        slowed.append(lossy.answer(number % 2, now))
    assert not steady.doubtful(1)
    assert lossy.doubtful(1)
    assert lossy.doubtful(7)
    assert not lossy.doubtful(14)
    # Three late answers are enough; then it gets half of its 150 tries a second, and a second's time.
    assert [number for number, slow in enumerate(slowed) if slow] == [5, 109]
    assert steady.gap == 0.0
    assert lossy.gap == pytest.approx(1 / 50)


def test_a_slowed_host_gets_more_again_while_nothing_gets_lost() -> None:
    host = Host(made=100)
    for tries, now in ((0, 0.5), (1, 1.0), (1, 1.0), (1, 1.0)):
        host.answer(tries, now)
    assert host.gap == pytest.approx(0.01)
    assert host.earn(0.1, 1.1) == 2
    before = host.gap
    host.earn(1.0, 1.5)
    assert host.gap == before
    for _ in range(10):
        host.earn(1.0, 3.0)
    assert host.gap < before / 2


def _ports(host: Observation) -> dict[str, Value]:
    """What a scan says of the ports of a host; a neighbour's MAC stands beside it."""
    return {name: value for name, value in host.values.items() if name not in {"mac", "local_mac"}}


@pytest.fixture
def lab(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> tuple[Namespace, Namespace, Attachment, Callable[[str], None]]:
    """A prober, a server with open ports on its link, and a way to load rules there."""
    nft = needs("nft", package="nftables")
    prober, server = netns(), netns()
    _, there = netns.link(prober, server)
    process([sys.executable, LISTENERS, *map(str, OPEN)], netns=server, ready="ready")

    def rules(text: str) -> None:
        server.run([nft, f"table inet f {{ chain c {{ type filter hook prerouting priority -300; {text}; }}; }}"])

    return prober, server, there, rules


def scan(space: Namespace, there: Attachment, ports: str, **given: object) -> Run:
    full = {"targets": [str(there.v4.ip)], "ports": ports, "identify": False, "engine": "connect", "rate": 1e5, **given}
    return space.call(run, "open_ports", full, net_of(*LAB, per_host=2000))


def test_a_host_that_limits_its_rate_keeps_nothing_hidden(
    lab: tuple[Namespace, Namespace, Attachment, Callable[[str], None]],
) -> None:
    prober, _, there, rules = lab
    rules("tcp flags & (syn | ack) == syn tcp dport 1000-1009 drop")
    rules("tcp flags & (syn | ack) == syn limit rate over 1000/second burst 100 packets drop")
    found = scan(prober, there, "1-2000")
    assert found.open() == {(str(there.v4.ip), port) for port in OPEN}
    [host] = [item for item in found.observations if item.target.kind is TargetKind.HOST]
    closed = set(range(1, 2001)) - set(OPEN) - set(range(1000, 1010))
    assert _ports(host) == {"closed": format_ports(closed), "filtered": "1000-1009"}
    assert found.skipped == []
    assert max(item.lost for item in found.progress) > 0


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_a_filter_that_says_no_now_and_then_is_no_loss(
    lab: tuple[Namespace, Namespace, Attachment, Callable[[str], None]], engine: str
) -> None:
    prober, _, there, rules = lab
    # A kernel sends one host six ICMP errors at once, and then one a second.
    rules("tcp flags & (syn | ack) == syn tcp dport != { 22, 80 } reject with icmp type port-unreachable")
    found = scan(prober, there, "1-600", engine=engine, timeout=0.3, rate=4000.0, host_rate=4000.0, per_host=2000)
    assert found.open() == {(str(there.v4.ip), port) for port in (22, 80)}
    [host] = [item for item in found.observations if item.target.kind is TargetKind.HOST]
    assert _ports(host) == {"filtered": format_ports(set(range(1, 601)) - {22, 80})}
    assert found.skipped == []


@pytest.mark.parametrize(("engine", "length"), [("connect", 60), ("syn", 44)])
def test_a_host_that_bans_the_scanner_has_no_filtered_ports(
    lab: tuple[Namespace, Namespace, Attachment, Callable[[str], None]], engine: str, length: int
) -> None:
    prober, _, there, rules = lab
    # Each port is asked once; then nothing more comes through.
    rules(f"tcp flags & (syn | ack) == syn quota over {400 * length} bytes drop; tcp dport 301-340 drop")
    found = scan(prober, there, "1-400", engine=engine, timeout=0.3, host_rate=1e5, per_host=2000)
    [host] = [item for item in found.observations if item.target.kind is TargetKind.HOST]
    assert _ports(host) == {"closed": format_ports(set(range(1, 401)) - set(OPEN) - set(range(301, 341)))}
    assert [(item.what, item.reason) for item in found.skipped] == [(f"{there.v4.ip} ports 301-340", "loss")]
    assert found.progress[-1].done == 400


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_a_path_that_gives_way_ends_the_scan_and_nothing_is_called_absent(
    lab: tuple[Namespace, Namespace, Attachment, Callable[[str], None]], engine: str
) -> None:
    prober, _, there, rules = lab
    # Some 2,000 SYNs of 60 bytes pass, then nothing does any more.
    rules("tcp flags & (syn | ack) == syn quota over 120000 bytes drop")
    given = {"timeout": 0.3, "rate": 4000.0, "host_rate": 4000.0, "per_host": 2000}
    found = scan(prober, there, "1-60000", engine=engine, **given)
    assert [(item.what, item.reason) for item in found.skipped] == [(str(there.v4.ip), "loss")]
    assert found.coverage == []
    assert found.progress[-1].done < 30_000
    filtered = [str(item.values.get("filtered", "")) for item in found.observations]
    assert not [ports for ports in filtered if ports], "nothing is filtered here, and nothing may be called so"
