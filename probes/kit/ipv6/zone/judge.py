"""What the zone checks say, as pure functions of what the name servers answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from probes.kit.exchange.dns import Status
from probes.kit.ipv6.model import Check, Verdict, unknown

ZONE_CHECKS = (
    "DNS-NSAAAA",
    "DNS-NSREACH",
    "DNS-GLUE",
    "DNS-CHAIN",
    "DNS-CONSIST",
    "DNS-CNAME",
    "DNS-BROKEN",
    "DNS-PTR",
    "DNS-SEC",
    "SVC-MX",
    "SVC-SPF",
)
ENOUGH_SERVERS = 2
"""RFC 3901 asks for one; with one only, its failure takes the zone away from everyone without IPv4."""
_TOLD = frozenset({Status.OK, Status.NODATA, Status.NXDOMAIN})
_BAD = frozenset({Status.SERVFAIL, Status.REFUSED, Status.BROKEN, Status.TIMEOUT, Status.NXDOMAIN})


@dataclass(frozen=True, slots=True)
class Server:
    """One name server: its usable IPv6 addresses; `known` is False when the resolver did not say."""

    name: str
    addresses: tuple[IPv6Address, ...]
    known: bool = True


def servers_published(servers: Sequence[Server]) -> Check:
    """DNS-NSAAAA: two or more name servers with AAAA pass, one warns, none fails."""
    count = sum(bool(server.addresses) for server in servers)
    open_ = sum(not server.known for server in servers)
    told = tuple(f"{server.name}: {', '.join(map(str, server.addresses)) or 'no AAAA'}" for server in servers)
    values = {"servers": len(servers), "with_aaaa": count}
    if count >= ENOUGH_SERVERS:
        return Check("DNS-NSAAAA", Verdict.PASS, "", told, values)
    if open_ or not servers:
        return Check("DNS-NSAAAA", Verdict.UNKNOWN, "dns_unclear", told, values)
    if count:
        return Check("DNS-NSAAAA", Verdict.WARN, "ns_one", told, values)
    return Check("DNS-NSAAAA", Verdict.FAIL, "ns_none", told, values)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one address of a name server answered by UDP and by TCP; OK means an answer with authority."""

    server: str
    address: str
    udp: Status
    tcp: Status
    refused: str = ""

    @property
    def told(self) -> str:
        """One line of evidence."""
        return f"{self.server} {self.address}: {self.refused or f'UDP {self.udp}, TCP {self.tcp}'}"


def servers_reachable(spoken: Sequence[Spoken]) -> Check:
    """DNS-NSREACH: every IPv6 address of every name server answers by UDP and TCP, with authority (RFC 7766)."""
    told = tuple(item.told for item in spoken)
    if not spoken:
        return unknown("DNS-NSREACH", "depends", "DNS-NSAAAA")
    asked = [item for item in spoken if not item.refused]
    good = [item for item in asked if item.udp is item.tcp is Status.OK]
    ours = [item for item in asked if Status.UNREACHABLE in (item.udp, item.tcp) and item.udp is item.tcp]
    if len(good) == len(spoken):
        return Check("DNS-NSREACH", Verdict.PASS, "", told)
    if good and len(good) < len(asked):
        return Check("DNS-NSREACH", Verdict.WARN, "ns_partly", told)
    if len(asked) < len(spoken) or not asked:
        return Check("DNS-NSREACH", Verdict.UNKNOWN, "out_of_scope", told)
    answers = any(item.udp is Status.OK or item.tcp is Status.OK for item in asked)
    return Check("DNS-NSREACH", Verdict.WARN if answers else Verdict.FAIL, "ns_silent", told, {"down": len(ours)})


def glue(
    zone: str, servers: Sequence[Server], given: Mapping[str, tuple[IPv6Address, ...]] | None, why: str = ""
) -> Check:
    """DNS-GLUE: for servers named inside the zone the parent gives the same AAAA; `given` None: no referral seen."""
    inside = [item for item in servers if item.name == zone or item.name.endswith(f".{zone}")]
    wanted = {item.name: item.addresses for item in inside if item.addresses}
    if not wanted:
        return Check("DNS-GLUE", Verdict.INFO, "", ("no name server with AAAA inside the zone",))
    if given is None:
        return unknown("DNS-GLUE", "out_of_scope" if why else "dns_unclear", *((why,) if why else ()))
    told = tuple(
        f"{name}: zone {', '.join(map(str, own))}; parent {', '.join(map(str, given.get(name, ()))) or 'none'}"
        for name, own in wanted.items()
    )
    if any(not given.get(name) for name in wanted):
        return Check("DNS-GLUE", Verdict.FAIL, "glue_missing", told)
    if any(set(given[name]) != set(own) for name, own in wanted.items()):
        return Check("DNS-GLUE", Verdict.FAIL, "glue_differs", told)
    return Check("DNS-GLUE", Verdict.PASS, "", told)


@dataclass(frozen=True, slots=True)
class Held:
    """What one name server holds, asked over one family: the zone's serial and the host's AAAA."""

    server: str
    family: int
    serial: int | None
    addresses: tuple[str, ...] | None


