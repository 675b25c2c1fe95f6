"""What the checks of a link's hosts say, as pure functions of who was seen; no network, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from probes.kit.ipv6.lan.messages import HeardOnLink
from probes.kit.ipv6.model import Check, Verdict, unknown
from wire.types import Value

LEAST_HOSTS = 3
"""Hosts below which a share says nothing."""
_SILENT_INTERVALS, _RESPONSE_SECONDS = 2, 5.0
"""Robustness and half the response interval of RFC 3810 section 9.5: so long may a querier be silent."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which share on a check passes and warns; for `table` up to which."""

    cover_pass: float = 0.9
    cover_warn: float = 0.8
    table_pass: float = 0.7
    table_warn: float = 0.9
    eui64: float = 0.2
    query_interval: float = 125.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Who was seen on a link: pairs of address and MAC from each source. `asked`: all hosts were asked to answer."""

    table: frozenset[tuple[str, str]] = frozenset()
    heard: frozenset[tuple[str, str]] = frozenset()
    answered: frozenset[tuple[str, str]] = frozenset()
    asked: bool = False

    @property
    def six(self) -> dict[str, set[IPv6Address]]:
        """The IPv6 addresses by MAC, the empty MAC for those whose hardware address is not known."""
        found: dict[str, set[IPv6Address]] = {}
        for address, mac in (*self.table, *self.heard, *self.answered):
            if ":" in address:
                found.setdefault(mac, set()).add(IPv6Address(address))
        return found

    def four(self, subnet: IPv4Network) -> set[str]:
        """The MACs that hold an IPv4 address of a subnet."""
        return {
            mac
            for address, mac in (*self.table, *self.heard, *self.answered)
            if mac and ":" not in address and IPv4Address(address) in subnet
        }


def hosts(seen: Seen) -> Check:
    """LAN-HOSTS: how many were seen, and by what; nobody can list a /64, so there is no "all"."""
    found = seen.six
    if not found:
        return unknown("LAN-HOSTS", "no_hosts")
    values: dict[str, Value] = {
        "hosts": len(found.keys() - {""}) or len(found[""]),
        "addresses": len({address for addresses in found.values() for address in addresses}),
        "neighbour_table": len({address for address, _ in seen.table if ":" in address}),
        "heard": len({address for address, _ in seen.heard if ":" in address}),
        "answered": len({address for address, _ in seen.answered if ":" in address}),
    }
    return Check("LAN-HOSTS", Verdict.INFO, "", (), values)


def privacy(seen: Seen, bounds: Bounds) -> Check:
    """LAN-PRIV: the share of hosts whose wider addresses show their MAC; many warn."""
    wider = {
        mac: [address for address in addresses if not address.is_link_local]
        for mac, addresses in seen.six.items()
        if mac
    }
    wider = {mac: addresses for mac, addresses in wider.items() if addresses}
    if len(wider) < LEAST_HOSTS:
        return unknown("LAN-PRIV", "few_hosts", values_of(0, len(wider)))
    shown = sorted(
        f"{address} {mac}" for mac, addresses in wider.items() for address in addresses if shows_mac(address, mac)
    )
    marked = {line.partition(" ")[2] for line in shown}
    values: dict[str, Value] = {"numerator": len(marked), "denominator": len(wider)}
    if len(marked) / len(wider) > bounds.eui64:
        return Check("LAN-PRIV", Verdict.WARN, "eui64", tuple(shown), values)
    return Check("LAN-PRIV", Verdict.PASS, "", (values_of(len(marked), len(wider)),), values)


def shows_mac(address: IPv6Address, mac: str) -> bool:
    """Tell whether the lower half of an address is the EUI-64 of a hardware address (RFC 4291 appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    return address.packed[8:] == bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]


def table(used: int, limit: int, bounds: Bounds) -> Check:
    """LAN-NDCACHE: entries of the neighbour table against its hard limit (gc_thresh3)."""
    if limit <= 0:
        return unknown("LAN-NDCACHE", "no_table")
    values: dict[str, Value] = {"numerator": used, "denominator": limit}
    share = used / limit
    if share < bounds.table_pass:
        return Check("LAN-NDCACHE", Verdict.PASS, "", (), values)
    verdict = Verdict.WARN if share < bounds.table_warn else Verdict.FAIL
    return Check("LAN-NDCACHE", verdict, "ndcache_full", (f"{used} of {limit} entries",), values)


def querier(heard: HeardOnLink, bounds: Bounds) -> Check:
    """LAN-MLD: a query heard passes; only after the time that a querier may be silent is there none."""
    if heard.queriers:
        told = tuple(sorted({f"{item.source} {item.mac}: MLDv{item.version}" for item in heard.queriers}))
        return Check("LAN-MLD", Verdict.PASS, "", told)
    needed = _SILENT_INTERVALS * bounds.query_interval + _RESPONSE_SECONDS
    if heard.seconds < needed or not heard.complete:
        return unknown("LAN-MLD", "mld_short")
    return Check("LAN-MLD", Verdict.WARN, "mld_none", (f"no query within {needed:g} s",))


def coverage(seen: Seen, subnet: IPv4Network, own: Iterable[str], bounds: Bounds) -> Check:
    """LAN-COVER: clients of an IPv4 subnet that have a wider IPv6 address too, of all its clients.

    A client that showed nothing but a link-local address may use IPv6 or not. The share lies between those that surely
    do and those that possibly do; where that decides nothing, or nobody asked the silent ones, it is unknown.
    """
    clients = seen.four(subnet) - set(own)
    if not clients:
        return unknown("LAN-COVER", "no_ipv4_hosts")
    found = seen.six
    sure = {mac for mac in clients if any(not address.is_link_local for address in found.get(mac, ()))}
    possible = {mac for mac in clients if mac in found}
    values: dict[str, Value] = {
        "numerator": len(sure),
        "possible": len(possible) if seen.asked else len(clients),
        "denominator": len(clients),
    }
    told = (values_of(len(sure), len(clients)), *(f"no IPv6 seen: {mac}" for mac in sorted(clients - possible)))
    verdict = _grade(len(sure) / len(clients), bounds)
    if verdict is Verdict.PASS:
        return Check("LAN-COVER", Verdict.PASS, "", told[:1], values)
    if not seen.asked:
        return Check("LAN-COVER", Verdict.UNKNOWN, "cover_passive", told, values)
    if _grade(len(possible) / len(clients), bounds) is not verdict:
        return Check("LAN-COVER", Verdict.UNKNOWN, "cover_unclear", told, values)
    return Check("LAN-COVER", verdict, "cover_low", told, values)


def values_of(numerator: int, denominator: int) -> str:
    """Write a share as people read it."""
    return f"{numerator} of {denominator}"


def _grade(share: float, bounds: Bounds) -> Verdict:
    if share >= bounds.cover_pass:
        return Verdict.PASS
    return Verdict.WARN if share >= bounds.cover_warn else Verdict.FAIL
