"""Hosts known by an address of each family, and which ports each family opens on them."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic

from probes.kit.errors import Refused
from probes.kit.machine.neighbours import LIVE, neighbours
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net
from wire.text import TextError
from wire.types import Outcome, Skipped

MAX_HOSTS = 16
Pair = tuple[IPv4Address, IPv6Address]


def parse_pairs(texts: Iterable[str]) -> tuple[Pair, ...]:
    """Read `198.51.100.5=2001:db8::5`; raises TextError naming the faulty one."""
    found = []
    for text in texts:
        left, _, right = text.partition("=")
        try:
            four, six = ip_address(left.strip()), ip_address(right.strip())
        except ValueError:
            four = six = None  # type: ignore[assignment]
        if not isinstance(four, IPv4Address) or not isinstance(six, IPv6Address):
            raise TextError(
                f"{text[:64]!r} 不是一对地址，如 198.51.100.5=2001:db8::5",
                f"{text[:64]!r} is not two addresses such as 198.51.100.5=2001:db8::5",
            )
        found.append((four, six))
    return tuple(found)


def twins() -> tuple[Pair, ...]:
    """Give neighbours that show one address of each family under one hardware address of one link."""
    found: dict[tuple[str, str], list[Address]] = {}
    for item in neighbours():
        if item.mac and item.state in LIVE and not item.address.is_multicast and not item.address.is_link_local:
            found.setdefault((item.interface, item.mac), []).append(item.address)
    pairs = []
    for addresses in found.values():
        four = next((item for item in addresses if isinstance(item, IPv4Address)), None)
        six = next((item for item in addresses if isinstance(item, IPv6Address)), None)
        if four is not None and six is not None:
            pairs.append((four, six))
    return tuple(pairs)


def scan(
    net: Net, hosts: Sequence[Pair], ports: Sequence[int], timeout: float, deadline: float
) -> tuple[dict[str, dict[int, tuple[Outcome, Outcome]]], list[Skipped]]:
    """Try each port of each host over each family; what is open on IPv6 only is tried twice. At most MAX_HOSTS."""
    seen: dict[str, dict[int, tuple[Outcome, Outcome]]] = {}
    skipped: list[Skipped] = []
    for four, six in dict.fromkeys(hosts[:MAX_HOSTS]):
        found = seen.setdefault(f"{four} / {six}", {})
        try:
            for port in ports:
                if monotonic() + 4 * timeout > deadline:
                    return seen, skipped
                new = _try(net, six, port, timeout)
                old = _try(net, four, port, timeout)
                if new is Outcome.OPEN and old is not Outcome.OPEN:
                    old = _try(net, four, port, timeout)
                found[port] = old, new
        except Refused as refusal:
            skipped.append(refusal.skipped)
    return seen, skipped


def _try(net: Net, address: Address, port: int, timeout: float) -> Outcome:
    attempt = net.connect(address, port, timeout)
    if attempt.connection is not None:
        attempt.connection.reset()
    return attempt.outcome