def consistent(held: Sequence[Held]) -> Check:
    """DNS-CONSIST: both families show the same serials and the same AAAA."""
    four, six = ([item for item in held if item.family == family and item.serial is not None] for family in (4, 6))
    if not six:
        return unknown("DNS-CONSIST", "depends", "DNS-NSREACH")
    if not four:
        return Check("DNS-CONSIST", Verdict.INFO, "no_ipv4")
    told = tuple(
        f"{item.server} over IPv{item.family}: serial {item.serial}, AAAA {', '.join(item.addresses or ()) or 'none'}"
        for item in (*four, *six)
    )
    if {item.serial for item in four} != {item.serial for item in six}:
        return Check("DNS-CONSIST", Verdict.FAIL, "consist_serial", told)
    old, new = ({item.addresses for item in side if item.addresses is not None} for side in (four, six))
    if old and new and old != new:
        return Check("DNS-CONSIST", Verdict.FAIL, "consist_data", told)
    return Check("DNS-CONSIST", Verdict.PASS, "", told[:2])


def aliases(chain: Sequence[str], end: Status, aaaa: bool | None, *, has_ipv4: bool, loops: bool) -> Check:
    """DNS-CNAME: the chain of aliases ends, and with AAAA. `aaaa` None: the resolver did not say."""
    told = (" -> ".join(chain)[:500],)
    if loops:
        return Check("DNS-CNAME", Verdict.FAIL, "cname_loop", told)
    if len(chain) < 2:
        return Check("DNS-CNAME", Verdict.INFO, "", ("no alias",))
    if aaaa:
        return Check("DNS-CNAME", Verdict.PASS, "", told)
    if aaaa is None or not has_ipv4:
        return unknown("DNS-CNAME", "dns_unclear", *told, f"AAAA: {end}")
    return Check("DNS-CNAME", Verdict.FAIL, "cname_v4_only", told)


def broken(pairs: Sequence[tuple[str, Status, Status]]) -> Check:
    """DNS-BROKEN: where A is answered, AAAA is answered too, be it with nothing (RFC 4074); (server, A, AAAA)."""
    bad = [pair for pair in pairs if pair[1] is Status.OK and pair[2] in _BAD]
    if bad:
        return Check(
            "DNS-BROKEN", Verdict.FAIL, "aaaa_broken", tuple(f"{who}: A {a}, AAAA {aaaa}" for who, a, aaaa in bad)
        )
    if any(a is Status.OK or aaaa is Status.OK for _, a, aaaa in pairs):
        return Check("DNS-BROKEN", Verdict.PASS)
    if any(a in _TOLD and aaaa in _TOLD for _, a, aaaa in pairs):
        return Check("DNS-BROKEN", Verdict.INFO, "no_ipv4")
    return unknown("DNS-BROKEN", "dns_unclear", *(f"{who}: A {a}, AAAA {aaaa}" for who, a, aaaa in pairs))


def reverse(found: Mapping[str, str | None]) -> Check:
    """DNS-PTR: each address and its reverse name: "" for none, None where the resolver did not say."""
    told = tuple(f"{address}: {name or ('no PTR' if name == '' else 'unknown')}" for address, name in found.items())
    if not found or None in found.values():
        return unknown("DNS-PTR", "dns_unclear" if found else "depends", *told)
    if "" in found.values():
        return Check("DNS-PTR", Verdict.WARN, "ptr_missing", told)
    return Check("DNS-PTR", Verdict.PASS, "", told)


def mail(hosts: Mapping[str, bool | None]) -> Check:
    """SVC-MX: mail servers and whether each has AAAA; one with it is enough for mail to arrive."""
    told = tuple(
        f"{host}: {'AAAA' if has else 'no AAAA' if has is False else 'unknown'}" for host, has in hosts.items()
    )
    if not hosts:
        return Check("SVC-MX", Verdict.INFO, "no_mail")
    if any(hosts.values()):
        return Check("SVC-MX", Verdict.PASS, "", told)
    if None in hosts.values():
        return unknown("SVC-MX", "dns_unclear", *told)
    return Check("SVC-MX", Verdict.WARN, "mx_v4_only", told)


def sender_policy(text: str | None) -> Check:
    """SVC-SPF: a policy that lists ip4 senders lists ip6 ones as well (RFC 7208 section 5.6)."""
    if not text:
        return Check("SVC-SPF", Verdict.INFO, "no_mail")
    words = [word.lstrip("+-~?").lower() for word in text.split()]
    if any(word.startswith("ip4:") for word in words) and not any(word.startswith("ip6:") for word in words):
        return Check("SVC-SPF", Verdict.WARN, "spf_v4_only", (text[:300],))
    return Check("SVC-SPF", Verdict.PASS, "", (text[:300],))


def signed(keys: bool) -> Check:
    """DNS-SEC: whether the zone has keys; information only."""
    return Check("DNS-SEC", Verdict.INFO, "signed" if keys else "unsigned")
