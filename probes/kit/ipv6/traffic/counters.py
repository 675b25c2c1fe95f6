"""Readers of byte counters by address family: nftables, the kernel's own, SNMP, and traffic by address."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

from probes.kit.ipv6.traffic.counted import Counted, Flows
from probes.kit.machine.nft import Ruleset
from probes.kit.scope.addresses import Address

TABLE = "edusec_traffic"
NAMES = ("v4_received", "v4_sent", "v6_received", "v6_sent")
"""Counters of the nftables table that docs/ipv6.md installs."""
HOSTS = ("hosts4", "hosts6")
REMOTES = ("remotes4", "remotes6")
MAX_LINES = 500_000
_MAX_FILE = 64 << 20
_ETHERNET = 14


def from_nft(rules: Ruleset | None, interface: str, epoch: str, *, offload: str) -> Counted | None:
    """Read the four counters of the installed table; None without them."""
    if rules is None or any((TABLE, name) not in rules.counters for name in NAMES):
        return None
    four_in, four_out, six_in, six_out = (rules.counters[TABLE, name] for name in NAMES)
    passed_by = "yes" if rules.offload else offload
    confidence = "low" if passed_by == "yes" else "high"
    return Counted("nft", interface, four_in, four_out, six_in, six_out, epoch, confidence, passed_by)


def from_kernel(interface: str, epoch: str, *, offload: str, net: Path = Path("/proc/net")) -> Counted | None:
    """Read IPv6 bytes of one interface (dev_snmp6) and take them from its total; None when the kernel does not say.

    The total has a link-layer header for each packet and holds ARP as well, so IPv4 is derived: medium confidence.
    """
    if not interface or "/" in interface:
        return None
    try:
        six = dict(_pairs(net / "dev_snmp6" / interface))
        received, packets_in, sent, packets_out = _totals(net / "dev", interface)
    except (OSError, ValueError, KeyError):
        return None
    six_in, six_out = six.get("Ip6InOctets"), six.get("Ip6OutOctets")
    if six_in is None or six_out is None:
        return None
    return Counted(
        "dev_snmp6",
        interface,
        max(0, received - _ETHERNET * packets_in - six_in),
        max(0, sent - _ETHERNET * packets_out - six_out),
        six_in,
        six_out,
        epoch,
        "low" if offload == "yes" else "medium",
        offload,
    )


def _pairs(file: Path) -> Iterable[tuple[str, int]]:
    with file.open(encoding="ascii") as lines:
        for line in islice(lines, 1000):
            words = line.split()
            if len(words) == 2 and words[1].isdigit():
                yield words[0], int(words[1])


def _totals(file: Path, interface: str) -> tuple[int, int, int, int]:
    with file.open(encoding="ascii") as lines:
        for line in islice(lines, 10_000):
            name, colon, rest = line.partition(":")
            if colon and name.strip() == interface:
                numbers = [int(word) for word in rest.split()]
                return numbers[0], numbers[1], numbers[8], numbers[9]
    raise KeyError(interface)


def flows_of_nft(rules: Ruleset | None) -> Flows | None:
    """Read the sets of the installed table: bytes by inside and by outside address; None without them."""
    if rules is None or not any((TABLE, name) in rules.sets for name in HOSTS):
        return None
    inside: dict[Address, int] = {}
    outside: dict[Address, int] = {}
    for name in HOSTS:
        inside.update(rules.sets.get((TABLE, name), {}))
    for name in REMOTES:
        outside.update(rules.sets.get((TABLE, name), {}))
    return Flows("nft", inside, outside)


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the connection table shows: flows where bytes are counted, and whether hardware took flows over."""

    flows: Flows | None
    offload: str


def tracked(file: Path = Path("/proc/net/nf_conntrack")) -> Tracked:
    """Read the connection table, where this user may; bytes are only there with net.netfilter.nf_conntrack_acct=1."""
    inside: Counter[Address] = Counter()
    outside: Counter[Address] = Counter()
    counted, offload = False, "no"
    try:
        with file.open(encoding="ascii", errors="replace") as lines:
            for line in islice(lines, MAX_LINES):
                if "[HW_OFFLOAD]" in line:
                    offload = "yes"
                if "bytes=" not in line:
                    continue
                counted = True
                found = _flow(line)
                if found is not None:
                    source, target, size = found
                    inside[source] += size
                    outside[target] += size
    except (OSError, ValueError):
        return Tracked(None, "unknown")
    return Tracked(Flows("conntrack", inside, outside) if counted else None, offload)


def _flow(line: str) -> tuple[Address, Address, int] | None:
    ends: dict[str, str] = {}
    size = 0
    for word in line.split():
        name, _, value = word.partition("=")
        if name in ("src", "dst"):
            ends.setdefault(name, value)
        elif name == "bytes" and value.isdigit():
            size += int(value)
    try:
        source, target = ip_address(ends["src"]), ip_address(ends["dst"])
    except (KeyError, ValueError):
        return None
    return None if source.is_loopback else (source, target, size)


def v4_bytes(flows: Flows, addresses: Mapping[str, Iterable[Address]]) -> dict[str, int]:
    """Add up the bytes that went to the addresses of each name."""
    return {name: sum(flows.outside.get(address, 0) for address in set(found)) for name, found in addresses.items()}
