"""Prebuilt SYN frames: everything but port and sequence number is written once per host."""

import struct

from probes.kit.raw.packets.cookie import Secret, sequence

ETHERTYPES = {4: 0x0800, 6: 0x86DD}
IP_BYTES = {4: 20, 6: 40}
TCP_BYTES = 24
PORT_AT = 2
"""Where the destination port lies in a TCP header."""
LOW_SEQUENCE_AT = 6
"""Where the lower half of the sequence number lies in a TCP header."""

_SYN = 0x02
_WINDOW = 64240  # what Linux offers; a filter that judges windows lets it pass
_SEGMENT = {4: 1460, 6: 1440}
_HOPS = 64
_DONT_FRAGMENT = 0x4000
_TCP = 6


def checksum(data: bytes) -> int:
    """Give the Internet checksum (RFC 1071)."""
    padded = data if len(data) % 2 == 0 else data + b"\0"
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(target: bytes, source: bytes, ethertype: int) -> bytes:
    """Write an Ethernet header for hardware addresses of 6 bytes."""
    return target + source + struct.pack("!H", ethertype)


def syn(source: bytes, target: bytes, source_port: int, of: Secret, port: int = 0) -> bytes:
    """Write an IP packet with a SYN from packed addresses; another port of the host keeps its checksum.

    The packet offers a maximum segment size: some hosts and filters drop a SYN without any option.
    """
    family = 4 if len(target) == 4 else 6
    head = struct.pack(
        "!HHIIBBHHHBBH",
        *(source_port, port, sequence(of, port), 0, TCP_BYTES << 2, _SYN, _WINDOW, 0, 0),
        *(2, 4, _SEGMENT[family]),
    )
    tcp = head[:16] + struct.pack("!H", checksum(pseudo_header(source, target, _TCP, len(head)) + head)) + head[18:]
    return (ipv4 if family == 4 else ipv6)(source, target, _TCP, tcp)


def pseudo_header(source: bytes, target: bytes, protocol: int, length: int) -> bytes:
    """Write what a transport checksum covers besides its segment (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    return source + target + struct.pack("!II", length, protocol)


def ipv4(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    """Put an IPv4 header before a payload."""
    length = 20 + len(payload)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, _DONT_FRAGMENT, _HOPS, protocol, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source: bytes, target: bytes, protocol: int, payload: bytes, hops: int = _HOPS) -> bytes:
    """Put an IPv6 header before a payload."""
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + source + target + payload
