"""Readers for what a link tells: router advertisements, DHCPv6 servers, multicast queriers, neighbours. Pure.

None of them trusts a length, none raises, and what is kept of one packet is bounded.
"""

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from probes.kit.ipv6.lan.headers import ICMP6, Upper
from probes.kit.ipv6.lan.messages import MAX_PREFIXES, Advertisement, Prefix
from probes.kit.raw.packets.frames import checksum, pseudo_header

ADVERTISEMENT = 134
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, ROUTER_SOLICITATION = 135, 136, 133
MLD_QUERY, MLD_REPORTS = 130, (131, 143)
CLIENT_PORT, SERVER_PORT = 546, 547
MAX_DUID = 130
"""RFC 8415 section 11.1: 128 bytes and the two of its type."""

_PREFIX, _RDNSS, _PREF64 = 3, 25, 38
_SOURCE_LINK, _TARGET_LINK = 1, 2
_PREF64_LENGTHS = (96, 64, 56, 48, 40, 32)
_SERVER_ID, _DNS_SERVERS = 2, 23
_SAID_BY_SERVERS = (2, 7, 10)  # Advertise, Reply, Reconfigure


def advertisement(upper: Upper, mac: str, *, own: bool) -> Advertisement:
    """Read a router advertisement; where hosts would drop it (RFC 4861 section 6.1.2), `flaw` says why."""
    body, source = upper.payload, IPv6Address(upper.source)
    flaw = _flaw(upper, source, own=own)
    prefixes: list[Prefix] = []
    dns: list[str] = []
    pref64: list[str] = []
    managed = other = False
    lifetime = 0
    if len(body) >= 16:
        managed, other = bool(body[5] & 0x80), bool(body[5] & 0x40)
        lifetime = int.from_bytes(body[6:8], "big")
        for kind, data in _options(body[16:]):
            if kind == _PREFIX and len(data) >= 30:
                prefixes.append(_prefix(data))
            elif kind == _RDNSS and len(data) >= 22 and int.from_bytes(data[2:6], "big"):
                dns.extend(_addresses(data[6:]))
            elif kind == _PREF64 and len(data) >= 14 and (found := _pref64(data)):
                pref64.append(found)
    return Advertisement(
        str(source), mac, own, upper.hops, lifetime, managed, other,
        tuple(dict.fromkeys(prefixes))[:MAX_PREFIXES], tuple(dict.fromkeys(dns))[:MAX_PREFIXES],
        tuple(dict.fromkeys(pref64))[:MAX_PREFIXES], upper.through[:64], flaw,
    )  # fmt: skip


def _flaw(upper: Upper, source: IPv6Address, *, own: bool) -> str:
    body = upper.payload
    if len(body) < 16 or not _options_fit(body[16:]):
        return "malformed"
    if upper.hops != 255:
        return "hop limit"
    if not source.is_link_local:
        return "source not link-local"
    if body[1]:
        return "code"
    # Of our own packets the network card may write the checksum after we saw them.
    return "" if own or checksum_holds(upper) else "checksum"


def checksum_holds(upper: Upper) -> bool:
    """Tell whether the checksum of an ICMPv6 message is right."""
    head = pseudo_header(upper.source, upper.target, ICMP6, len(upper.payload))
    return checksum(head + upper.payload) == 0


def server(upper: Upper) -> tuple[str, tuple[str, ...]] | None:
    """Read (DUID, DNS servers) from a UDP datagram of a DHCPv6 server to a client; None for anything else."""
    body = upper.payload
    if len(body) < 12 or int.from_bytes(body[2:4], "big") != CLIENT_PORT or body[8] not in _SAID_BY_SERVERS:
        return None
    duid, dns = "", []
    place = 12
    while place + 4 <= len(body):
        kind, length = (
            int.from_bytes(body[place : place + 2], "big"),
            int.from_bytes(body[place + 2 : place + 4], "big"),
        )
        data = body[place + 4 : place + 4 + length]
        if len(data) < length:
            break
        if kind == _SERVER_ID and not duid and 2 < length <= MAX_DUID:
            duid = data.hex()
        elif kind == _DNS_SERVERS:
            dns.extend(_addresses(data))
        place += 4 + length
    return (duid, tuple(dict.fromkeys(dns))[:MAX_PREFIXES]) if duid else None


