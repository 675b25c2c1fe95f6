"""DNS-CHAIN: from the root to a zone by IPv6 sockets alone, as a resolver without IPv4 has to go (RFC 3901)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import dns.name
from dns.rdatatype import RdataType

from probes.kit.exchange.dns import Status, plain
from probes.kit.ipv6.model import Check, Verdict, unknown
from probes.kit.ipv6.zone.ask import Asker, Reply

MAX_QUESTIONS = 80
MAX_STEPS = 12
MAX_NESTED = 3
_TRIED = 3

ROOTS = (
    "2001:503:ba3e::2:30",
    "2801:1b8:10::b",
    "2001:500:2::c",
    "2001:500:2d::d",
    "2001:500:a8::e",
    "2001:500:2f::f",
    "2001:500:12::d0d",
    "2001:500:1::53",
    "2001:7fe::53",
    "2001:503:c27::2:30",
    "2001:7fd::1",
    "2001:500:9f::42",
    "2001:dc3::35",
)
"""The root servers' IPv6 addresses (IANA root hints)."""


@dataclass(slots=True)
class Walk:
    """One walk with its budget of questions; `glue` keeps the referrals seen, by zone and name server."""

    asker: Asker
    roots: Sequence[IPv6Address]
    left: int = MAX_QUESTIONS
    glue: dict[str, dict[str, tuple[IPv6Address, ...]]] = field(default_factory=dict)


class _Broken(Exception):
    """The walk cannot go on; `refused` when our own scope ended it."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


def chain(walk: Walk, zone: dns.name.Name) -> Check:
    """Walk to the servers that answer for a zone with authority; what is wrong inside it is for other checks."""
    try:
        _, told = _resolve(walk, zone, RdataType.SOA, 0)
    except _Broken as stop:
        if stop.refused:
            return unknown("DNS-CHAIN", "out_of_scope", str(stop))
        return Check("DNS-CHAIN", Verdict.FAIL, "chain_broken", (str(stop),))
    return Check("DNS-CHAIN", Verdict.PASS, "", tuple(told))


def _resolve(walk: Walk, name: dns.name.Name, kind: RdataType, depth: int) -> tuple[Reply, list[str]]:
    servers, zone, told = list(walk.roots), dns.name.root, list[str]()
    for _ in range(MAX_STEPS):
        reply, server = _ask_any(walk, servers, name, kind, zone)
        told.append(f"{plain(zone) or '.'} @ {server}")
        referral = reply.delegation
        if reply.authoritative or referral is None:
            if not reply.authoritative:
                raise _Broken(f"{plain(zone) or '.'} @ {server}: neither an answer with authority nor a referral")
            return reply, told
        below, names = referral
        if not below.is_subdomain(zone) or below == zone or not name.is_subdomain(below):
            raise _Broken(f"{plain(zone) or '.'} @ {server}: a referral that leads nowhere, to {plain(below)}")
        walk.glue[plain(below)] = {plain(item): reply.addresses(item, additional=True) for item in names}
        servers = _addresses(walk, below, names, reply, depth)
        zone = below
    raise _Broken(f"more than {MAX_STEPS} referrals")


def _ask_any(
    walk: Walk, servers: Sequence[IPv6Address], name: dns.name.Name, kind: RdataType, zone: dns.name.Name
) -> tuple[Reply, IPv6Address]:
    told, refused = [], False
    for server in servers[: max(_TRIED, 1)]:
        if walk.left <= 0:
            raise _Broken(f"more than {MAX_QUESTIONS} questions")
        walk.left -= 1
        reply = walk.asker.ask(name, kind, server)
        if reply.status in (Status.OK, Status.NXDOMAIN):
            return reply, server
        refused = refused or bool(reply.refused)
        told.append(f"{server} {reply.refused or reply.status}")
    raise _Broken(f"{plain(zone) or '.'}: {'; '.join(told) or 'no servers'}", refused=refused)


def _addresses(
    walk: Walk, zone: dns.name.Name, names: Sequence[dns.name.Name], reply: Reply, depth: int
) -> list[IPv6Address]:
    """Find IPv6 addresses of a zone's servers: by the glue, else by walks of their own for names outside the zone."""
    found = [address for name in names for address in reply.addresses(name, additional=True)]
    refused = ""
    for name in names if not found and depth < MAX_NESTED else ():
        if name.is_subdomain(zone):
            continue
        try:
            answer, _ = _resolve(walk, name, RdataType.AAAA, depth + 1)
        except _Broken as stop:
            refused = refused or (str(stop) if stop.refused else "")
            continue
        found += answer.addresses(name)
        if found:
            break
    if not found:
        if refused:
            raise _Broken(refused, refused=True)
        raise _Broken(f"{plain(zone)}: no name server has an IPv6 address: {', '.join(map(plain, names))}")
    return found
