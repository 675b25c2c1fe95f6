"""The few frames that are ever sent: questions to routers and servers, and the harmless test of RA guard. Pure."""

import struct
from collections.abc import Mapping

from probes.kit.ipv6.lan.headers import ICMP6, NO_NEXT, UDP
from probes.kit.ipv6.lan.parse import ADVERTISEMENT, CLIENT_PORT, ROUTER_SOLICITATION, SERVER_PORT
from probes.kit.raw.packets.frames import ETHERTYPES, checksum, ethernet, ipv6, pseudo_header

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
ALL_ROUTERS = bytes.fromhex("ff020000000000000000000000000002")
ALL_SERVERS = bytes.fromhex("ff020000000000000000000000010002")
MARK_BYTES = 8
CONTROL = "control"

_INFORMATION_REQUEST, _SOLICIT = 11, 1
_CLIENT_ID, _IA_NA, _ORO, _ELAPSED, _DNS_SERVERS, _DOMAINS = 1, 3, 6, 8, 23, 24
_MARK_OPTION = 253  # RFC 4727: for experiments, ignored by everybody
_HOP_BY_HOP, _FRAGMENT, _DESTINATION = 0, 44, 60


def router_solicitation(source: bytes | None, hardware: bytes) -> bytes:
    """Ask all routers to announce themselves (RFC 4861 section 4.1); without an address of our own from `::`."""
    option = bytes([1, 1]) + hardware if source else b""
    body = _icmp(source or bytes(16), ALL_ROUTERS, bytes([ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]) + option)
    return _frame(hardware, ALL_ROUTERS, ipv6(source or bytes(16), ALL_ROUTERS, ICMP6, body, hops=255))


def dhcp_questions(source: bytes, hardware: bytes, transaction: bytes) -> tuple[bytes, bytes]:
    """Ask all DHCPv6 servers for their settings, and who would give an address (RFC 8415 sections 18.2.6, 18.2.1).

    The second, without Rapid Commit, makes no server set anything aside; some rogue ones answer nothing else.
    """
    duid = struct.pack("!HH", 3, 1) + hardware
    common = _option(_CLIENT_ID, duid) + _option(_ORO, struct.pack("!HH", _DNS_SERVERS, _DOMAINS))
    common += _option(_ELAPSED, bytes(2))
    address = _option(_IA_NA, hardware[-4:] + bytes(8))
    messages = (
        bytes([_INFORMATION_REQUEST]) + transaction[:3] + common,
        bytes([_SOLICIT]) + transaction[3:6] + common + address,
    )
    first, second = (_datagram(source, hardware, message) for message in messages)
    return first, second


def guard_test(source: bytes, hardware: bytes, mark: bytes) -> Mapping[str, bytes]:
    """Write an advertisement that announces nothing, plain and behind each header, and a packet that nobody may filter.

    The router lifetime is 0, there is no prefix, and the source is a made-up router: hosts that get it change nothing.
    """
    option = bytes([_MARK_OPTION, 2]) + mark + bytes(6)
    body = _icmp(source, ALL_NODES, bytes([ADVERTISEMENT]) + bytes(15) + option)
    padding = bytes([ICMP6, 0, 1, 4, 0, 0, 0, 0])  # one PadN option (RFC 8200 section 4.2)
    packets = {
        CONTROL: ipv6(source, ALL_NODES, NO_NEXT, mark, hops=255),
        "plain": ipv6(source, ALL_NODES, ICMP6, body, hops=255),
        "hop-by-hop": ipv6(source, ALL_NODES, _HOP_BY_HOP, padding + body, hops=255),
        "destination options": ipv6(source, ALL_NODES, _DESTINATION, padding + body, hops=255),
        "fragment": ipv6(source, ALL_NODES, _FRAGMENT, bytes([ICMP6, 0, 0, 0]) + mark[:4] + body, hops=255),
    }
    return {name: _frame(hardware, ALL_NODES, packet) for name, packet in packets.items()}


def guard_source(mark: bytes) -> bytes:
    """Give the link-local address of the router that the test makes up."""
    return bytes.fromhex("fe80000000000000") + mark


def _datagram(source: bytes, hardware: bytes, message: bytes) -> bytes:
    length = 8 + len(message)
    head = struct.pack("!HHHH", CLIENT_PORT, SERVER_PORT, length, 0)
    total = checksum(pseudo_header(source, ALL_SERVERS, UDP, length) + head + message) or 0xFFFF
    packet = ipv6(source, ALL_SERVERS, UDP, head[:6] + struct.pack("!H", total) + message, hops=1)
    return _frame(hardware, ALL_SERVERS, packet)


def _option(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def _icmp(source: bytes, target: bytes, body: bytes) -> bytes:
    total = checksum(pseudo_header(source, target, ICMP6, len(body)) + body)
    return body[:2] + struct.pack("!H", total) + body[4:]


def _frame(hardware: bytes, group: bytes, packet: bytes) -> bytes:
    return ethernet(b"\x33\x33" + group[-4:], hardware, ETHERTYPES[6]) + packet