def query_version(upper: Upper) -> int | None:
    """Tell which version of MLD a query is of; None for what is no query that a listener must heed."""
    body = upper.payload
    if len(body) < 24 or body[0] != MLD_QUERY or upper.hops != 1 or not IPv6Address(upper.source).is_link_local:
        return None
    return 2 if len(body) >= 28 else 1  # RFC 3810 section 8.1


def neighbour(upper: Upper, mac: str) -> tuple[str, str] | None:
    """Read (address, hardware address) of a host that spoke on this very link; None for anything else."""
    body, kind = upper.payload, upper.payload[0] if upper.payload else -1
    if kind in MLD_REPORTS and upper.hops == 1:
        return _pair(upper.source, mac)
    if upper.hops != 255 or len(body) < 8:
        return None
    if kind == NEIGHBOUR_ADVERTISEMENT and len(body) >= 24:
        told = next((data[:6] for kind, data in _options(body[24:]) if kind == _TARGET_LINK and len(data) == 6), b"")
        return _pair(body[8:24], told.hex(":") if told else mac)
    if kind in (NEIGHBOUR_SOLICITATION, ROUTER_SOLICITATION):
        return _pair(upper.source, mac)
    return None


def arp_sender(packet: bytes) -> tuple[str, str] | None:
    """Read (address, hardware address) of whoever sent an ARP packet (RFC 826); None for a probe or anything else."""
    if len(packet) < 28 or packet[:6] != b"\x00\x01\x08\x00\x06\x04" or packet[6:8] not in (b"\x00\x01", b"\x00\x02"):
        return None
    hardware, address = packet[8:14], packet[14:18]
    if hardware[0] & 1 or not any(hardware) or not any(address):
        return None
    return ".".join(map(str, address)), hardware.hex(":")


def _pair(address: bytes, mac: str) -> tuple[str, str] | None:
    found = IPv6Address(address)
    if found.is_unspecified or found.is_multicast or found.is_loopback or not mac or int(mac[:2], 16) & 1:
        return None
    return str(found), mac


def _options(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Give type and data (behind type and length) of each neighbour discovery option that is whole."""
    place = 0
    while place + 8 <= len(raw):
        length = raw[place + 1] * 8
        if length == 0 or place + length > len(raw):
            return
        yield raw[place], raw[place + 2 : place + length]
        place += length


def _options_fit(raw: bytes) -> bool:
    place = 0
    while place < len(raw):
        length = raw[place + 1] * 8 if place + 1 < len(raw) else 0
        if length == 0 or place + length > len(raw):
            return False
        place += length
    return True


def _prefix(data: bytes) -> Prefix:
    length, flags = min(data[0], 128), data[1]
    network = IPv6Network((int.from_bytes(data[14:30], "big") >> (128 - length) << (128 - length), length))
    valid, preferred = int.from_bytes(data[2:6], "big"), int.from_bytes(data[6:10], "big")
    return Prefix(str(network), bool(flags & 0x80), bool(flags & 0x40), valid, preferred)


def _pref64(data: bytes) -> str:
    """Read the prefix of a PREF64 option (RFC 8781 section 4); empty for one withdrawn or of no known length."""
    scaled = int.from_bytes(data[0:2], "big")
    code = scaled & 7
    if not scaled >> 3 or code >= len(_PREF64_LENGTHS):
        return ""
    length = _PREF64_LENGTHS[code]
    number = int.from_bytes(data[2:14] + bytes(4), "big") >> (128 - length) << (128 - length)
    return str(IPv6Network((number, length)))


def _addresses(raw: bytes) -> list[str]:
    count = min(len(raw) // 16, MAX_PREFIXES)
    return [str(IPv6Address(raw[place : place + 16])) for place in range(0, count * 16, 16)]
