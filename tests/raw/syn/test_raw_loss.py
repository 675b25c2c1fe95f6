"""Loss that begins while the SYN engine asks: it slows, ends where that does not help, and calls nothing filtered."""

import random
from collections.abc import Callable, Iterable

import pytest

from probes.kit.ports.loss import KNOWN, WINDOW
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import HostStates
from probes.kit.raw.syn.messages import Done, Job
from probes.kit.raw.syn.silence import FirstRound, RowWatch
from tests.raw.lab import job, usable
from tests.support.netns import Namespace, Namespaces

Listen = Callable[[Namespace, Iterable[int]], None]
_SILENT, _CLOSED, _PROHIBITED = int(State.SILENT), int(State.CLOSED), int(State.PROHIBITED)


def _watch(states: bytes, hosts: int) -> RowWatch:
    watch = RowWatch(states if isinstance(states, bytearray) else bytearray(states), hosts)
    watch.note(len(states), 1.0)
    watch.ripen(1.0)
    return watch


def _looks(watch: RowWatch) -> list[bool]:
    return list(iter(watch.look, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("hosts", [1, 16, 1000])
@pytest.mark.parametrize("silent", [0.0, 0.5, 1.0])
def test_ports_that_are_filtered_are_no_loss(hosts: int, silent: float) -> None:
    for seed in range(20):
        dice = random.Random(seed)
        states = bytes(_CLOSED * (dice.random() >= silent) for _ in range(60 * max(WINDOW, hosts)))
        said = _looks(_watch(states, hosts))
        assert len(said) > 30
        assert not any(said)


@pytest.mark.parametrize("hosts", [1, 16, 1000])
def test_silence_that_rises_is_loss_and_teaches_nothing(hosts: int) -> None:
    window = -(-WINDOW // hosts) * hosts
    before = bytes([_CLOSED] * (KNOWN * hosts + 3 * window))
    said = _looks(_watch(before + bytes([_SILENT] * 5 * window) + bytes([_CLOSED] * 2 * window), hosts))
    assert said == [False] * 3 + [True] * 5 + [False] * 2


def test_errors_are_silence_and_what_was_not_sent_is_nothing() -> None:
    out = int(State.OUT_OF_SCOPE)
    limited = bytes([_PROHIBITED] * KNOWN + [_SILENT] * 4 * WINDOW)
    assert _looks(_watch(limited, 1)) == [False] * 4
    allowed = bytes([_CLOSED] * KNOWN + [out] * WINDOW + [_CLOSED] * WINDOW + [out, _SILENT] * (WINDOW // 2))
    assert _looks(_watch(allowed, 1)) == [False, False, True]


def test_only_what_had_its_time_is_looked_at_and_nothing_that_was_under_way() -> None:
    states = bytearray(KNOWN + 8 * WINDOW)
    states[: KNOWN + WINDOW] = bytes([_CLOSED]) * (KNOWN + WINDOW)
    watch = RowWatch(states, 1)
    watch.note(KNOWN + WINDOW, 1.0)
    watch.note(KNOWN + 3 * WINDOW, 2.0)
    watch.ripen(1.5)
    assert _looks(watch) == [False]
    watch.ripen(2.0)
    assert watch.look() is True
    watch.restart()
    assert watch.look() is None
    watch.note(KNOWN + 4 * WINDOW, 3.0)
    watch.ripen(3.0)
    assert _looks(watch) == [True]


def test_the_round_slows_while_fewer_questions_help_and_ends_when_they_do_not() -> None:
    def ask(answered: Callable[[float], float]) -> tuple[list[float], bool]:
        """Ask at what the brake allows, at most 1,000 a second; answers come at what `answered` makes of that."""
        states = bytearray(40_000)
        round_, dice, now, asked, rates = FirstRound(states, 1), random.Random(5), 1.0, 0, [1000.0]
        while asked < len(states):
            rate = round(min(1000.0, *(pace.rate for pace in round_.paces), 1000.0), 1)
            if rate != rates[-1]:
                rates.append(rate)
            for place in range(asked, min(len(states), asked + int(rate / 10))):
                states[place] = _CLOSED * (place < 1000 or dice.random() < answered(rate))
            asked += int(rate / 10)
            now += 0.1
            round_.sent(int(rate / 10), asked, now)
            if round_.in_vain(now, 0.25):
                return rates, True
        return rates, False

    assert ask(lambda _: 1.0) == ([1000.0], False)
    assert ask(lambda _: 0.0) == ([1000.0, 500.0, 250.0, 125.0], True)
    assert ask(lambda _: 0.3) == ([1000.0, 500.0, 250.0, 125.0], True)
    # One that answers 55 a second is no path that loses.
    rates, ended = ask(lambda rate: min(1.0, 55 / rate))
    assert not ended
    assert rates[:5] == [1000.0, 500.0, 250.0, 125.0, 62.5]


@pytest.mark.parametrize(("hosts", "filtered"), [(3, 0.3), (16, 0.2), (300, 0.02), (1000, 0.0)])
def test_hosts_that_fell_silent_are_told_apart_from_a_path_that_loses(hosts: int, filtered: float) -> None:
    window = -(-WINDOW // hosts)
    calm = KNOWN + 8 * window
    gone = list(range(0, hosts, 2))

    def fallen(answers: Callable[[int], float]) -> tuple[RowWatch, list[int]]:
        """Have calm rows answered but for filtered ports, and later ones as often as `answers` says of a host."""
        dice = random.Random(7)
        states = bytearray(
            _CLOSED * (dice.random() >= filtered and (row < calm or dice.random() < answers(host)))
            for row in range(calm + 8 * window)
            for host in range(hosts)
        )
        watch = _watch(states, hosts)
        assert [watch.look() for _ in range(12)] == [False] * 8 + [True] * 4
        found = watch.fallen()
        for host in found:  # as a lane sets them aside
            states[host::hosts] = states[host::hosts].replace(b"\0", bytes([State.DOUBTED]))
        return watch, found

    assert fallen(lambda _: 0.0)[1] == []
    assert fallen(lambda _: 0.02)[1] == []
    assert fallen(lambda _: 0.3)[1] == []
    watch, found = fallen(lambda host: host % 2)
    assert set(found) <= set(gone)  # of one that had answered little before nobody can tell
    assert len(found) > 0.7 * len(gone)
    assert not any(_looks(watch))  # the others answer as they did


def test_a_host_that_fell_silent_is_told_apart_where_a_moment_of_loss_came_before() -> None:
    hosts, window = 3, -(-WINDOW // 3)
    calm = KNOWN + 8 * window
    lost, under_way, silent = ([0, 0, 0], window), ([_CLOSED] * 3, window), ([_CLOSED, 0, _CLOSED], 3 * window)
    parts = [([_CLOSED] * 3, calm), lost, under_way, silent]
    watch = RowWatch(bytearray(state for row, times in parts for _ in range(times) for state in row), hosts)
    watch.note((calm + window) * hosts, 1.0)
    watch.note((calm + 2 * window) * hosts, 2.0)
    watch.ripen(1.0)
    assert _looks(watch) == [False] * 8 + [True]
    watch.restart()
    watch.note((calm + 5 * window) * hosts, 3.0)
    watch.ripen(3.0)
    assert _looks(watch) == [True] * 3
    assert watch.fallen() == [1]


@pytest.mark.parametrize("percent", [70, 99])
def test_a_path_that_begins_to_lose_ends_the_run(
    netns: Namespaces, listen: Listen, needs: Callable[..., str], percent: int
) -> None:
    nft = needs("nft", package="nftables")
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    usable(scanner, target)
    listen(target, [22])
    drop = f"numgen random mod 100 < {percent} drop"
    lose = [nft, f"table inet lab {{ chain last {{ type filter hook output priority 0; {drop}; }}; }}"]

    def run(wanted: Job) -> tuple[list[HostStates], list[Done]]:
        hosts, done, lossy = [], [], False
        for said in client.run(wanted):
            if isinstance(said, Progress) and said.settled > 1500 and not lossy:
                target.run(lose)
                lossy = True
            elif isinstance(said, HostStates):
                hosts.append(said)
            elif isinstance(said, Done):
                done.append(said)
        return hosts, done

    [host], [done] = scanner.call(run, job([str(there.v4.ip)], "1-60000", rate=4000.0, host_rate=4000.0))
    assert done.lossy
    assert done.sent < 55_000  # 20,000 are more than it takes; the rules come into force when they do
    assert not host.certain
    assert host.states.count(State.NOT_ASKED) > 5_000
    assert host.states.count(State.CLOSED) > 1500


def test_a_host_that_falls_silent_does_not_end_the_scan_of_the_others(
    netns: Namespaces, listen: Listen, needs: Callable[..., str]
) -> None:
    nft = needs("nft", package="nftables")
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    usable(scanner, target)
    names = [str(there.v4.network[number]) for number in (2, 101, 102)]
    for name in names[1:]:
        target.run(["ip", "address", "add", f"{name}/24", "dev", there.interface])
    listen(target, [22])
    ban = f"ip saddr {names[1]} tcp flags & rst == rst drop"
    said = []

    def run(wanted: Job) -> None:
        banned = False
        for item in client.run(wanted):
            said.append(item)
            if isinstance(item, Progress) and item.settled > 3000 and not banned:
                target.run([nft, f"table inet lab {{ chain last {{ type filter hook output priority 0; {ban}; }}; }}"])
                banned = True

    scanner.call(run, job(names, "1-12000", rate=9000.0, host_rate=3000.0))
    [done] = [item for item in said if isinstance(item, Done)]
    hosts = {item.address: item for item in said if isinstance(item, HostStates)}
    assert done.complete
    assert not done.lossy
    for name in (names[0], names[2]):
        assert hosts[name].certain
        assert hosts[name].states.count(State.CLOSED) == 11_999
    assert not hosts[names[1]].certain
    assert hosts[names[1]].states.count(State.CLOSED) > 500
    assert hosts[names[1]].states.count(State.SILENT) > 0
