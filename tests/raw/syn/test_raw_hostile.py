"""Hosts that lie, flood, delay and lose: what is reported open is open, and a run ends in bounded time."""

import itertools
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import rounds
from tests.raw.lab import scan
from tests.raw.wild import ADDRESS, ADDRESS6, NETWORK, Syn, WildHost, wild_host
from tests.support.netns import Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import wait_until

Wild = tuple[Namespace, WildHost]


@pytest.fixture(params=["ethernet", "routed by the kernel"])
def wild(netns: Namespaces, request: pytest.FixtureRequest) -> Iterator[Wild]:
    """A scanner, and a host whose answers the test makes."""
    space = netns()
    with wild_host(space, linked=request.param == "ethernet") as host:
        yield space, host


@pytest.fixture
def wild_link(netns: Namespaces) -> Iterator[Wild]:
    """The same, on Ethernet only."""
    space = netns()
    with wild_host(space) as host:
        yield space, host


def test_an_honest_host_is_told_as_it_is(wild: Wild) -> None:
    scanner, host = wild
    host.answer = lambda syn: [syn.accept() if syn.port in (22, 80) else syn.refuse()]
    result = scan(scanner, [ADDRESS, ADDRESS6], "1-500")
    assert result.open() == {(address, port) for address in (ADDRESS, ADDRESS6) for port in (22, 80)}
    assert result.count() == {State.OPEN: 4, State.CLOSED: 996}


def test_forged_answers_open_nothing(wild_link: Wild) -> None:
    scanner, host = wild_link
    rng = random.Random(1)
    other = socket.inet_aton("198.19.0.9")

    def lie(syn: Syn) -> list[bytes]:
        wrong = [0, syn.sequence, syn.sequence + 2, syn.sequence ^ 0x10000, rng.getrandbits(32)]
        return [
            *(syn.segment(0x12, acknowledged) for acknowledged in wrong),
            # What this host knows about its own ports is worth nothing for another port or another host.
            syn.segment(0x12, syn.sequence + 1, port=syn.port % 65535 + 1),
            syn.segment(0x12, syn.sequence + 1, target=other),
            syn.segment(0x14, syn.sequence + 2),
            syn.error(3, 13, sequence=syn.sequence + 1),
            syn.error(3, 13, sequence=rng.getrandbits(32)),
        ]

    host.answer = lambda syn: [] if syn.target == other else lie(syn)
    result = scan(scanner, [ADDRESS, "198.19.0.9"], "1-300")
    assert result.count() == {State.SILENT: 600}
    assert result.done is not None
    assert result.done.forged >= 10 * 300
    assert result.done.complete


def test_an_icmp_error_with_the_cookie_is_believed(wild: Wild) -> None:
    scanner, host = wild
    words = {1: (3, 13), 2: (3, 1), 3: (3, 0), 4: (11, 0), 5: (3, 2)}
    host.answer = lambda syn: [syn.error(*words[syn.port])] if syn.port in words else []
    result = scan(scanner, [ADDRESS], "1-6")
    assert result.states(ADDRESS) == {
        1: State.PROHIBITED,
        2: State.HOST_UNREACHABLE,
        3: State.NET_UNREACHABLE,
        4: State.HOPS_EXCEEDED,
        5: State.PROTOCOL_UNREACHABLE,
        6: State.SILENT,
    }


def test_an_open_port_is_never_unsaid(wild_link: Wild) -> None:
    scanner, host = wild_link
    host.answer = lambda syn: [syn.refuse(), syn.error(3, 13), syn.accept(), syn.refuse(), syn.accept()]
    result = scan(scanner, [ADDRESS], "80")
    assert result.states(ADDRESS) == {80: State.OPEN}
    assert len(result.opened) == 1


def test_what_the_way_loses_is_asked_again(wild_link: Wild) -> None:
    scanner, host = wild_link
    asked: Counter[tuple[bytes, int]] = Counter()

    def lossy(syn: Syn) -> list[bytes]:
        asked[syn.target, syn.port] += 1
        # Some pairs lose more questions than others, so that rounds without anything new lie between.
        lost = (0, 0, 0, 0, 0, 1, 1, 3, 3, 5)[syn.port % 10]
        if asked[syn.target, syn.port] <= lost:
            return []
        return [syn.accept() if syn.port % 50 < 10 else syn.refuse()]

    host.answer = lossy
    result = scan(scanner, [ADDRESS, "198.19.0.3"], "1-500", rate=20_000.0)
    assert result.count() == {State.OPEN: 200, State.CLOSED: 800}
    assert len(asked) == 1000
    assert result.done is not None
    needed = 1000 + 200 * 1 + 200 * 3 + 100 * 5
    assert needed <= result.done.sent < 2 * needed


