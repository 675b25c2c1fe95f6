"""Packets to everybody on a link: ICMPv6 echo, an option that must be complained about, the MLD general query."""

import struct

from probes.kit.raw.packets.frames import ETHERTYPES, checksum, ethernet, ipv6, pseudo_header

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
ICMP6 = 58
ECHO_REQUEST, ECHO_REPLY, PARAMETER_PROBLEM = 128, 129, 4
MLD_QUERY, MLD_REPORT, MLD2_REPORT = 130, 131, 143
ECHO4_REQUEST, ECHO4_REPLY = 8, 0
COOKIE_BYTES = 16

_DESTINATION_OPTIONS, _HOP_BY_HOP = 60, 0
# An option that nobody knows, of a type whose first bits are 10: "discard the packet and, regardless of whether or not
# the destination was a multicast address, send a Parameter Problem" (RFC 8200 section 4.2). The 80 is in the name.
_OPTION_80 = bytes([ICMP6, 0, 0x80, 4, 0, 0, 0, 0])
_ROUTER_ALERT = bytes([ICMP6, 0, 5, 2, 0, 0, 1, 0])  # RFC 2711, padded to 8 bytes
_MAX_RESPONSE_MILLISECONDS = 1000
_ROBUSTNESS, _QUERY_INTERVAL = 2, 125
"""As RFC 3810 has them by default, so that no host changes its own timers because of us."""
_HIGHEST_LINK_LOCAL = bytes.fromhex("fe80000000000000ffffffffffffffff")
"""Of several queriers the lowest address wins (RFC 3810 section 7.6.2): this one never silences a real router, and
reports go to a group, not to whoever asked."""


def all_nodes_frame(hardware: bytes, packet: bytes) -> bytes:
    """Put an Ethernet header for all IPv6 nodes (RFC 2464 section 7) before a packet."""
    return ethernet(b"\x33\x33" + ALL_NODES[-4:], hardware, ETHERTYPES[6]) + packet


def echo_to_all(source: bytes, mark: int, cookie: bytes, *, option_80: bool) -> bytes:
    """Write an ICMPv6 echo request to ff02::1, with the option in front or without it."""
    body = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, mark, 1) + cookie
    payload = _with_checksum(source, ALL_NODES, body)
    if option_80:
        return ipv6(source, ALL_NODES, _DESTINATION_OPTIONS, _OPTION_80 + payload)
    return ipv6(source, ALL_NODES, ICMP6, payload)


def mld_query() -> bytes:
    """Write an MLDv2 general query (RFC 3810 section 5.1): every host tells the groups that it has joined."""
    source = _HIGHEST_LINK_LOCAL
    body = struct.pack("!BBHHH", MLD_QUERY, 0, 0, _MAX_RESPONSE_MILLISECONDS, 0) + bytes(16)
    body += struct.pack("!BBH", _ROBUSTNESS, _QUERY_INTERVAL, 0)
    return ipv6(source, ALL_NODES, _HOP_BY_HOP, _ROUTER_ALERT + _with_checksum(source, ALL_NODES, body), hops=1)


def icmp4_echo(mark: int, cookie: bytes) -> bytes:
    """Write an ICMP echo request (RFC 792) for a raw socket."""
    body = struct.pack("!BBHHH", ECHO4_REQUEST, 0, 0, mark, 1) + cookie
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def icmp6_echo(mark: int, cookie: bytes) -> bytes:
    """Write an ICMPv6 echo request (RFC 4443 section 4.1) for a raw socket, where the kernel adds the checksum."""
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, mark, 1) + cookie


def _with_checksum(source: bytes, target: bytes, body: bytes) -> bytes:
    total = checksum(pseudo_header(source, target, ICMP6, len(body)) + body)
    return body[:2] + struct.pack("!H", total) + body[4:]
