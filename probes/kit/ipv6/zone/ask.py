"""Any question to any DNS server at a given address, and what its answer holds; bounded, no cache."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

from probes.kit.errors import Refused
from probes.kit.exchange.dns import DNS_PORT, EDNS_PAYLOAD, Status, exchange, status_of
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net


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


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks name servers through a Net, at one port of each, and awaits every answer for `timeout` seconds."""

    net: Net
    timeout: float
    port: int = DNS_PORT

    def ask(
        self, name: dns.name.Name, kind: RdataType, server: Address, *, tcp: bool = False, recurse: bool = False
    ) -> Reply:
        """Ask one server one question; a cut answer is fetched by TCP. Never raises for what the network does."""
        question = dns.message.make_query(
            name, kind, use_edns=0, payload=EDNS_PAYLOAD, want_dnssec=kind == RdataType.DNSKEY
        )
        if not recurse:
            question.flags &= ~dns.flags.RD
        try:
            response = exchange(self.net, question, server, self.port, timeout=self.timeout, tcp=tcp)
        except Refused as refusal:
            return Reply(Status.NO_RESOLVER, refused=refusal.skipped.reason)
        return Reply(response) if isinstance(response, Status) else Reply(status_of(response), response)


def reverse_name(address: IPv4Address | IPv6Address) -> dns.name.Name:
    """Give the name under which a reverse record stands."""
    return dns.name.from_text(ip_address(str(address)).reverse_pointer + ".")
