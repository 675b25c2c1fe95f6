"""What the kernel puts into the ring comes out of it, whatever the sizes, and what does not fit is counted."""

import socket
import struct

import pytest

from probes.kit.raw.packets.filters import RETURN, SNAP, Step, assemble
from probes.kit.raw.packets.ring import Ring
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import wait_until

_ALL = assemble([Step(RETURN, SNAP)])
_IPV4 = 0x0800


@pytest.fixture
def space(netns: Namespaces) -> Namespace:
    """A namespace whose loopback carries nothing but what the test sends."""
    return netns()


def _send(payloads: list[bytes]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
    ):
        sink.bind(("127.0.0.1", 0))
        for payload in payloads:
            sender.sendto(payload, sink.getsockname())


def _read(ring: Ring) -> tuple[list[bytes], int]:
    """Payloads of the UDP packets in the ring, and in how many runs they came."""
    payloads, runs = [], 0
    for start, count, stride, network in ring.runs():
        runs += 1
        for at in range(start, start + count * stride, stride):
            packet = ring.packet(at)
            assert packet == bytes(ring.view[at + network : at + network + len(packet)])
            assert ring.arrived(at) > 1_700_000_000_000_000_000
            payloads.append(packet[28:])
    return payloads, runs


_SMALL = [12] * 200
_SIZES = [
    _SMALL,
    [12, 16] * 200,
    [*_SMALL, 90, *_SMALL],
    [90, *_SMALL],
    [*_SMALL, 90],
    [1],
    list(range(120)) * 5,
]


@pytest.mark.parametrize("sizes", _SIZES)
def test_packets_come_out_as_they_went_in(space: Namespace, sizes: list[int]) -> None:
    sent = [struct.pack("!I", number).ljust(size, b"x")[:size] for number, size in enumerate(sizes)]
    ring = space.call(Ring, 1, _IPV4, _ALL)
    got: list[bytes] = []
    try:
        space.call(_send, sent)

        def complete() -> bool:
            got.extend(_read(ring)[0])
            return len(got) >= len(sent)

        wait_until(complete, "all packets in the ring")
        assert got == sent
        assert ring.count_dropped() == 0
    finally:
        ring.close()


def test_packets_of_one_size_come_in_long_runs(space: Namespace) -> None:
    ring = space.call(Ring, 1, _IPV4, _ALL)
    try:
        space.call(_send, [b"answer"] * 5000)
        payloads, runs = _read(ring)
        wait_until(lambda: payloads.extend(_read(ring)[0]) or len(payloads) == 5000, "all packets in the ring")
        assert runs < 100
    finally:
        ring.close()


def test_long_packets_are_cut_and_a_full_ring_is_counted(space: Namespace) -> None:
    ring = space.call(Ring, 1, _IPV4, _ALL)
    try:
        space.call(_send, [bytes([number % 251]) * 1000 for number in range(40_000)])
        payloads, _ = _read(ring)
        assert payloads[:500] == [bytes([number % 251]) * (SNAP - 28) for number in range(500)]
        dropped = ring.count_dropped()
        assert dropped > 0
        assert ring.dropped == dropped
        # What was read made room again.
        space.call(_send, [b"later"])
        wait_until(lambda: b"later" in _read(ring)[0], "the ring is in use again")
    finally:
        ring.close()
