"""What is known of one (address, port) pair, as one byte, so that a million pairs are one megabyte."""

import base64
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from probes.kit.sending.outcomes import Settled


class State(IntEnum):
    """0 is "to be asked". Of two answers for one pair the lower number stands: a SYN-ACK is never unsaid by a reset."""

    SILENT = 0
    OPEN = 1
    CLOSED = 2
    PORT_UNREACHABLE = 3
    PROTOCOL_UNREACHABLE = 4
    PROHIBITED = 5
    HOST_UNREACHABLE = 6
    NET_UNREACHABLE = 7
    HOPS_EXCEEDED = 8
    GIVEN_UP = 9  # silent, and asked often enough; told as SILENT
    DOUBTED = 10  # silent, and asked often, but so much got lost that it proves little; told as SILENT too
    NO_NEIGHBOUR = 16
    NO_ROUTE = 17
    OUT_OF_SCOPE = 18
    DENIED = 19
    NOT_ASKED = 20


class Meaning(NamedTuple):
    """The word that the connect engine has for a state, and what was seen, in English."""

    settled: Settled | None
    seen: str


MEANINGS: Mapping[int, Meaning] = {
    State.SILENT: Meaning(Settled.TIMEOUT, "no answer"),
    State.OPEN: Meaning(Settled.OPEN, "SYN-ACK"),
    State.CLOSED: Meaning(Settled.CLOSED, "reset"),
    State.PORT_UNREACHABLE: Meaning(Settled.PROHIBITED, "ICMP port unreachable"),
    State.PROTOCOL_UNREACHABLE: Meaning(Settled.PROHIBITED, "ICMP protocol unreachable"),
    State.PROHIBITED: Meaning(Settled.PROHIBITED, "ICMP administratively prohibited"),
    State.HOST_UNREACHABLE: Meaning(Settled.NO_HOST, "ICMP host unreachable"),
    State.NET_UNREACHABLE: Meaning(Settled.UNREACHABLE, "ICMP network unreachable"),
    State.HOPS_EXCEEDED: Meaning(Settled.NO_HOST, "ICMP time exceeded"),
    State.NO_NEIGHBOUR: Meaning(Settled.NO_HOST, "no ARP or ND answer"),
    State.NO_ROUTE: Meaning(Settled.UNREACHABLE, "no route from this machine"),
    State.DENIED: Meaning(Settled.DENIED, "this machine does not let it out"),
    # Nothing was sent, so there is no outcome to speak of.
    State.OUT_OF_SCOPE: Meaning(None, "out of scope"),
    State.NOT_ASKED: Meaning(None, "not asked before the deadline"),
}

_UNREACHABLE_4 = {
    0: State.NET_UNREACHABLE, 1: State.HOST_UNREACHABLE, 2: State.PROTOCOL_UNREACHABLE, 3: State.PORT_UNREACHABLE,
    5: State.NET_UNREACHABLE, 6: State.NET_UNREACHABLE, 7: State.HOST_UNREACHABLE, 8: State.HOST_UNREACHABLE,
    9: State.PROHIBITED, 10: State.PROHIBITED, 11: State.NET_UNREACHABLE, 12: State.HOST_UNREACHABLE,
    13: State.PROHIBITED, 14: State.PROHIBITED, 15: State.PROHIBITED,
}  # fmt: skip
_UNREACHABLE_6 = {
    0: State.NET_UNREACHABLE, 1: State.PROHIBITED, 2: State.HOST_UNREACHABLE, 3: State.HOST_UNREACHABLE,
    4: State.PORT_UNREACHABLE, 5: State.PROHIBITED, 6: State.PROHIBITED,
}  # fmt: skip


def of_icmp4(kind: int, code: int) -> State | None:
    """Judge an ICMP error (RFC 792, RFC 1812 section 5.2.7); None for kinds that do not settle a port."""
    if kind == 3:
        return _UNREACHABLE_4.get(code)
    return State.HOPS_EXCEEDED if kind == 11 else None


def of_icmp6(kind: int, code: int) -> State | None:
    """Judge an ICMPv6 error (RFC 4443 section 3); None for kinds that do not settle a port."""
    if kind == 1:
        return _UNREACHABLE_6.get(code)
    return State.HOPS_EXCEEDED if kind == 3 else None


def pack_states(states: bytes) -> str:
    """Write state bytes as text; runs of one state cost next to nothing."""
    return base64.b64encode(zlib.compress(states, 1)).decode("ascii")


def unpack_states(text: str, most: int) -> bytes:
    """Read what `pack_states` wrote; raises ValueError unless it is known states, at most so many."""
    unpacker = zlib.decompressobj()
    try:
        states = unpacker.decompress(base64.b64decode(text, validate=True), most + 1)
    except zlib.error as error:
        raise ValueError(f"states cannot be unpacked: {error}") from None
    if len(states) > most or states.translate(None, _KNOWN):
        raise ValueError(f"states are unknown, or more than {most}")
    return states


_KNOWN = bytes(MEANINGS)
