"""Questions to a DNS server (RFC 1035) at a given address, over the sending layer; no cache and no search list.

dnspython makes and reads messages; it never gets a socket.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from probes.kit.errors import Refused
from probes.kit.net import Net
from probes.kit.scope import Address, normal_domain

Kind = Literal["A", "AAAA"]

DNS_PORT = 53
MAX_DATAGRAM = 4096
MAX_STREAM = 16_384
MAX_ADDRESSES = 16
MAX_CHAIN = 8
"""CNAME records followed inside one answer."""
_EDNS_PAYLOAD = 1232
_MAX_STRAYS = 32
_HEADER = 12
_TRIES = 2
_LOOPBACK = {"A": ip_address("127.0.0.1"), "AAAA": ip_address("::1")}


class Status(StrEnum):
    """How a question ended; only OK, NODATA and NXDOMAIN say something about the name."""

    OK = "ok"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    BROKEN = "broken"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NO_RESOLVER = "no_resolver"


_STATUS = {
    dns.rcode.NOERROR: Status.OK,
    dns.rcode.NXDOMAIN: Status.NXDOMAIN,
    dns.rcode.SERVFAIL: Status.SERVFAIL,
    dns.rcode.REFUSED: Status.REFUSED,
}
TELLING = frozenset({Status.OK, Status.NODATA, Status.NXDOMAIN})
ANSWERED = TELLING | {Status.SERVFAIL, Status.REFUSED}
"""The server is there and speaks DNS."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: addresses in order (at most MAX_ADDRESSES), and the names that the answer led through."""

    status: Status
    addresses: tuple[Address, ...] = ()
    chain: tuple[str, ...] = ()
    seconds: float = 0.0


def lookup(
    net: Net, name: str, kind: Kind, servers: Sequence[Address], *, timeout: float = 3.0, port: int = DNS_PORT
) -> Answer:
    """Ask servers in turn until one says something about the name; `timeout` in seconds for each try at each server.

    The addresses are lent to the Net: a domain in scope authorises them. Raises Refused when no server is in scope, and
    ValueError for a text that is no domain.
    """
    plain = normal_domain(name)
    if plain == "localhost" or plain.endswith(".localhost"):  # RFC 6761 section 6.3: never asked of anyone
        return Answer(Status.OK, (_LOOPBACK[kind],))
    question = dns.message.make_query(dns.name.from_text(plain), kind, use_edns=0, payload=_EDNS_PAYLOAD)
    answer = Answer(Status.NO_RESOLVER)
    refusal: Refused | None = None
    asked = False
    for server in servers:
        try:
            answer = _ask(net, question, server, port, timeout)
            asked = True
        except Refused as error:
            refusal = refusal or error
            continue
        if answer.status in TELLING:
            break
    if refusal is not None and not asked:
        raise refusal
    net.lend(plain, answer.addresses)
    return answer


def answers(net: Net, server: Address, *, timeout: float = 3.0, port: int = DNS_PORT) -> Status:
    """Ask a server for the root's name servers, which every resolver knows, only to see whether it answers at all."""
    return _ask(net, dns.message.make_query(dns.name.root, "NS", use_edns=0), server, port, timeout).status


def _ask(net: Net, question: dns.message.Message, server: Address, port: int, timeout: float) -> Answer:
    started = time.monotonic()
    status = Status.TIMEOUT
    for _ in range(_TRIES):
        try:
            response = _over_udp(net, question, server, port, time.monotonic() + timeout)
            if response is not None and response.flags & dns.flags.TC:
                response = _over_tcp(net, question, server, port, time.monotonic() + timeout)
        except TimeoutError:
            status = Status.TIMEOUT
        except ConnectionRefusedError:
            status = Status.UNREACHABLE
        except OSError:
            return Answer(Status.UNREACHABLE)
        else:
            if response is None:
                return Answer(Status.BROKEN)
            return _read(question, response, time.monotonic() - started)
    return Answer(status)


def _over_udp(
    net: Net, question: dns.message.Message, server: Address, port: int, deadline: float
) -> dns.message.Message | None:
    """Give the response; None when only something else came, such as another id or no DNS at all."""
    strays = 0
    with net.datagrams(server, port) as line:
        line.send(question.to_wire())
        while strays < _MAX_STRAYS:
            try:
                response = _parse(question, line.receive(MAX_DATAGRAM, deadline))
            except TimeoutError:
                if strays:
                    return None
                raise
            if response is not None:
                return response
            strays += 1
    return None


def _over_tcp(
    net: Net, question: dns.message.Message, server: Address, port: int, deadline: float
) -> dns.message.Message | None:
    wire = question.to_wire()
    attempt = net.connect(server, port, max(0.1, deadline - time.monotonic()))
    if attempt.connection is None:
        raise ConnectionRefusedError(attempt.why)
    with attempt.connection as line:
        line.send(len(wire).to_bytes(2, "big") + wire, deadline)
        length = int.from_bytes(line.receive_exactly(2, deadline), "big")
        return _parse(question, line.receive_exactly(length, deadline)) if length <= MAX_STREAM else None


def _parse(question: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    if len(wire) < _HEADER or int.from_bytes(wire[:2], "big") != question.id:
        return None
    try:
        response = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return response if question.is_response(response) else None


def _read(question: dns.message.Message, response: dns.message.Message, seconds: float) -> Answer:
    code = response.rcode()
    if code not in _STATUS:
        return Answer(Status.BROKEN, seconds=seconds)
    if code != dns.rcode.NOERROR:
        return Answer(_STATUS[code], seconds=seconds)
    asked = question.question[0]
    name, chain = asked.name, [_plain(asked.name)]
    for _ in range(MAX_CHAIN + 1):
        found = response.get_rrset(response.answer, name, asked.rdclass, asked.rdtype)
        if found is not None:
            if asked.rdtype not in (dns.rdatatype.A, dns.rdatatype.AAAA):
                return Answer(Status.OK, seconds=seconds)
            addresses = sorted({ip_address(item.address) for item in found}, key=int)[:MAX_ADDRESSES]
            return Answer(Status.OK, tuple(addresses), tuple(chain), seconds)
        alias = response.get_rrset(response.answer, name, asked.rdclass, dns.rdatatype.CNAME)
        if alias is None:
            return Answer(Status.NODATA, (), tuple(chain), seconds)
        name = alias[0].target
        chain.append(_plain(name))
    return Answer(Status.BROKEN, (), tuple(chain), seconds)


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
