"""What may be probed: prefixes and domains that someone with a name authorised, until a date.

This machine itself (127.0.0.0/8 and ::1) is always in scope. Days are UTC, and the day of `until` is the last one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

from probes.kit.errors import OutOfScope, ScopeError
from probes.kit.scope.addresses import Address, Network, unmapped
from probes.kit.scope.entries import MAX_TEXT, network_of, normal_domain, plain_domain
from wire.ports import contains, parse_ports
from wire.text import text_of, within
from wire.types import ScopeEntry

Ranges = tuple[tuple[int, int], ...]

ALL_PORTS: Ranges = ((0, 65535),)

THIS_MACHINE = (
    ScopeEntry("127.0.0.0/8", "edusec", "this machine", None),
    ScopeEntry("::1/128", "edusec", "this machine", None),
)


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
    """The authorised entries, this machine always among them; entries are taken as already checked.

    `file` is where `edusec scope add` would have to record more; empty where that is the operator's own file.
    """

    __slots__ = ("_rules", "entries", "file")

    def __init__(self, entries: Iterable[ScopeEntry] = (), file: str = "") -> None:
        """Build from checked entries (`check_entry`); raises ScopeError for a value that is none."""
        # A name that no terminal can show nobody can copy from it.
        self.file = file if file.isprintable() and len(file) <= MAX_TEXT else ""
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

    def refusal(self, what: str, value: str) -> OutOfScope:
        """Say that a target is not in scope, with the command that would authorise `value`."""
        return OutOfScope(what, value, self.file)


def _rule(entry: ScopeEntry) -> _Rule:
    try:
        ports = parse_ports(entry.ports) or ALL_PORTS
        network = network_of(entry.value)
        domain = "" if network else plain_domain(entry.value)
    except ValueError as error:
        raise ScopeError(within("value", text_of(error))) from None
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