def test_silence_on_a_bad_way_is_not_certain(wild_link: Wild) -> None:
    scanner, host = wild_link
    asked: Counter[int] = Counter()

    def lossy(syn: Syn) -> list[bytes]:
        asked[syn.port] += 1
        return [syn.refuse()] if asked[syn.port] > syn.port % 8 and syn.port <= 40 else []

    host.answer = lossy
    result = scan(scanner, [ADDRESS], "1-70", rate=20_000.0)
    assert result.count() == {State.CLOSED: 40, State.SILENT: 30}
    assert not result.hosts[ADDRESS].certain


def test_silence_of_a_host_that_no_longer_answers_is_not_certain(wild_link: Wild) -> None:
    scanner, host = wild_link
    asked: set[tuple[bytes, int]] = set()
    banned = socket.inet_aton("198.19.0.3")

    def bans(syn: Syn) -> list[bytes]:
        again = (syn.target, syn.port) in asked
        asked.add((syn.target, syn.port))
        return [syn.refuse()] if syn.port % 2 and not (syn.target == banned and again) else []

    host.answer = bans
    result = scan(scanner, [ADDRESS, "198.19.0.3"], "1-200")
    assert result.count() == {State.CLOSED: 200, State.SILENT: 200}
    assert result.hosts[ADDRESS].certain
    assert not result.hosts["198.19.0.3"].certain


