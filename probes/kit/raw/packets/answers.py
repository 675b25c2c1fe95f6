"""What came back: answers to our SYNs read from packets that anybody may have sent.

The filter in the kernel lets only likely packets through; nothing here trusts that it did.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from probes.kit.raw.packets.states import State, of_icmp4, of_icmp6

TCP, RESET, SYN_ACK = 6, 0x04, 0x12
OPEN, CLOSED = int(State.OPEN), int(State.CLOSED)
"""As plain numbers, which are compared some ten times faster than members of an enumeration."""

_ICMP, _ICMP6 = 1, 58
_SEGMENT = struct.Struct("!HHIIBB")
_QUOTE = struct.Struct("!HHI")
_FRAGMENT = 0x1FFF


class Answer(NamedTuple):
    """A packet that claims to answer the SYN to `port` of `target`, sent from `source_port` with `sequence`."""

    target: bytes
    port: int
    source_port: int
    sequence: int
    state: State


def read_ipv4(packet: bytes) -> Answer | None:
    """Read an IPv4 packet from its header on; None for what is no answer or is cut short."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or int.from_bytes(packet[6:8], "big") & _FRAGMENT:
        return None
    head = (packet[0] & 15) * 4
    if head < 20:
        return None
    if packet[9] == TCP:
        return _read_tcp(packet[12:16], packet, head)
    if packet[9] != _ICMP or len(packet) < head + 28:
        return None
    state = of_icmp4(packet[head], packet[head + 1])
    quoted = packet[head + 8 :]
    inner = (quoted[0] & 15) * 4
    if state is None or quoted[0] >> 4 != 4 or inner < 20 or quoted[9] != TCP or quoted[6] & 0x1F or quoted[7]:
        return None
    return _read_quote(quoted[16:20], quoted, inner, state)


def read_ipv6(packet: bytes) -> Answer | None:
    """Read an IPv6 packet from its header on; None for what is no answer, is cut short or has extension headers."""
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    if packet[6] == TCP:
        return _read_tcp(packet[8:24], packet, 40)
    if packet[6] != _ICMP6 or len(packet) < 88:
        return None
    state = of_icmp6(packet[40], packet[41])
    quoted = packet[48:]
    if state is None or quoted[0] >> 4 != 6 or quoted[6] != TCP:
        return None
    return _read_quote(quoted[24:40], quoted, 40, state)


def _read_tcp(target: bytes, packet: bytes, at: int) -> Answer | None:
    if len(packet) < at + _SEGMENT.size:
        return None
    port, source_port, _, acknowledged, _, flags = _SEGMENT.unpack_from(packet, at)
    if not flags & RESET and flags & SYN_ACK != SYN_ACK:
        return None
    state = State.CLOSED if flags & RESET else State.OPEN
    return Answer(target, port, source_port, acknowledged - 1 & 0xFFFFFFFF, state)


def _read_quote(target: bytes, quoted: bytes, at: int, state: State) -> Answer | None:
    if len(quoted) < at + _QUOTE.size:
        return None
    source_port, port, sequence = _QUOTE.unpack_from(quoted, at)
    return Answer(target, port, source_port, sequence, state)


class Head(NamedTuple):
    """The shortest way to read a TCP answer whose header has no options, and the full way for all else.

    `form` gives first byte, protocol, source address, both ports, acknowledgement and flags to `struct`, in network
    order and from `size` bytes; it may be used where the first byte is one of `plain`.
    """

    form: str
    size: int
    plain: frozenset[int]
    read: Callable[[bytes], Answer | None]


HEADS = {
    4: Head("B8xB2x4s4xHH4xIxB", 34, frozenset({0x45}), read_ipv4),
    6: Head("B5xBx16s16xHH4xIxB", 54, frozenset(range(0x60, 0x70)), read_ipv6),
}
