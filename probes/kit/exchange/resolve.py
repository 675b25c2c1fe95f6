"""Addresses of names, asked of a DNS server at a given address, over the sending layer; no cache and no search list."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import dns.message
import dns.name
import dns.rdatatype

from probes.kit.errors import Refused
from probes.kit.exchange.dns import DNS_PORT, EDNS_PAYLOAD, Status, exchange, plain, status_of
from probes.kit.scope.addresses import Address
from probes.kit.scope.entries import normal_domain
from probes.kit.sending.net import Net

Kind = Literal["A", "AAAA"]

MAX_ADDRESSES = 16
MAX_CHAIN = 8
"""CNAME records followed inside one answer."""
_LOOPBACK = {"A": ip_address("127.0.0.1"), "AAAA": ip_address("::1")}
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
    question = dns.message.make_query(dns.name.from_text(plain), kind, use_edns=0, payload=EDNS_PAYLOAD)
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
    response = exchange(net, question, server, port, timeout=timeout)
    if isinstance(response, Status):
        return Answer(response)
    return read(question, response, time.monotonic() - started)


def read(question: dns.message.Message, response: dns.message.Message, seconds: float) -> Answer:
    """Give the addresses behind a response's aliases, at most MAX_CHAIN of them; a longer chain is BROKEN."""
    if (status := status_of(response)) is not Status.OK:
        return Answer(status, seconds=seconds)
    asked = question.question[0]
    name, chain = asked.name, [plain(asked.name)]
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
        chain.append(plain(name))
    return Answer(Status.BROKEN, (), tuple(chain), seconds)
