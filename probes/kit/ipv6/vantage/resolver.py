"""What the resolver in use does, next to an independent one: AAAA that it withholds, large answers, NAT64 prefixes."""

import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
from dns.rdatatype import RdataType

from probes.kit.errors import Refused
from probes.kit.exchange.dns import Status
from probes.kit.exchange.resolve import TELLING, Answer, lookup
from probes.kit.ipv6.vantage.judge import Compared, Edns
from probes.kit.ipv6.zone.ask import Asker
from probes.kit.scope.addresses import Address

MAX_NAMES = 8
ROOM = 1232
"""Bytes of UDP that cross any IPv6 path unfragmented (DNS flag day 2020)."""
_PREF64 = 38
_LENGTHS = (96, 64, 56, 48, 40, 32)
_OPTION_BYTES = 16


def compare(
    asker: Asker, names: Sequence[str], own: Sequence[Address], others: Sequence[Address]
) -> tuple[Compared, ...]:
    """Ask both for the AAAA of each name; what differs is asked once more, for a zone may just have changed."""
    found = []
    for name in names[:MAX_NAMES]:
        pair = Compared(name, *_both(asker, name, own, others))
        if pair.own.status not in TELLING or (not pair.own.addresses and pair.other.addresses):
            pair = Compared(name, *_both(asker, name, own, others))
        found.append(pair)
    return tuple(found)


def _both(asker: Asker, name: str, own: Sequence[Address], others: Sequence[Address]) -> tuple[Answer, Answer]:
    answers = []
    for servers in (own, others):
        try:
            answers.append(lookup(asker.net, name, "AAAA", servers, timeout=asker.timeout, port=asker.port))
        except Refused:
            answers.append(Answer(Status.NO_RESOLVER))
    return answers[0], answers[1]


def large_answer(asker: Asker, server: Address, name: str, kind: str) -> Edns:
    """Ask one resolver for a large answer by UDP and by TCP, and for a small one to see that it is there.

    Raises Refused.
    """
    question = dns.name.from_text(name)
    small = asker.ask(dns.name.root, RdataType.NS, server, recurse=True)
    status, size, truncated, edns = Status.TIMEOUT, 0, False, False
    for _ in range(2):
        status, size, truncated, edns = _by_udp(asker, question, RdataType.make(kind), server)
        if status is not Status.TIMEOUT:
            break
    tcp = asker.ask(question, RdataType.make(kind), server, recurse=True, tcp=True)
    return Edns(small.status, status, size, truncated, tcp.status, edns)


def _by_udp(asker: Asker, name: dns.name.Name, kind: RdataType, server: Address) -> tuple[Status, int, bool, bool]:
    question = dns.message.make_query(name, kind, use_edns=0, payload=ROOM, want_dnssec=True)
    deadline = time.monotonic() + asker.timeout
    try:
        with asker.net.datagrams(server, asker.port) as line:
            line.send(question.to_wire())
            for _ in range(32):
                wire = line.receive(4096, deadline)
                try:
                    message = dns.message.from_wire(wire, ignore_trailing=True)
                except (dns.exception.DNSException, ValueError):
                    continue
                if question.is_response(message):
                    good = message.rcode() == dns.rcode.NOERROR
                    cut = bool(message.flags & dns.flags.TC)
                    return Status.OK if good else Status.BROKEN, len(wire), cut, message.edns >= 0
    except TimeoutError:
        return Status.TIMEOUT, 0, False, False
    except OSError:
        return Status.UNREACHABLE, 0, False, False
    return Status.BROKEN, 0, False, False


def embed(prefix: IPv6Network, address: IPv4Address) -> IPv6Address:
    """Give the IPv6 address that stands for an IPv4 one below a /96 (RFC 6052 section 2.2)."""
    return IPv6Address(int(prefix.network_address) | int(address))


def announced(raw: bytes) -> tuple[IPv6Network, ...]:
    """Read the prefixes of PREF64 options (RFC 8781 section 4) out of options of a router advertisement."""
    found = []
    place = 0
    while place + 2 <= len(raw) and raw[place + 1]:
        length = raw[place + 1] * 8
        if raw[place] == _PREF64 and length == _OPTION_BYTES and place + length <= len(raw):
            scaled, code = divmod(struct.unpack_from("!H", raw, place + 2)[0], 8)
            if scaled and code < len(_LENGTHS):
                prefix = int.from_bytes(raw[place + 4 : place + 16] + bytes(4), "big")
                found.append(IPv6Network((prefix, _LENGTHS[code]), strict=False))
        place += length
    return tuple(dict.fromkeys(found))
