"""What a whitelist says of a host, a service or a domain: pure matching, the same at agent, collector and console."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wire.ports import contains, parse_ports
from wire.types import EntryKind, Transport, WhitelistEntry

# Strict in its separators: without them 192.168.100.200 and 2001:db8::1234:5 would read as twelve hexadecimal digits.
_MAC = re.compile(
    "[0-9a-fA-F]{2}(?:(?::[0-9a-fA-F]{2}){5}|(?:-[0-9a-fA-F]{2}){5})|[0-9a-fA-F]{4}(?:[.][0-9a-fA-F]{4}){2}|[0-9a-fA-F]{12}"
)


class Standing(StrEnum):
    """LISTED holds today; EXPIRED did once; UNLISTED was never approved; NO_LIST: there is no list of that kind."""

    LISTED = "listed"
    EXPIRED = "expired"
    UNLISTED = "unlisted"
    NO_LIST = "no_list"


@dataclass(frozen=True, slots=True)
class Match:
    """The verdict of a whitelist and the entry that gave it (the one that holds longest)."""

    standing: Standing
    entry: WhitelistEntry | None = None


def match_host(entries: Iterable[WhitelistEntry], addresses: Iterable[str], mac: str, today: date) -> Match:
    """Judge a host by its addresses and MAC against the HOST entries; any one of them suffices."""
    hosts = [entry for entry in entries if entry.kind is EntryKind.HOST]
    wanted = tuple(addresses)
    return _judge(
        hosts, [e for e in hosts if _same_mac(e.value, mac) or any(_holds(e.value, a) for a in wanted)], today
    )


def match_service(
    entries: Iterable[WhitelistEntry], address: str, transport: Transport, port: int, today: date
) -> Match:
    """Judge an open port of an address against the PORT entries; ValueError for an entry whose port set is none."""
    ports = [entry for entry in entries if entry.kind is EntryKind.PORT]
    return _judge(
        ports,
        [
            entry
            for entry in ports
            if entry.transport is transport
            and contains(_ranges(entry.ports), port)
            and (entry.value == "*" or _holds(entry.value, address))
        ],
        today,
    )


def match_domain(entries: Iterable[WhitelistEntry], domain: str, today: date) -> Match:
    """Judge a domain against the DOMAIN entries; `*.example.edu.cn` holds for every name below it."""
    domains = [entry for entry in entries if entry.kind is EntryKind.DOMAIN]
    name = domain.rstrip(".").lower()
    return _judge(domains, [entry for entry in domains if _covers(entry.value.rstrip(".").lower(), name)], today)


def holds_on(entry: WhitelistEntry, today: date) -> bool:
    """Tell whether an approval holds on a day; the day of expiry is the last one."""
    return entry.expires is None or entry.expires >= today


def normal_mac(text: str) -> str:
    """Write a MAC address (AA-BB-.., aabb.ccdd.eeff, bare digits) as `aa:bb:cc:dd:ee:ff`; an empty text if none."""
    if not _MAC.fullmatch(text):
        return ""
    digits = "".join(char for char in text.lower() if char.isalnum())
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))


def _judge(of_kind: list[WhitelistEntry], matching: list[WhitelistEntry], today: date) -> Match:
    if matching:
        longest = max(matching, key=lambda entry: entry.expires or date.max)
        return Match(Standing.LISTED if holds_on(longest, today) else Standing.EXPIRED, longest)
    return Match(Standing.UNLISTED if of_kind else Standing.NO_LIST)


def _same_mac(value: str, mac: str) -> bool:
    wanted = normal_mac(mac)
    return bool(wanted) and normal_mac(value) == wanted


def _covers(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


@lru_cache(maxsize=4096)
def _ranges(spec: str) -> tuple[tuple[int, int], ...]:
    return parse_ports(spec)


@lru_cache(maxsize=4096)
def _network(value: str) -> IPv4Network | IPv6Network | None:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


@lru_cache(maxsize=4096)
def _address(value: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(value.partition("%")[0])  # the zone of fe80::1%eth0 means something on one host only
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _holds(value: str, address: str) -> bool:
    network, single = _network(value), _address(address)
    return network is not None and single is not None and single.version == network.version and single in network
