"""Classic BPF programs (Linux, Documentation/networking/filter.rst) that keep all but likely answers in the kernel.

Offsets count from the network header, as a SOCK_DGRAM packet socket gives them, so that one program serves every link.
"""

import struct
from typing import NamedTuple

SNAP = 160
"""Bytes of a packet that are looked at: two IPv4 headers with options and eight bytes of TCP fit."""

LOAD_WORD, LOAD_BYTE, LOAD_HALF, LOAD_HALF_X, LOAD_BYTE_X, LOAD_HEADER_X = 0x20, 0x30, 0x28, 0x48, 0x50, 0xB1
AND, ADD_X, SHIFT_LEFT, TO_X, JUMP_EQUAL, JUMP_SET, RETURN = 0x54, 0x0C, 0x64, 0x07, 0x15, 0x45, 0x06

_INTERFACE = 0xFFFFF000 + 8
"""Ancillary data of Linux (SKF_AD_OFF in linux/filter.h): the index of the interface that the packet is now at."""
_INSTRUCTION = struct.Struct("=HBBI")


class Step(NamedTuple):
    """One instruction; jumps name the label that follows when it is true or false, empty for the next step."""

    code: int
    value: int = 0
    true: str = ""
    false: str = ""
    label: str = ""


def assemble(steps: list[Step]) -> bytes:
    """Turn steps into an array of `struct sock_filter`; jumps go forward only."""
    places = {step.label: number for number, step in enumerate(steps) if step.label}

    def distance(number: int, label: str) -> int:
        return places[label] - number - 1 if label else 0

    return b"".join(
        _INSTRUCTION.pack(step.code, distance(number, step.true), distance(number, step.false), step.value)
        for number, step in enumerate(steps)
    )


def only_at(interface: int, program: bytes) -> bytes:
    """Put before a program that a packet must be at this very interface, given by its index.

    A socket that is bound to an interface is also shown what arrives for the VLANs on top of it, without their tags.
    """
    steps = ((LOAD_WORD, 0, 0, _INTERFACE), (JUMP_EQUAL, 1, 0, interface), (RETURN, 0, 0, 0))
    return b"".join(_INSTRUCTION.pack(*step) for step in steps) + program


def syn_answers(family: int, first_port: int, ports: int) -> bytes:
    """Let through SYN-ACKs and resets to our source ports, and ICMP errors that quote one of them.

    `ports` is a power of two that divides `first_port`.
    """
    mask = 0xFFFF & ~(ports - 1)
    return assemble(_ipv4(first_port, mask) if family == 4 else _ipv6(first_port, mask))


def arp_replies() -> bytes:
    """Let through ARP replies (RFC 826)."""
    return assemble([
        Step(LOAD_HALF, 6), Step(JUMP_EQUAL, 2, false="drop"),
        Step(RETURN, 64),
        Step(RETURN, 0, label="drop"),
    ])  # fmt: skip


def neighbour_advertisements() -> bytes:
    """Let through ICMPv6 neighbour advertisements (RFC 4861 section 4.4)."""
    return assemble([
        Step(LOAD_BYTE, 6), Step(JUMP_EQUAL, 58, false="drop"),
        Step(LOAD_BYTE, 40), Step(JUMP_EQUAL, 136, false="drop"),
        Step(RETURN, SNAP),
        Step(RETURN, 0, label="drop"),
    ])  # fmt: skip


def bootp_replies() -> bytes:
    """Let through what a DHCP server sends to a client (RFC 2131 section 4.1), unless it is in fragments."""
    return assemble([
        Step(LOAD_HALF, 6), Step(JUMP_SET, 0x3FFF, true="drop"),
        Step(LOAD_BYTE, 9), Step(JUMP_EQUAL, 17, false="drop"),
        Step(LOAD_HEADER_X, 0),
        Step(LOAD_HALF_X, 0), Step(JUMP_EQUAL, 67, false="drop"),
        Step(LOAD_HALF_X, 2), Step(JUMP_EQUAL, 68, false="drop"),
        Step(LOAD_BYTE_X, 8), Step(JUMP_EQUAL, 2, false="drop"),
        Step(RETURN, 0xFFFF),
        Step(RETURN, 0, label="drop"),
    ])  # fmt: skip


def _ipv4(first_port: int, mask: int) -> list[Step]:
    return [
        Step(LOAD_HALF, 6), Step(JUMP_SET, 0x1FFF, true="drop"),  # later fragments hold no ports
        Step(LOAD_HEADER_X, 0),
        Step(LOAD_BYTE, 9), Step(JUMP_EQUAL, 6, true="tcp"), Step(JUMP_EQUAL, 1, false="drop"),
        Step(LOAD_BYTE_X, 0), Step(JUMP_EQUAL, 3, true="error"), Step(JUMP_EQUAL, 11, false="drop"),
        Step(LOAD_BYTE_X, 8 + 9, label="error"), Step(JUMP_EQUAL, 6, false="drop"),
        Step(LOAD_BYTE_X, 8), Step(AND, 15), Step(SHIFT_LEFT, 2), Step(ADD_X), Step(TO_X),
        Step(LOAD_HALF_X, 8), Step(AND, mask), Step(JUMP_EQUAL, first_port, true="take", false="drop"),
        Step(LOAD_HALF_X, 2, label="tcp"), Step(AND, mask), Step(JUMP_EQUAL, first_port, false="drop"),
        Step(LOAD_BYTE_X, 13), *_FLAGS,
    ]  # fmt: skip


def _ipv6(first_port: int, mask: int) -> list[Step]:
    return [
        Step(LOAD_BYTE, 6), Step(JUMP_EQUAL, 6, true="tcp"), Step(JUMP_EQUAL, 58, false="drop"),
        Step(LOAD_BYTE, 40), Step(JUMP_EQUAL, 1, true="error"), Step(JUMP_EQUAL, 3, false="drop"),
        Step(LOAD_BYTE, 48 + 6, label="error"), Step(JUMP_EQUAL, 6, false="drop"),
        Step(LOAD_HALF, 48 + 40), Step(AND, mask), Step(JUMP_EQUAL, first_port, true="take", false="drop"),
        Step(LOAD_HALF, 42, label="tcp"), Step(AND, mask), Step(JUMP_EQUAL, first_port, false="drop"),
        Step(LOAD_BYTE, 53), *_FLAGS,
    ]  # fmt: skip


_FLAGS = [
    Step(JUMP_SET, 0x04, true="take"),
    Step(AND, 0x12), Step(JUMP_EQUAL, 0x12, true="take", false="drop"),
    Step(RETURN, SNAP, label="take"),
    Step(RETURN, 0, label="drop"),
]  # fmt: skip
