"""The classic BPF program of the listening socket: what may matter of a link, ahead of any walk through headers.

A filter on "next header is ICMPv6" would miss advertisements behind extension headers, which Linux accepts: whatever
begins with such a header and comes from a link-local address is let through, too.
"""

from probes.kit.ipv6.lan.headers import EXTENSIONS, ICMP6, NO_NEXT, UDP
from probes.kit.ipv6.lan.parse import CLIENT_PORT
from probes.kit.raw.packets.filters import AND, JUMP_EQUAL, LOAD_BYTE, LOAD_HALF, RETURN, Step, assemble
from probes.kit.raw.packets.frames import ETHERTYPES

SNAP = 9216
"""Bytes that are looked at: a jumbo frame."""
ARP = 0x0806
_PROTOCOL, _VLAN_PRESENT = 0xFFFFF000, 0xFFFFF000 + 48
"""Ancillary data of Linux (SKF_AD_OFF in linux/filter.h): the Ethertype, and whether a VLAN tag was taken off."""
_KINDS = (130, 131, 133, 134, 135, 136, 143)


def link_talk() -> bytes:
    """Let through ARP, and of IPv6 neighbour discovery, MLD, DHCPv6 to clients, and extension headers from fe80::/10.

    Offsets count from the network header. Frames of a VLAN on the same port belong to another link.
    """
    return assemble([
        Step(LOAD_BYTE, _VLAN_PRESENT), Step(JUMP_EQUAL, 0, false="drop"),
        Step(LOAD_HALF, _PROTOCOL), Step(JUMP_EQUAL, ARP, true="take"), Step(JUMP_EQUAL, ETHERTYPES[6], false="drop"),
        Step(LOAD_BYTE, 6), Step(JUMP_EQUAL, ICMP6, true="icmp"), Step(JUMP_EQUAL, UDP, true="udp"),
        *(Step(JUMP_EQUAL, kind, true="local") for kind in (*EXTENSIONS, NO_NEXT)),
        Step(RETURN, 0),
        Step(LOAD_HALF, 8, label="local"), Step(AND, 0xFFC0), Step(JUMP_EQUAL, 0xFE80, true="take", false="drop"),
        Step(LOAD_HALF, 42, label="udp"), Step(JUMP_EQUAL, CLIENT_PORT, true="take", false="drop"),
        Step(LOAD_BYTE, 40, label="icmp"), *(Step(JUMP_EQUAL, kind, true="take") for kind in _KINDS),
        Step(RETURN, 0, label="drop"),
        Step(RETURN, SNAP, label="take"),
    ])  # fmt: skip
