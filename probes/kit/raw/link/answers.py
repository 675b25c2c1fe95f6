"""Answers to questions to a whole link, read from packets that anybody on it may have sent."""

import struct
from typing import NamedTuple

from probes.kit.raw.link.addresses import read_advertisement
from probes.kit.raw.link.frames import (
    ALL_NODES,
    COOKIE_BYTES,
    ECHO4_REPLY,
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP6,
    MLD2_REPORT,
    MLD_REPORT,
    PARAMETER_PROBLEM,
)
from probes.kit.raw.link.messages import ECHO, MLD, ND, OPT80
from probes.kit.raw.packets.filters import JUMP_EQUAL, LOAD_BYTE, LOAD_BYTE_X, LOAD_HEADER_X, RETURN, Step, assemble

LINK_SNAP = 256
"""Bytes of a packet that are looked at; the quote in a Parameter Problem ends well before."""
_ADVERTISEMENT = 136
_UNKNOWN_OPTION = 2
_QUOTED_ECHO = 40 + 8
_ECHO = struct.Struct("!BBHHH")


class LinkAnswer(NamedTuple):
    """An address that gave a sign of life; `hardware` only where the packet itself names it."""

    method: str
    address: bytes
    hardware: bytes = b""


def link_answers() -> bytes:
    """Let through ICMPv6 advertisements, echo replies, Parameter Problems and MLD reports."""
    return assemble([
        Step(LOAD_BYTE, 6), Step(JUMP_EQUAL, ICMP6, true="plain"), Step(JUMP_EQUAL, 0, false="drop"),
        Step(LOAD_BYTE, 40), Step(JUMP_EQUAL, ICMP6, false="drop"),
        Step(LOAD_BYTE, 41), Step(JUMP_EQUAL, 0, false="drop"),
        Step(LOAD_BYTE, 48),
        Step(JUMP_EQUAL, MLD2_REPORT, true="take"), Step(JUMP_EQUAL, MLD_REPORT, true="take", false="drop"),
        Step(LOAD_BYTE, 40, label="plain"),
        Step(JUMP_EQUAL, _ADVERTISEMENT, true="take"), Step(JUMP_EQUAL, ECHO_REPLY, true="take"),
        Step(JUMP_EQUAL, PARAMETER_PROBLEM, false="drop"),
        Step(RETURN, LINK_SNAP, label="take"),
        Step(RETURN, 0, label="drop"),
    ])  # fmt: skip


def echo_replies(family: int) -> bytes:
    """Let through echo replies on a raw ICMP socket; that of IPv4 shows the IP header too, that of IPv6 does not."""
    load = [Step(LOAD_HEADER_X, 0), Step(LOAD_BYTE_X, 0)] if family == 4 else [Step(LOAD_BYTE, 0)]
    kind = ECHO4_REPLY if family == 4 else ECHO_REPLY
    return assemble(
        [*load, Step(JUMP_EQUAL, kind, false="drop"), Step(RETURN, LINK_SNAP), Step(RETURN, 0, label="drop")]
    )


def read_link_answer(packet: bytes, mark: int, cookie: bytes) -> LinkAnswer | None:
    """Read an IPv6 packet; None unless it is an advertisement, an MLD report, or an answer with our mark and cookie."""
    if len(packet) < 48 or packet[0] >> 4 != 6:
        return None
    source = packet[8:24]
    if packet[6] == 0:
        return LinkAnswer(MLD, source) if _is_report(packet) and _is_link_local(source) else None
    if packet[6] != ICMP6:
        return None
    kind = packet[40]
    if kind == _ADVERTISEMENT:
        found = read_advertisement(packet)
        return LinkAnswer(ND, found[0], found[1]) if found else None
    if not _is_unicast(source):
        return None
    if kind == ECHO_REPLY:
        return LinkAnswer(ECHO, source) if _is_ours(packet[40:], ECHO_REPLY, mark, cookie) else None
    if kind == PARAMETER_PROBLEM and packet[41] == _UNKNOWN_OPTION:
        quoted = packet[48:]
        ours = quoted[24:40] == ALL_NODES and _is_ours(quoted[_QUOTED_ECHO:], ECHO_REQUEST, mark, cookie)
        return LinkAnswer(OPT80, source) if ours else None
    return None


def read_echo4(packet: bytes, mark: int, cookie: bytes) -> bool:
    """Tell whether an IPv4 packet is the reply to our echo request with this mark and cookie."""
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return False
    head = (packet[0] & 15) * 4
    return head >= 20 and _is_ours(packet[head:], ECHO4_REPLY, mark, cookie)


def read_echo6(message: bytes, mark: int, cookie: bytes) -> bool:
    """Tell whether an ICMPv6 message is the reply to our echo request with this mark and cookie."""
    return _is_ours(message, ECHO_REPLY, mark, cookie)


def _is_ours(message: bytes, kind: int, mark: int, cookie: bytes) -> bool:
    if len(message) < _ECHO.size + COOKIE_BYTES:
        return False
    found, code, _, marked, number = _ECHO.unpack_from(message)
    return (found, code, marked, number) == (kind, 0, mark, 1) and message[8 : 8 + COOKIE_BYTES] == cookie


def _is_report(packet: bytes) -> bool:
    # A hop limit of 1, as RFC 3810 section 5 asks for: it never crosses a router.
    return len(packet) >= 56 and packet[7] == 1 and packet[40:42] == bytes([ICMP6, 0]) and packet[48] in (131, 143)


def _is_link_local(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _is_unicast(address: bytes) -> bool:
    return address[0] != 0xFF and any(address[:15])  # neither :: nor ::1
