"""Any question to any DNS server at a given address, by UDP or TCP, over the sending layer; bounded, no cache."""

import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

from probes.kit.errors import Refused
from probes.kit.net import Net
from probes.kit.resolve import Status
from probes.kit.scope import Address

MAX_STREAM = 65_535
_PAYLOAD = 1232
_MAX_STRAYS = 32
_TRIES = 2
_STATUS = {
    dns.rcode.NOERROR: Status.OK,
    dns.rcode.NXDOMAIN: Status.NXDOMAIN,
    dns.rcode.SERVFAIL: Status.SERVFAIL,
    dns.rcode.REFUSED: Status.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """How a question ended. OK here only means that the server reported no error; `refused` is our own scope's word."""

    status: Status
    message: dns.message.Message | None = None
    refused: str = ""

    @property
    def authoritative(self) -> bool:
        """The server claims to know by itself (AA, RFC 1035 section 4.1.1)."""
        return self.message is not None and bool(self.message.flags & dns.flags.AA)

    def records(self, name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | tuple[()]:
        """Give the records of one name and type of the answer."""
        if self.message is None:
            return ()
        return self.message.get_rrset(self.message.answer, name, dns.rdataclass.IN, kind) or ()

    def addresses(self, name: dns.name.Name, *, additional: bool = False) -> tuple[IPv6Address, ...]:
        """Give the AAAA records of a name, from the answer or from the additional section."""
        if self.message is None:
            return ()
        section = self.message.additional if additional else self.message.answer
        found = self.message.get_rrset(section, name, dns.rdataclass.IN, dns.rdatatype.AAAA)
        return tuple(sorted({IPv6Address(item.address) for item in found}))[:16] if found else ()

    @property
    def delegation(self) -> tuple[dns.name.Name, tuple[dns.name.Name, ...]] | None:
        """Give the zone and the name servers that a referral leads to, if this is one."""
        if self.message is None or self.message.answer:
            return None
        for records in self.message.authority:
            if records.rdtype == dns.rdatatype.NS:
                return records.name, tuple(sorted({item.target for item in records}))[:16]
        return None


def ask(
    net: Net,
    name: dns.name.Name,
    kind: RdataType,
    server: Address,
    *,
    timeout: float,
    port: int = 53,
    tcp: bool = False,
    recurse: bool = False,
) -> Reply:
    """Ask one server one question; a cut answer is fetched by TCP. Never raises for what the network does."""
    question = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD, want_dnssec=kind == RdataType.DNSKEY)
    if not recurse:
        question.flags &= ~dns.flags.RD
    status = Status.TIMEOUT
    for _ in range(_TRIES):
        try:
            message = None if tcp else _datagram(net, question, server, port, time.monotonic() + timeout)
            if tcp or (message is not None and message.flags & dns.flags.TC):
                message = _stream(net, question, server, port, timeout)
        except Refused as refusal:
            return Reply(Status.NO_RESOLVER, refused=refusal.skipped.reason)
        except TimeoutError:
            status = Status.TIMEOUT
        except OSError:
            status = Status.UNREACHABLE
        else:
            if message is None:
                return Reply(Status.BROKEN)
            return Reply(_STATUS.get(message.rcode(), Status.BROKEN), message)
    return Reply(status)


def plain(name: dns.name.Name) -> str:
    """Write a name as people do."""
    return name.to_text(omit_final_dot=True).lower()


def reverse_name(address: IPv4Address | IPv6Address) -> dns.name.Name:
    """Give the name under which a reverse record stands."""
    return dns.name.from_text(ip_address(str(address)).reverse_pointer + ".")


def _datagram(
    net: Net, question: dns.message.Message, server: Address, port: int, deadline: float
) -> dns.message.Message | None:
    strays = 0
    with net.datagrams(server, port) as line:
        line.send(question.to_wire())
        while strays < _MAX_STRAYS:
            try:
                message = _parse(question, line.receive(4096, deadline))
            except TimeoutError:
                if strays:
                    return None
                raise
            if message is not None:
                return message
            strays += 1
    return None


def _stream(
    net: Net, question: dns.message.Message, server: Address, port: int, timeout: float
) -> dns.message.Message | None:
    wire = question.to_wire()
    attempt = net.connect(server, port, timeout)
    if attempt.connection is None:
        raise ConnectionRefusedError(attempt.why)
    deadline = time.monotonic() + timeout
    with attempt.connection as line:
        line.send(len(wire).to_bytes(2, "big") + wire, deadline)
        length = int.from_bytes(line.receive_exactly(2, deadline), "big")
        return _parse(question, line.receive_exactly(length, deadline))


def _parse(question: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    if len(wire) < 12 or int.from_bytes(wire[:2], "big") != question.id:
        return None
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if question.is_response(message) else None
