"""The zone of one host, asked at its own name servers over each family; gathers what `judge` judges."""

from collections.abc import Sequence
from ipaddress import IPv6Address

import dns.name
from dns.rdatatype import RdataType

from probes.kit.errors import Refused
from probes.kit.exchange.dns import Status, plain
from probes.kit.exchange.resolve import TELLING
from probes.kit.ipv6.model import Check, unknown
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.zone import judge
from probes.kit.ipv6.zone.ask import Asker, Reply, reverse_name
from probes.kit.ipv6.zone.chain import Walk, chain
from probes.kit.ipv6.zone.judge import Held, Server, Spoken
from probes.kit.scope.addresses import Address

MAX_SERVERS = 13
MAX_ADDRESSES = 2
"""Addresses asked of one name server and family."""
MAX_ALIASES = 12
MAX_POINTERS = 4
MAX_MAIL = 5


class ZoneLook:
    """Looks at the zone of one host once."""

    def __init__(self, asker: Asker, names: Names, resolvers: Sequence[Address], roots: Sequence[IPv6Address]) -> None:
        """`roots` are where DNS-CHAIN begins."""
        self._asker, self._names, self._resolvers, self._roots = asker, names, resolvers, roots
        self._silent: set[Address] = set()

    def look(self, host: str) -> tuple[str, tuple[Check, ...]]:
        """Give the zone's name and every verdict. Raises Refused when no resolver is in scope."""
        self._names.ask(host, "A")
        self._silent.clear()
        name = dns.name.from_text(host)
        zone = self._zone_of(name)
        if zone is None:
            return "", tuple(unknown(item, "no_zone", host) for item in judge.ZONE_CHECKS)
        servers, ipv4 = self._servers(zone)
        spoken = [item for server in servers for item in self._speak(zone, server)]
        walk = Walk(self._asker, self._roots)
        walked = chain(walk, zone)
        checks = (
            judge.servers_published(servers),
            judge.servers_reachable(spoken),
            self._glue(zone, servers, walk, walked),
            walked,
            self._consistent(zone, name, servers, ipv4),
            self._aliases(name, host),
            self._broken(name, host, servers, ipv4),
            self._reverse(host),
            self._signed(zone),
            self._mail(zone),
            self._sender_policy(zone),
        )
        return plain(zone), checks

    def _ask(self, name: dns.name.Name, kind: RdataType, server: Address, *, tcp: bool = False) -> Reply:
        """Ask a name server; one that kept silent before is not waited for again."""
        if server in self._silent and not tcp:
            return Reply(Status.TIMEOUT)
        reply = self._asker.ask(name, kind, server, tcp=tcp)
        # Silence by TCP alone may be a firewall, and AAAA alone may be what a broken server drops.
        if reply.status is Status.TIMEOUT and not tcp and kind is RdataType.SOA:
            self._silent.add(server)
        return reply

    def _recurse(self, name: dns.name.Name, kind: RdataType) -> Reply:
        reply = Reply(Status.NO_RESOLVER)
        for server in self._resolvers:
            reply = self._asker.ask(name, kind, server, recurse=True)
            if reply.status in TELLING:
                break
        return reply

    def _zone_of(self, name: dns.name.Name) -> dns.name.Name | None:
        """Find the zone that a name lies in: the owner of the SOA record that comes with it, or with a name above."""
        while len(name) > 1:
            reply = self._recurse(name, RdataType.SOA)
            if reply.message is not None and reply.status in TELLING:
                for records in (*reply.message.answer, *reply.message.authority):
                    if records.rdtype == RdataType.SOA and name.is_subdomain(records.name) and len(records.name) > 1:
                        return records.name
            name = name.parent()
        return None

    def _servers(self, zone: dns.name.Name) -> tuple[list[Server], dict[str, tuple[Address, ...]]]:
        found = self._recurse(zone, RdataType.NS).records(zone, RdataType.NS)
        servers: list[Server] = []
        ipv4: dict[str, tuple[Address, ...]] = {}
        for name in sorted({plain(item.target) for item in found})[:MAX_SERVERS]:
            try:
                six, usable = self._names.ask(name, "AAAA"), self._names.usable(name)
                ipv4[name] = self._names.ask(name, "A").addresses
            except (Refused, ValueError):
                servers.append(Server(name, (), known=False))
                continue
            servers.append(Server(name, usable, known=six.status in TELLING))
        return servers, ipv4

    def _speak(self, zone: dns.name.Name, server: Server) -> list[Spoken]:
        found = []
        for address in server.addresses[:MAX_ADDRESSES]:
            replies = [self._ask(zone, RdataType.SOA, address, tcp=tcp) for tcp in (False, True)]
            # An answer without authority is that of a server that does not hold the zone.
            udp, tcp = (
                Status.BROKEN if reply.status is Status.OK and not reply.authoritative else reply.status
                for reply in replies
            )
            found.append(Spoken(server.name, str(address), udp, tcp, replies[0].refused))
        return found

    def _glue(self, zone: dns.name.Name, servers: Sequence[Server], walk: Walk, walked: Check) -> Check:
        given = walk.glue.get(plain(zone))
        if given is None:
            given = self._referral(zone)
        return judge.glue(
            plain(zone), servers, given, "; ".join(walked.evidence) if walked.code == "out_of_scope" else ""
        )

    def _referral(self, zone: dns.name.Name) -> dict[str, tuple[IPv6Address, ...]] | None:
        """Ask the servers of the zone above, over either family, where this zone is."""
        above = self._zone_of(zone.parent()) if len(zone) > 2 else None
        if above is None:
            return None
        servers, ipv4 = self._servers(above)
        for server in servers:
            for address in (*server.addresses[:1], *ipv4.get(server.name, ())[:1]):
                reply = self._ask(zone, RdataType.SOA, address)
                referral = reply.delegation
                if referral is not None and referral[0] == zone:
                    return {plain(name): reply.addresses(name, additional=True) for name in referral[1]}
        return None

    def _consistent(
        self, zone: dns.name.Name, host: dns.name.Name, servers: Sequence[Server], ipv4: dict[str, tuple[Address, ...]]
    ) -> Check:
        check = judge.consistent(self._held(zone, host, servers, ipv4))
        if check.code:
            # A transfer may have been under way.
            return judge.consistent(self._held(zone, host, servers, ipv4))
        return check

    def _held(
        self, zone: dns.name.Name, host: dns.name.Name, servers: Sequence[Server], ipv4: dict[str, tuple[Address, ...]]
    ) -> list[Held]:
        held = []
        for server in servers:
            for address in (*ipv4.get(server.name, ())[:1], *server.addresses[:1]):
                soa = self._ask(zone, RdataType.SOA, address)
                serial = next((int(item.serial) for item in soa.records(zone, RdataType.SOA)), None)
                if serial is None:
                    continue
                data = self._ask(host, RdataType.AAAA, address)
                shown = tuple(map(str, data.addresses(host))) if data.status is Status.OK else None
                held.append(Held(server.name, address.version, serial, shown))
        return held

    def _aliases(self, name: dns.name.Name, host: str) -> Check:
        names, seen, loops = [plain(name)], {name}, False
        while len(names) <= MAX_ALIASES:
            reply = self._recurse(name, RdataType.CNAME)
            target = next((item.target for item in reply.records(name, RdataType.CNAME)), None)
            if target is None:
                break
            names.append(plain(target))
            loops = target in seen
            if loops:
                break
            seen.add(target)
            name = target
        loops = loops or len(names) > MAX_ALIASES
        six, four = self._names.ask(host, "AAAA"), self._names.ask(host, "A")
        aaaa = bool(six.addresses) if six.status in TELLING else None
        return judge.aliases(names, six.status, aaaa, has_ipv4=bool(four.addresses), loops=loops)

    def _broken(
        self, name: dns.name.Name, host: str, servers: Sequence[Server], ipv4: dict[str, tuple[Address, ...]]
    ) -> Check:
        pairs = [("resolver", self._names.ask(host, "A").status, self._names.ask(host, "AAAA").status)]
        for server in servers:
            for address in (*ipv4.get(server.name, ())[:1], *server.addresses[:1]):
                a, aaaa = (self._ask(name, kind, address) for kind in (RdataType.A, RdataType.AAAA))
                has_a = a.status is Status.OK and a.message is not None and bool(a.message.answer)
                if not a.refused and has_a:
                    pairs.append((f"{server.name} {address}", a.status, aaaa.status))
        return judge.broken(pairs)

    def _reverse(self, host: str) -> Check:
        found: dict[str, str | None] = {}
        for address in self._names.usable(host)[:MAX_POINTERS]:
            name = reverse_name(address)
            reply = self._recurse(name, RdataType.PTR)
            pointer = next((plain(item.target) for item in reply.records(name, RdataType.PTR)), "")
            found[str(address)] = pointer if reply.status in TELLING else None
        return judge.reverse(found)

    def _signed(self, zone: dns.name.Name) -> Check:
        reply = self._recurse(zone, RdataType.DNSKEY)
        if reply.status not in TELLING:
            return unknown("DNS-SEC", "dns_unclear", f"DNSKEY: {reply.status}")
        return judge.signed(bool(reply.records(zone, RdataType.DNSKEY)))

    def _mail(self, zone: dns.name.Name) -> Check:
        hosts: dict[str, bool | None] = {}
        reply = self._recurse(zone, RdataType.MX)
        if reply.status not in TELLING:
            return unknown("SVC-MX", "dns_unclear", f"MX: {reply.status}")
        exchanges = sorted({plain(item.exchange) for item in reply.records(zone, RdataType.MX)} - {""})
        for host in exchanges[:MAX_MAIL]:
            try:
                answer = self._names.ask(host, "AAAA")
                hosts[host] = bool(self._names.usable(host)) if answer.status in TELLING else None
            except (Refused, ValueError):
                hosts[host] = None
        return judge.mail(hosts)

    def _sender_policy(self, zone: dns.name.Name) -> Check:
        reply = self._recurse(zone, RdataType.TXT)
        if reply.status not in TELLING:
            return unknown("SVC-SPF", "dns_unclear", f"TXT: {reply.status}")
        for item in reply.records(zone, RdataType.TXT):
            text = b"".join(item.strings).decode("latin-1")
            if text.lower().startswith("v=spf1"):
                return judge.sender_policy(text)
        return judge.sender_policy(None)
