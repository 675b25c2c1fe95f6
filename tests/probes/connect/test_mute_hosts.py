"""Nobody is absent whose host was only looked for in vain: by the kernel on a link, or by a router."""

import time
from collections.abc import Callable

import pytest

from probes.kit.connect.mute_hosts import MuteHosts
from probes.kit.ports.blocks import CODE_OF, CODES, PENDING, Block
from probes.kit.scan.engine import CONNECT, Caps, Engine
from probes.kit.sending.outcomes import Settled
from tests.probes.rig import LAB, net_of
from tests.support.netns import Namespaces

_OPEN, _CLOSED, _SILENT, _NO_HOST, _LOST = (
    CODE_OF[code] for code in (Settled.OPEN, Settled.CLOSED, Settled.TIMEOUT, Settled.NO_HOST, Settled.LOST)
)
_PORTS = (22, 80, 443)


def _block(*rows: list[int], first: str = "198.18.0.") -> Block:
    net = net_of(*LAB)
    block = Block(tuple(net.gate(f"{first}{number}") for number in range(1, len(rows) + 1)), _PORTS)
    _end(block, *rows)
    return block


def _end(block: Block, *rows: list[int]) -> Block:
    block.states[:] = bytes(code for row in rows for code in row)
    block.left = block.states.count(PENDING)
    return block


def _begun(*rows: list[int]) -> tuple[Block, MuteHosts, Block]:
    """A block in which some are mute, and the first check of them."""
    block = _block(*rows)
    mute = MuteHosts([block])
    assert next(mute) is block
    assert list(mute.sift(block)) == []
    [check] = mute
    return block, mute, check


def test_who_answers_after_all_is_asked_for_all_ports_and_the_others_once_more() -> None:
    block, mute, check = _begun([_OPEN, _CLOSED, _SILENT], [_SILENT] * 3, [_NO_HOST] * 3, [_CLOSED] * 3)
    assert ([gate.address for gate in check.hosts], check.ports) == (["198.18.0.2", "198.18.0.3"], (80,))
    assert not check.counts
    assert list(mute.sift(_end(check, [_CLOSED], [_NO_HOST]))) == []
    found, again = mute
    assert ([gate.address for gate in found.hosts], found.ports) == (["198.18.0.2"], _PORTS)
    assert ([gate.address for gate in again.hosts], again.ports) == (["198.18.0.3"], (80,))
    found.round_trips[0] = 0.5
    assert list(mute.sift(_end(found, [_OPEN, _CLOSED, _CLOSED]))) == []
    given: list[Block] = []
    while not given:  # until the odds say that it is in vain
        given = list(mute.sift(_end(again, [_NO_HOST])))
        again = next(mute, again)
    assert given == [block]
    assert list(block.row(1)) == [_OPEN, _CLOSED, _CLOSED]
    assert block.round_trips == {len(_PORTS): 0.5}
    assert block.left == 0
    assert list(mute.rest()) == []


def test_where_nobody_comes_late_one_question_more_is_enough() -> None:
    block, mute, check = _begun([_CLOSED] * 3, [_NO_HOST] * 3)
    assert list(mute.sift(_end(check, [_NO_HOST]))) == [block]
    assert list(block.row(1)) == [_NO_HOST] * 3
    assert list(mute) == []


def test_where_hosts_come_late_to_the_end_the_silence_of_the_others_proves_nothing() -> None:
    hosts = 30
    block, mute, check = _begun([_CLOSED] * 3, *[[_NO_HOST] * 3 for _ in range(hosts)])
    pending = [check]
    given: list[Block] = []
    while pending:
        one = pending.pop()
        if one.ports == _PORTS:
            rows = [[_CLOSED] * 3 for _ in one.hosts]
        else:  # one of those that are left answers in each round
            rows = [[_NO_HOST] for _ in one.hosts]
            rows[0] = [_CLOSED]
        given += mute.sift(_end(one, *rows))
        pending += mute
    assert given == [block]
    lost = block.states.count(_LOST)
    assert 0 < lost == 3 * (hosts - 20)
    assert block.states.count(_CLOSED) == len(block.states) - lost


def test_what_there_was_no_time_to_check_is_pending() -> None:
    block, mute, check = _begun([_CLOSED] * 3, [_SILENT] * 3, [_SILENT] * 3)
    assert list(mute.sift(_end(check, [_CLOSED], [PENDING]))) == []
    assert list(mute.rest()) == [block]
    assert list(block.row(0)) == [_CLOSED] * 3
    assert block.left == block.states.count(PENDING) == 6


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([[_SILENT] * 3, [_NO_HOST] * 3], "198.18.0."),
        ([[_OPEN] * 3, [_SILENT, _CLOSED, _SILENT]], "198.18.0."),
        ([[_OPEN] * 3, [_SILENT, _SILENT, PENDING]], "198.18.0."),
        ([[_OPEN] * 3, [_LOST] * 3], "198.18.0."),
        ([[_OPEN] * 3, [_SILENT] * 3], "127.0.0."),
    ],
)
def test_where_nothing_can_be_learnt_nothing_is_asked(rows: list[list[int]], first: str) -> None:
    block = _block(*rows, first=first)
    mute = MuteHosts([])
    assert list(mute.sift(block)) == [block]
    assert list(mute) == list(mute.rest()) == []


def test_everybody_behind_a_switch_that_limits_arp_is_found(netns: Namespaces, needs: Callable[..., str]) -> None:
    here, there = netns(), netns()
    _, way = netns.link(here, there)
    hosts = [str(way.v4.network[number]) for number in range(100, 160)]
    there.batch(f"address add {host}/24 dev {way.interface}" for host in hosts)
    limit = "arp operation request limit rate over 20/second burst 10 packets drop"
    hook = f'type filter hook ingress device "{way.interface}" priority 0'
    there.run([needs("nft", package="nftables"), f"table netdev lab {{ chain first {{ {hook}; {limit}; }}; }}"])

    def scan() -> list[Block]:
        net = net_of(*LAB)
        blocks = [Block(tuple(map(net.gate, hosts)), (80,))]
        caps = Caps(timeout=1.0, retries=1, rate=1e6, host_rate=1e6, connections=1024, per_host=64)
        engine = Engine(net, caps, CONNECT, len(hosts))
        return [block for block in engine.run(blocks, time.monotonic() + 120) if block is not None]

    [block] = here.call(scan)
    assert [CODES[code] for code in block.states] == [Settled.CLOSED] * len(hosts)
