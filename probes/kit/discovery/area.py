"""What a run looks at: its addresses by the way they are reached, and the links on which everybody may be asked."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_network, summarize_address_range

from probes.kit.errors import OutOfScope, Refused
from probes.kit.machine.neighbours import Link, Own, not_hosts
from probes.kit.machine.routes import routes
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address, Network
from probes.kit.scope.targets import MAX_ADDRESSES, Span, parse_targets, plain_prefixes
from probes.kit.sending.multicast import link_prefixes
from probes.kit.sending.net import Gate, Net
from wire.types import Family, Skipped

_FAMILIES: tuple[Family, ...] = (4, 6)


@dataclass(slots=True)
class Area:
    """The plan of a run. `on_link` are addresses by interface; `nobody` are those that no host can have.

    `links` are the links on which everybody is to be asked, by family; whether that may be is checked by who sends.
    """

    on_link: dict[str, list[Gate]] = field(default_factory=lambda: defaultdict(list))
    beyond: list[Gate] = field(default_factory=list)
    own: list[Address] = field(default_factory=list)
    nobody: list[Address] = field(default_factory=list)
    links: list[tuple[str, Family]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    wanted: tuple[Network, ...] = ()

    @property
    def total(self) -> int:
        """Count the addresses that are to be asked."""
        return sum(map(len, self.on_link.values())) + len(self.beyond)

    def wants(self, address: Address) -> bool:
        """Tell whether an address was asked for; link-local ones come with the links whose IPv6 hosts are."""
        if isinstance(address, IPv6Address) and address.is_link_local:
            return (address.scope_id, 6) in self.links
        return any(address in network for network in self.wanted)


def check_targets(texts: Iterable[str]) -> None:
    """Check targets as `survey` reads them; raises ValueError naming the faulty one."""
    _split(texts)


def survey(net: Net, texts: Sequence[str], own: tuple[Own, ...], links: Iterable[Link]) -> Area:
    """Work out the plan: for some targets, or (without any) for all networks of this machine's links.

    Sends nothing. Raises OSError when the kernel does not answer.
    """
    area = Area()
    ethernet = {link.index: link.name for link in links if link.up and link.mac and not link.loopback}
    spans, wide = _split(texts or _networks(net, own, sorted(ethernet.values()), area))
    area.wanted = (*wide, *(network for span in spans for network in _prefixes(span)))
    _sort(net, area, spans, own, ethernet)
    for name in sorted(ethernet.values()):
        for family in _FAMILIES:
            here = link_prefixes(own, name, family)
            if any(_overlap(prefix, network) for prefix in here for network in area.wanted):
                area.links.append((name, family))
    for network in wide:
        if not any(_overlap(network, item.address.network) for item in own):
            area.skipped.append(Skipped(str(network), because("too_large", "/112")))
        elif not net.scope.holds(network, None, net.today()):
            area.skipped.append(net.count(net.scope.refusal(str(network), str(network))).skipped)
    return area


def _networks(net: Net, own: tuple[Own, ...], names: Sequence[str], area: Area) -> list[str]:
    """Give the networks of this machine's links, as many as one run may have."""
    found: dict[str, None] = {}
    left = MAX_ADDRESSES
    for name in names:
        for family in _FAMILIES:
            for network in link_prefixes(own, name, family):
                # Where there is nothing but link-local addresses nobody has to be told that they are out of scope.
                if str(network) in found or (network.is_link_local and not net.scope.holds(network, None, net.today())):
                    continue
                if family == 4 and network.num_addresses > left:
                    area.skipped.append(Skipped(str(network), because("too_large", str(MAX_ADDRESSES))))
                    continue
                left -= network.num_addresses if network.num_addresses <= left else 0
                found[str(network)] = None
    return list(found)


def _split(texts: Iterable[str]) -> tuple[tuple[Span, ...], list[IPv6Network]]:
    """Part targets whose addresses can be listed from IPv6 prefixes, on whose links those who are there are asked."""
    listed, wide = [], []
    for text in texts:
        network = _wide(text.strip())
        if network is None:
            listed.append(text)
        else:
            wide.append(network)
    return parse_targets(listed), wide


def _wide(text: str) -> IPv6Network | None:
    if "/" not in text or ":" not in text:
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    return network if isinstance(network, IPv6Network) and network.num_addresses > MAX_ADDRESSES else None


def _prefixes(span: Span) -> Iterable[Network]:
    low, high = span.address(span.low), span.address(span.high)
    if isinstance(low, IPv6Address):
        return summarize_address_range(IPv6Address(span.low), IPv6Address(span.high))
    return summarize_address_range(low, high)


def _sort(net: Net, area: Area, spans: Sequence[Span], own: tuple[Own, ...], ethernet: dict[int, str]) -> None:
    nobody = not_hosts(own)
    mine = {item.address.ip for item in own}
    gates: list[Gate] = []
    out: list[Address] = []
    hindered: dict[str, list[Address]] = defaultdict(list)
    lost: list[Address] = []
    for address in (address for span in spans for address in span):
        if address in mine or address.is_loopback:
            area.own.append(address)
        elif address in nobody:
            area.nobody.append(address)
        else:
            try:
                gates.append(net.gate(address))
            except OutOfScope:
                out.append(address)
            except Refused as refusal:
                hindered[refusal.skipped.reason].append(address)
    for gate, route in zip(gates, routes([(gate.parsed.packed, gate.zone) for gate in gates]), strict=True):
        if route is None:
            lost.append(gate.parsed)
        elif route.local:
            area.own.append(gate.parsed)
        elif route.gateway is None and route.interface in ethernet:
            area.on_link[ethernet[route.interface]].append(gate)
        else:
            area.beyond.append(gate)
    area.skipped += [net.scope.refusal(prefix, prefix).skipped for prefix in plain_prefixes(out)]
    area.skipped += [Skipped(prefix, reason) for reason, held in hindered.items() for prefix in plain_prefixes(held)]
    area.skipped += [Skipped(prefix, because("unreachable")) for prefix in plain_prefixes(lost)]


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
