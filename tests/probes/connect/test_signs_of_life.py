"""Silence is believed of hosts that still answer, and of no others; see also test_loss.py for real hosts."""

import pytest

from probes.kit.connect.signs_of_life import SignsOfLife
from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.sending.outcomes import Settled
from tests.probes.rig import LAB, net_of

_OPEN, _CLOSED, _SILENT, _LOST = (
    CODE_OF[code] for code in (Settled.OPEN, Settled.CLOSED, Settled.TIMEOUT, Settled.LOST)
)
_PORTS = (22, 80, 81, 82, 83, 443)


def _block(*rows: list[int], addresses: tuple[str, ...] = ("198.18.0.1", "198.18.0.2")) -> Block:
    net = net_of(*LAB)
    block = Block(tuple(net.gate(address) for address in addresses), _PORTS)
    block.states[:] = bytes(code for row in rows for code in row)
    block.left = block.states.count(PENDING)
    return block


def _answered() -> tuple[Block, SignsOfLife, list[Block]]:
    """A block with two hosts that answered some ports, and the checks of them."""
    block = _block([_OPEN, _OPEN, _SILENT, _CLOSED, _SILENT, _OPEN], [_SILENT, _OPEN, *[_SILENT] * 4])
    signs = SignsOfLife([block])
    assert next(signs) is block
    assert list(signs.sift(block)) == []
    checks = list(signs)
    assert [check.ports for check in checks] == [(82, 22, 80), (80,)]
    assert not any(check.counts for check in checks)
    return block, signs, checks


def _end(check: Block, code: int) -> Block:
    check.states[:] = bytes([code] * len(check.states))
    check.left = 0
    return check


def test_only_a_host_that_still_answers_is_believed_to_be_silent() -> None:
    block, signs, (first, second) = _answered()
    assert list(signs.sift(_end(first, _CLOSED))) == []
    assert list(signs.sift(_end(second, _SILENT))) == [block]
    assert list(block.row(0)) == [_OPEN, _OPEN, _SILENT, _CLOSED, _SILENT, _OPEN]
    assert list(block.row(1)) == [_LOST, _OPEN, *[_LOST] * 4]
    assert block.left == 0
    assert list(signs.rest()) == []


def test_what_there_was_no_time_to_check_is_pending() -> None:
    block, signs, (first, _) = _answered()
    first.left = 1
    assert list(signs.sift(first)) == []
    assert list(signs.rest()) == [block]
    assert list(block.row(0)) == [_OPEN, _OPEN, PENDING, _CLOSED, PENDING, _OPEN]
    assert list(block.row(1)) == [PENDING, _OPEN, *[PENDING] * 4]
    assert block.left == block.states.count(PENDING) == 7


@pytest.mark.parametrize(
    ("row", "address"),
    [
        ([_SILENT] * 6, "198.18.0.1"),
        ([_OPEN] * 5 + [_CLOSED], "198.18.0.1"),
        ([_OPEN, PENDING, *[_SILENT] * 4], "198.18.0.1"),
        ([_OPEN, *[_SILENT] * 5], "127.0.0.1"),
    ],
)
def test_where_nothing_can_be_learnt_nothing_is_asked(row: list[int], address: str) -> None:
    block = _block(row, addresses=(address,))
    signs = SignsOfLife([])
    assert list(signs.sift(block)) == [block]
    assert list(signs) == list(signs.rest()) == []
    assert list(block.row(0)) == row
