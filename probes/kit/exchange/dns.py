"""One question to one DNS server (RFC 1035) and its answer, by UDP or TCP, over the sending layer.

dnspython makes and reads messages; it never gets a socket.
"""

import time
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net

DNS_PORT = 53
MAX_DATAGRAM = 4096
EDNS_PAYLOAD = 1232
"""The largest datagram that is asked for: it fits into IPv6's least MTU."""
for _kind in (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.SRV, dns.rdatatype.SVCB, dns.rdatatype.HTTPS):
    # Known from the start: a record of class ANY in any answer would make dnspython read these as unknown ever after.
    dns.rdata.get_rdata_class(dns.rdataclass.IN, _kind)  # type: ignore[no-untyped-call]  # dnspython has no types here
_MAX_STRAYS = 32
_HEADER = 12
_TRIES = 2


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


def exchange(
    net: Net, question: dns.message.Message, server: Address, port: int, *, timeout: float, tcp: bool = False
) -> dns.message.Message | Status:
    """Give the server's response, or why there is none; a cut one is fetched by TCP. Raises Refused.

    `timeout` is in seconds, for each of two tries.
    """
    status = Status.TIMEOUT
    for _ in range(_TRIES):
        try:
            response = None if tcp else _datagram(net, question, server, port, time.monotonic() + timeout)
            if tcp or (response is not None and response.flags & dns.flags.TC):
                response = _stream(net, question, server, port, time.monotonic() + timeout)
        except TimeoutError:
            status = Status.TIMEOUT
        except OSError:
            status = Status.UNREACHABLE
        else:
            return Status.BROKEN if response is None else response
    return status


def status_of(response: dns.message.Message) -> Status:
    """Give what a response says by its code alone."""
    return _STATUS.get(response.rcode(), Status.BROKEN)


def plain(name: dns.name.Name) -> str:
    """Write a name as people do."""
    return name.to_text(omit_final_dot=True).lower()


def _datagram(
    net: Net, question: dns.message.Message, server: Address, port: int, deadline: float
) -> dns.message.Message | None:
    """Give the response; None when only something else came, such as another id or no DNS at all."""
    strays = 0
    with net.datagrams(server, port) as line:
        line.send(question.to_wire())
        while strays < _MAX_STRAYS:
            try:
                response = parse(question, line.receive(MAX_DATAGRAM, deadline))
            except TimeoutError:
                if strays:
                    return None
                raise
            if response is not None:
                return response
            strays += 1
    return None


def _stream(
    net: Net, question: dns.message.Message, server: Address, port: int, deadline: float
) -> dns.message.Message | None:
    wire = question.to_wire()
    attempt = net.connect(server, port, max(0.1, deadline - time.monotonic()))
    if attempt.connection is None:
        raise ConnectionRefusedError(attempt.why)
    with attempt.connection as line:
        line.send(len(wire).to_bytes(2, "big") + wire, deadline)
        length = int.from_bytes(line.receive_exactly(2, deadline), "big")
        return parse(question, line.receive_exactly(length, deadline))


def parse(question: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """Read a message; None for anything but an answer to this question (RFC 1035, section 4.1)."""
    if len(wire) < _HEADER or int.from_bytes(wire[:2], "big") != question.id:
        return None
    try:
        response = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return response if question.is_response(response) else None
