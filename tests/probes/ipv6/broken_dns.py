"""A name server that knows one zone and answers SERVFAIL to every question for AAAA; run by ipv6_lab.py.

broken_dns.py ZONE IPV4 IPV6 ADDRESS...: the zone's www has both addresses, of which only the first is ever told.
"""

import selectors
import socket
import sys

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType


def answer(wire: bytes, zone: str, four: str) -> bytes:
    """Make the response to one question."""
    question = dns.message.from_wire(wire)
    response = dns.message.make_response(question)
    response.flags |= dns.flags.AA
    asked = question.question[0]
    name = asked.name.to_text().lower()
    soa = dns.rrset.from_text(f"{zone}.", 60, "IN", "SOA", "ns1.host.test. a.host.test. 1 3600 600 86400 60")
    if asked.rdtype == RdataType.AAAA:
        response.set_rcode(dns.rcode.SERVFAIL)
    elif asked.rdtype == RdataType.SOA and name == f"{zone}.":
        response.answer.append(soa)
    elif asked.rdtype == RdataType.NS and name == f"{zone}.":
        response.answer.append(dns.rrset.from_text(f"{zone}.", 60, "IN", "NS", "ns1.odd.test.", "ns2.odd.test."))
    elif asked.rdtype == RdataType.A and name == f"www.{zone}.":
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", four))
    else:
        response.authority.append(soa)
    return response.to_wire()


def main(zone: str, four: str, addresses: list[str]) -> None:
    """Serve UDP and TCP until killed."""
    selector = selectors.DefaultSelector()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = socket.socket(family, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                sock.listen(16)
            selector.register(sock, selectors.EVENT_READ, kind)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if key.data == socket.SOCK_DGRAM:
                wire, peer = sock.recvfrom(4096)
                sock.sendto(answer(wire, zone, four), peer)
                continue
            line, _ = sock.accept()
            with line:
                line.settimeout(2)
                head = line.recv(2)
                wire = line.recv(int.from_bytes(head, "big"))
                reply = answer(wire, zone, four)
                line.sendall(len(reply).to_bytes(2, "big") + reply)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[4:])