def test_only_what_is_silent_is_asked_again(wild_link: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    scanner, host = wild_link
    host.answer = lambda syn: [syn.refuse()] if syn.port % 2 else []

    def asked(seconds: float) -> tuple[Counter[tuple[int, int]], int, int]:
        """Ask, and wait so long for answers; give how often even and odd ports were asked, and how many rounds."""
        monkeypatch.setattr(rounds, "_SETTLING", seconds)
        monkeypatch.setattr(rounds, "_LEAST_PATIENCE", seconds)
        host.seen.clear()
        done = scan(scanner, [ADDRESS], "1-200", retries=2).done
        assert done is not None
        wait_until(lambda: len(host.seen) == done.sent, "the host has seen all of it")
        times = Counter(syn.port for syn in host.seen)
        # Each try has a source port of its own, so that an answer tells which try it answers.
        assert len({syn.source_port for syn in host.seen if syn.port == 2}) == times[2]
        return Counter((port % 2, count) for port, count in times.items()), done.rounds, done.sent

    # Three that are answered show each time that the host still answers.
    told = {(1, 1): 97, (1, 3): 3, (0, 3): 100}, 3, 406
    assert given_time(asked, lambda found: found == told, first=0.1, enough=2) == told


def test_a_host_that_answers_late_by_design_holds_no_other(wild_link: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_LEAST_FURTHER", 1.0)
    monkeypatch.setattr(rounds, "_FURTHER", 0.5)
    scanner, host = wild_link
    asked: Counter[int] = Counter()

    def answer(syn: Syn) -> list[bytes]:
        if syn.target != socket.inet_aton(ADDRESS):
            return [syn.refuse()] if syn.port % 2 else []
        asked[syn.port] += 1
        return [syn.refuse()] if asked[syn.port] == 2 + syn.port % 40 else []

    host.answer = answer
    result = scan(scanner, [ADDRESS, "198.19.0.9"], "1-200", host_rate=400.0)
    assert result.done is not None
    assert not result.done.complete
    assert result.done.rounds < 7
    assert not result.hosts[ADDRESS].certain
    assert result.hosts["198.19.0.9"].certain
    assert list(result.states("198.19.0.9").values()) == [State.CLOSED, State.SILENT] * 100


@pytest.mark.parametrize("said", ["nothing", "host unreachable"])
def test_hosts_whose_router_lost_its_questions_at_first_are_found(wild: Wild, said: str) -> None:
    """A router that asks for many hosts at once, in front of a switch that limits ARP, finds them one by one."""
    scanner, host = wild
    asked: Counter[tuple[bytes, int]] = Counter()
    rounds_lost = {socket.inet_aton(f"198.19.0.{number}"): (number - 10) // 4 for number in range(10, 34)}
    mute = socket.inet_aton("198.19.0.99")

    def answer(syn: Syn) -> list[bytes]:
        asked[syn.target, syn.port] += 1
        if syn.target == mute or asked[syn.target, syn.port] <= rounds_lost[syn.target]:
            return [syn.error(3, 1)] if said == "host unreachable" else []
        return [syn.refuse()]

    host.answer = answer
    result = scan(scanner, ["198.19.0.99", *_addresses(rounds_lost)], "22,80", wait=0.2)
    absent = State.HOST_UNREACHABLE if said == "host unreachable" else State.SILENT
    assert result.count() == {State.CLOSED: 2 * len(rounds_lost), absent: 2}
    assert set(result.states("198.19.0.99").values()) == {absent}


def test_a_routers_word_that_nobody_is_there_is_taken_when_it_says_it_again(wild: Wild) -> None:
    scanner, host = wild
    host.answer = lambda syn: [syn.error(3, 1)] if syn.target[3] == 9 else [syn.refuse()]
    result = scan(scanner, [ADDRESS, "198.19.0.9"], "22,80")
    assert set(result.states(ADDRESS).values()) == {State.CLOSED}
    assert set(result.states("198.19.0.9").values()) == {State.HOST_UNREACHABLE}
    assert result.hosts["198.19.0.9"].certain
    assert result.done is not None
    assert result.done.rounds == 2


def _addresses(packed: Iterable[bytes]) -> list[str]:
    return [socket.inet_ntoa(address) for address in packed]


def test_slow_answers_are_waited_for_and_timed(wild_link: Wild) -> None:
    scanner, host = wild_link
    timers: list[threading.Timer] = []

    def late(syn: Syn) -> list[bytes]:
        if syn.port != 3:
            timers.append(threading.Timer(0.4, host.write, [syn.accept() if syn.port == 1 else syn.refuse()]))
            timers[-1].start()
        return []

    host.answer = late
    truth = {1: State.OPEN, 2: State.CLOSED, 3: State.SILENT}
    result = given_time(
        lambda seconds: scan(scanner, [ADDRESS], "1-3", wait=seconds),
        lambda result: result.states(ADDRESS) == truth,
        first=2,
    )
    for timer in timers:
        timer.join()
    assert result.states(ADDRESS) == truth
    [opened] = result.opened
    assert opened.seconds is not None
    assert opened.seconds >= 0.4


def test_answers_after_the_last_look_still_count(wild_link: Wild) -> None:
    scanner, host = wild_link
    first = threading.Event()

    def late(syn: Syn) -> list[bytes]:
        if not first.is_set():
            first.set()
            timer = threading.Timer(0.6, host.write, [syn.accept()])
            timer.start()
        return []

    host.answer = late
    result = scan(scanner, [ADDRESS], "80", wait=20.0)
    assert result.states(ADDRESS) == {80: State.OPEN}


@pytest.mark.parametrize("kind", ["icmp", "syn-ack", "junk"])
def test_a_flood_costs_bounded_time_and_hides_nothing(wild_link: Wild, kind: str) -> None:
    scanner, host = wild_link
    stop = threading.Event()
    rng = random.Random(3)

    def flood(syn: Syn) -> None:
        if kind == "icmp":
            packets = [syn.error(3, code % 16, sequence=rng.getrandbits(32)) for code in range(64)]
        elif kind == "syn-ack":
            packets = [syn.segment(0x12, rng.getrandbits(32)) for _ in range(64)]
        else:
            good = syn.accept()
            packets = [good[: 20 + length] for length in range(14)] + [b"\x45" + rng.randbytes(60) for _ in range(50)]
        for packet in itertools.cycle(packets):
            if stop.is_set():
                return
            host.write(packet)

    floods: list[threading.Thread] = []

    def answer(syn: Syn) -> list[bytes]:
        if not floods:
            floods.append(threading.Thread(target=flood, args=(syn,)))
            floods[0].start()
        return [syn.accept() if syn.port % 100 == 0 else syn.refuse()]

    host.answer = answer
    try:
        result = scan(scanner, [ADDRESS], "1-1000", rate=5_000.0)
    finally:
        stop.set()
        for thread in floods:
            thread.join()
    assert result.count() == {State.OPEN: 10, State.CLOSED: 990}
    assert result.done is not None
    assert result.done.complete


def test_a_tarpit_where_all_is_open_is_reported_whole(wild_link: Wild) -> None:
    scanner, host = wild_link
    host.answer = lambda syn: [syn.accept(), syn.accept()]
    result = scan(scanner, [NETWORK], "1-40", rate=50_000.0)
    assert result.count() == {State.OPEN: 253 * 40, State.CLOSED: 40}  # the scanner itself has no port open
    assert len(result.opened) == 253 * 40
