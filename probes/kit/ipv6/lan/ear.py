"""What is kept of one link: packets in, facts out, each once and within a bound. No sockets, no clock."""

from ipaddress import IPv6Address
from typing import TypeVar

from probes.kit.ipv6.lan import parse
from probes.kit.ipv6.lan.headers import FRAGMENT, ICMP6, NO_NEXT, UDP, Reassembly, Upper, chain, walk
from probes.kit.ipv6.lan.messages import (
    MAX_ADVERTISEMENTS,
    MAX_HOSTS,
    MAX_LINES,
    MAX_QUERIERS,
    MAX_SERVERS,
    Advertisement,
    HeardOnLink,
    Hosts,
    Querier,
    Server,
)
from probes.kit.ipv6.lan.write import CONTROL

K = TypeVar("K")
_MOST_HOSTS = MAX_HOSTS * MAX_LINES


class Ear:
    """Listens to one link. `marks` are the names of packets of our own RA guard test by the mark that they bear."""

    def __init__(self, interface: str, marks: tuple[bytes, ...] = ()) -> None:
        """Know nothing yet."""
        self.interface = interface
        self.packets = 0
        self.complete = True
        self._marks = marks
        self._pieces = Reassembly()
        self._advertisements: dict[Advertisement, None] = {}
        self._servers: dict[Server, None] = {}
        self._queriers: dict[Querier, None] = {}
        self._hidden: dict[tuple[bytes, str], None] = {}
        self._hosts: dict[tuple[str, str], None] = {}
        self._guard: dict[str, None] = {}

    def arp(self, packet: bytes, *, own: bool) -> None:
        """Take an ARP packet in."""
        self.packets += 1
        if not own and (found := parse.arp_sender(packet)):
            self._keep(self._hosts, found, _MOST_HOSTS)

    def ipv6(self, packet: bytes, hardware: bytes, *, own: bool) -> None:
        """Take an IPv6 packet in; `own` was sent by this machine."""
        self.packets += 1
        upper = walk(packet)
        if upper is None:
            return
        mac = hardware.hex(":") if len(hardware) == 6 else ""
        if upper.protocol == FRAGMENT:
            self._fragment(upper, mac, own=own)
        elif upper.protocol == -1 and not own:
            self._hide(upper, mac)
        else:
            self._upper(upper, mac, own=own)

    def told(self, *, asked: bool, seconds: float, problem: str = "", guard_sent: bool = False) -> HeardOnLink:
        """Give all that was heard but for the hosts."""
        hidden = tuple(f"{IPv6Address(source)} {mac}" for source, mac in self._hidden)
        return HeardOnLink(
            self.interface, asked, seconds, self.packets, self.complete, problem, tuple(self._advertisements),
            tuple(self._servers), tuple(self._queriers), hidden, tuple(self._guard), guard_sent,
        )  # fmt: skip

    def hosts(self) -> list[Hosts]:
        """Give the hosts, in as many lines as it takes."""
        pairs = [f"{address} {mac}" for address, mac in self._hosts]
        return [
            Hosts(self.interface, tuple(pairs[start : start + MAX_HOSTS])) for start in range(0, len(pairs), MAX_HOSTS)
        ]

    def _fragment(self, piece: Upper, mac: str, *, own: bool) -> None:
        if piece.fragment is not None and piece.fragment.offset == 0 and not own:
            # The first fragment must hold the whole chain (RFC 7112); RA guard relies on it.
            protocol, payload, through, _ = chain(piece.fragment.following, piece.payload)
            if protocol == ICMP6 and payload[:1] == bytes([parse.ADVERTISEMENT]):
                whole = piece._replace(protocol=ICMP6, payload=payload, through=(*piece.through, *through))
                self._keep_advertisement(whole, mac, own=own, flaw="fragment")
            elif protocol == -1:
                self._hide(piece, mac)
        for whole in self._pieces.add(piece):
            if whole.protocol != -1:
                self._upper(whole, mac, own=own)

    def _upper(self, upper: Upper, mac: str, *, own: bool) -> None:
        if upper.protocol == NO_NEXT:
            if not own and any(mark in upper.payload for mark in self._marks):
                self._guard[CONTROL] = None
        elif upper.protocol == UDP:
            found = parse.server(upper)
            if found is not None:
                made = Server(found[0], str(IPv6Address(upper.source)), mac, own, found[1])
                self._keep(self._servers, made, MAX_SERVERS)
        elif upper.protocol == ICMP6 and upper.payload:
            self._icmp(upper, mac, own=own)

    def _icmp(self, upper: Upper, mac: str, *, own: bool) -> None:
        kind = upper.payload[0]
        if kind == parse.ADVERTISEMENT:
            if any(mark in upper.payload for mark in self._marks):
                if not own:
                    self._guard[upper.through[0] if upper.through else "plain"] = None
                return
            self._keep_advertisement(upper, mac, own=own)
        elif kind == parse.MLD_QUERY:
            version = parse.query_version(upper)
            if version is not None:
                made = Querier(str(IPv6Address(upper.source)), mac, own, version)
                self._keep(self._queriers, made, MAX_QUERIERS)
        if not own and (found := parse.neighbour(upper, mac)):
            self._keep(self._hosts, found, _MOST_HOSTS)

    def _keep_advertisement(self, upper: Upper, mac: str, *, own: bool, flaw: str = "") -> None:
        made = parse.advertisement(upper, mac, own=own)
        if flaw:
            made = Advertisement(made.source, made.mac, own, made.hops, through=made.through, flaw=flaw)
        self._keep(self._advertisements, made, MAX_ADVERTISEMENTS)

    def _hide(self, upper: Upper, mac: str) -> None:
        self._keep(self._hidden, (upper.source, mac), MAX_QUERIERS)

    def _keep(self, where: dict[K, None], what: K, most: int) -> None:
        if what in where:
            return
        if len(where) >= most:
            self.complete = False
            return
        where[what] = None
