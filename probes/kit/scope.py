"""What may be probed: prefixes and domains that someone with a name authorised, until a date.

This machine itself (127.0.0.0/8 and ::1) is always in scope. Days are UTC, and the day of `until` is the last one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from probes.kit.errors import OutOfScope, ScopeError
from wire.ports import contains, parse_ports
from wire.types import ScopeEntry

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Ranges = tuple[tuple[int, int], ...]

MAX_DAYS = 400
"""Longest authorisation in days, so that each is looked at again about once a year."""
SHORTEST_PREFIX = {4: 8, 6: 20}
"""The largest prefixes that one person can seriously authorise: a /8 of IPv4, a provider's /20 of IPv6."""
MAX_TEXT = 256
ALL_PORTS: Ranges = ((0, 65535),)

THIS_MACHINE = (
    ScopeEntry("127.0.0.0/8", "edusec", "this machine", None),
    ScopeEntry("::1/128", "edusec", "this machine", None),
)

_NAT64 = IPv6Network("64:ff9b::/96")
_SHARED_SUFFIXES = frozenset({"ac", "com", "edu", "gov", "mil", "net", "org"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry, ready for checking; `low` and `high` are the prefix as numbers, `domain` is set instead for names."""

    entry: ScopeEntry
    version: int
    low: int
    high: int
    domain: str
    ports: Ranges


class Scope:
    """The authorised entries, this machine always among them; entries are taken as already checked."""

    __slots__ = ("_rules", "entries")

    def __init__(self, entries: Iterable[ScopeEntry] = ()) -> None:
        """Build from checked entries (`check_entry`); raises ScopeError for a value that is none."""
        own = [entry for entry in entries if entry not in THIS_MACHINE]
        self.entries: tuple[ScopeEntry, ...] = (*THIS_MACHINE, *own)
        self._rules = tuple(_rule(entry) for entry in self.entries)

    def ports_of(self, address: Address, today: date) -> Ranges:
        """Give the ports of an address that entries with prefixes authorise today; empty when it is out of scope."""
        real = unmapped(address)
        number, version = int(real), real.version
        found: list[tuple[int, int]] = []
        for rule in self._rules:
            if rule.version == version and rule.low <= number <= rule.high and _holds(rule.entry, today):
                if rule.ports == ALL_PORTS:
                    return ALL_PORTS
                found.extend(rule.ports)
        return tuple(found)

    def holds(self, network: Network, port: int | None, today: date) -> bool:
        """Tell whether a port of every address of a prefix may be probed; `port` None asks for traffic without ports.

        That is what a packet to everybody on a link asks for.
        """
        position, end = int(network[0]), int(network[-1])
        spans = sorted(
            (rule.low, rule.high)
            for rule in self._rules
            if rule.version == network.version and _permits(rule.ports, port) and _holds(rule.entry, today)
        )
        for low, high in spans:
            if low <= position <= high:
                position = high + 1
        return position > end

    def domain_ports(self, name: str, today: date) -> Ranges:
        """Give the ports that entries with domains authorise today on what a domain resolves to."""
        try:
            wanted = normal_domain(name)
        except ValueError:
            return ()
        found: list[tuple[int, int]] = []
        for rule in self._rules:
            if rule.domain and _covers(rule.domain, wanted) and _holds(rule.entry, today):
                if rule.ports == ALL_PORTS:
                    return ALL_PORTS
                found.extend(rule.ports)
        return tuple(found)

    def allows_address(self, address: str | Address, port: int | None, today: date) -> bool:
        """Tell whether a port of an address may be probed; `port` None asks for traffic without ports.

        A text that is not an address in its one plain spelling (no octal, no 127.1) is never allowed.
        """
        try:
            parsed = ip_address(address) if isinstance(address, str) else address
        except ValueError:
            return False
        return _permits(self.ports_of(parsed, today), port)

    def allows_domain(self, name: str, port: int | None, today: date) -> bool:
        """Tell whether a port of a domain's own (public) addresses may be probed."""
        return _permits(self.domain_ports(name, today), port)

    def require(self, address: str | Address, port: int | None, today: date) -> None:
        """Raise OutOfScope, with the command that would authorise it, unless the address may be probed."""
        if not self.allows_address(address, port, today):
            raise OutOfScope(str(address) if port is None else f"{address} port {port}", str(address))


def unmapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) really reaches."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_special(address: Address) -> bool:
    """Tell whether an address must be authorised by prefix, never by a domain that happens to point there.

    True for all that is not public unicast, also when it is embedded in mapped, 6to4, Teredo or NAT64 addresses.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_special(inner)
    return not address.is_global or address.is_multicast


def normal_domain(name: str) -> str:
    """Write a domain in lower-case ASCII (RFC 5890 A-labels) without the last dot; raises ValueError if it is none."""
    if len(name) > 253 + 1:
        raise ValueError("longer than 253 characters")
    text = name.removesuffix(".").lower()
    try:
        ascii_name = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("has a label that cannot be written as a domain name") from None
    labels = ascii_name.split(".")
    for label in labels:
        if not 1 <= len(label) <= 63 or label[0] == "-" or label[-1] == "-":
            raise ValueError("has an empty, too long or hyphen-ended label")
        if not all(char.isalnum() or char in "-_" for char in label):
            raise ValueError("may hold letters, digits, hyphens and dots only")
    if labels[-1].isdigit() or labels[-1].startswith("0x") or len(ascii_name) > 253:
        raise ValueError("ends in a number, so it is an address in an unusual spelling")
    return ascii_name


def check_entry(entry: ScopeEntry, today: date, *, new: bool = True) -> ScopeEntry:
    """Give an entry with its value in plain spelling, or raise ScopeError whose lines are `field: what`.

    A `new` entry must not end in the past; one from a file may, it then authorises nothing any more.
    """
    problems: list[str] = []
    value = entry.value
    try:
        value = plain_value(entry.value.strip())
    except ValueError as error:
        problems.append(f"value: {error}")
    for name, text in (("authoriser", entry.authoriser), ("reason", entry.reason)):
        if not text.strip():
            problems.append(f"{name}: is empty; write who authorised this, or why")
        elif len(text) > MAX_TEXT or not text.isprintable():
            problems.append(f"{name}: at most {MAX_TEXT} printable characters are allowed")
    latest = today + timedelta(MAX_DAYS)
    if entry.until is None:
        problems.append(f"until: is missing; give the last day, at most {latest}")
    elif entry.until > latest:
        problems.append(f"until: {entry.until} is more than {MAX_DAYS} days away; the latest is {latest}")
    elif new and entry.until < today:
        problems.append(f"until: {entry.until} is in the past; today is {today} (UTC)")
    try:
        parse_ports(entry.ports)
    except ValueError as error:
        problems.append(f"ports: {error}")
    if problems:
        raise ScopeError(*problems)
    return replace(entry, value=value, authoriser=entry.authoriser.strip(), reason=entry.reason.strip())


def plain_value(value: str) -> str:
    """Write a prefix, address or domain in its one plain spelling; raises ValueError, also when it is too much."""
    network = _network(value)
    if network is None:
        return _plain_domain(value)
    if network.prefixlen < SHORTEST_PREFIX[network.version]:
        least = SHORTEST_PREFIX[network.version]
        raise ValueError(f"{value} is too large; a prefix of IPv{network.version} may be /{least} at most, split it")
    if network.is_multicast or network.network_address.is_unspecified:
        raise ValueError(f"{value} is not an address of hosts")
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _plain_domain(value: str) -> str:
    star, name = ("*.", value[2:]) if value.startswith("*.") else ("", value)
    if "/" in name or ":" in name:
        raise ValueError(f"{value!r} is neither an address, a prefix such as 10.1.0.0/16, nor a domain")
    try:
        plain = normal_domain(name)
    except ValueError as error:
        raise ValueError(f"{value!r} {error}") from None
    labels = plain.split(".")
    if len(labels) == 1 and plain != "localhost":
        raise ValueError(f"{value!r} is a whole top-level domain; name one below it")
    if star and len(labels) == 2 and (labels[0] in _SHARED_SUFFIXES and len(labels[1]) == 2):
        raise ValueError(f"{value!r} holds domains of many owners; name the school's own domain")
    return star + plain


def _network(value: str) -> Network | None:
    # Netmasks, host masks and zones are other spellings, which people misread; they are no prefixes here.
    mask = value.partition("/")[2]
    if "%" in value or (mask and not (mask.isascii() and mask.isdigit())):
        return None
    try:
        network = ip_network(value)
    except ValueError:
        try:
            loose = ip_network(value, strict=False)
        except ValueError:
            return None
        raise ValueError(f"{value} has bits set behind its prefix; {loose} is meant?") from None
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise ValueError(f"{value} is an IPv4-mapped address; write the IPv4 address")
    return network


def _rule(entry: ScopeEntry) -> _Rule:
    try:
        ports = parse_ports(entry.ports) or ALL_PORTS
        network = _network(entry.value)
        domain = "" if network else _plain_domain(entry.value)
    except ValueError as error:
        raise ScopeError(f"value: {error}") from None
    if network is None:
        return _Rule(entry, 0, 0, 0, domain, ports)
    low, high = int(network.network_address), int(network.broadcast_address)
    return _Rule(entry, network.version, low, high, "", ports)


def _holds(entry: ScopeEntry, today: date) -> bool:
    return entry.until is None or today <= entry.until


def _covers(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _permits(ranges: Ranges, port: int | None) -> bool:
    return ranges == ALL_PORTS if port is None else contains(ranges, port)
