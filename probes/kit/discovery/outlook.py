"""What a discovery would send, worked out from the survey with which the run itself begins. Nothing is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probes.kit.contract import Preview, Step
from probes.kit.discovery import chatter, descriptions
from probes.kit.discovery.area import Area
from probes.kit.discovery.beyond import RETRIES, blocks
from probes.kit.discovery.told import DESCRIPTION
from probes.kit.errors import Refused
from probes.kit.machine.neighbours import Own
from probes.kit.raw.link.messages import GROUP_METHODS, ICMP, MLD
from probes.kit.reasons import because
from probes.kit.scan.preview import portions, syns_of_connect, texts
from probes.kit.scope.addresses import Network
from probes.kit.scope.model import ALL_PORTS
from probes.kit.sending.multicast import link_prefixes, require_link
from probes.kit.sending.net import Net
from wire.types import Family, Skipped

_ALL_NODES = "ff02::1"
_GROUP_ASKED = 2
_NETBIOS = 137
_NETBIOS_ROUNDS = 3
_KERNEL_TRIES = 3
"""Requests of the kernel for one address that it does not know (mcast_solicit of ip-sysctl)."""
_FAMILIES: tuple[tuple[Family, str], ...] = ((4, "arp"), (6, "nd"))


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run goes about it: as its options of the same names; `raw` tells whether it may listen to whole links."""

    methods: frozenset[str]
    ports: Sequence[int]
    raw: bool
    tries: int
    rate: float
    listen: float
    timeout: float


def outlook(net: Net, area: Area, own: tuple[Own, ...], how: Manner) -> Preview:
    """Say what a run over an area would send."""
    refused = list(area.skipped)
    steps = [
        *_one_by_one(area, how),
        *_of_groups(net, area, own, how, refused),
        *_beyond(area, how),
        *_of_those_found(area, how),
    ]
    asked = sum(step.addresses for step in steps if not step.found)
    fastest = min(how.rate, net.pace.rate)
    heard = how.listen if any(step.method in chatter.METHODS for step in steps) else 0.0
    return Preview(
        "link" if how.raw else "kernel",
        why="" if how.raw else because("no_raw_links"),
        refused=tuple(dict.fromkeys(refused)),
        packets=sum(step.packets for step in steps),
        rate=fastest,
        seconds=(asked / fastest + heard, how.tries * (asked / fastest + how.timeout) + heard),
        steps=tuple(steps),
    )


def _one_by_one(area: Area, how: Manner) -> Iterator[Step]:
    tries = how.tries if how.raw else _KERNEL_TRIES
    for name, gates in area.on_link.items():
        for family, method in _FAMILIES:
            here = [gate for gate in gates if gate.family == family]
            if method in how.methods and here:
                yield Step(method, texts(here), name, addresses=len(here), packets=tries * len(here))


def _of_groups(net: Net, area: Area, own: tuple[Own, ...], how: Manner, refused: list[Skipped]) -> Iterator[Step]:
    for name, family in area.links:
        here = link_prefixes(own, name, family)
        for method in GROUP_METHODS if how.raw and family == 6 else ():
            if method in how.methods and _allowed(net, here, None, refused):
                # An echo from each of our prefixes, as hosts answer in kind.
                sources = {item.address.network for item in own if item.interface == name and item.address.version == 6}
                times = _GROUP_ASKED * (1 if method == MLD else len(sources))
                yield Step(method, (_ALL_NODES,), name, packets=times)
        for method in chatter.METHODS:
            groups, port, _ = chatter.PROTOCOLS[method]
            if method in how.methods and _allowed(net, here, port, refused):
                yield Step(method, (groups[family],), name, f"udp {port}", packets=chatter.asked(method))


def _beyond(area: Area, how: Manner) -> Iterator[Step]:
    each = (1 + RETRIES) * (1 if how.raw else syns_of_connect(how.timeout))
    for part in portions(blocks(area.beyond, how.ports)) if "tcp" in how.methods else ():
        yield Step("tcp", part.prefixes, "", f"tcp {part.ports}", addresses=part.addresses, packets=each * part.pairs)
    echoed = [gate for gate in area.beyond if gate.ports == ALL_PORTS]
    if how.raw and ICMP in how.methods and echoed:
        yield Step(ICMP, texts(echoed), addresses=len(echoed), packets=how.tries * len(echoed))


def _of_those_found(area: Area, how: Manner) -> Iterator[Step]:
    """Give what is asked of hosts because of what they answered; of how many is not known before."""
    families = {family for family, method in _FAMILIES if how.raw or method in how.methods}
    on_link = [gate for gates in area.on_link.values() for gate in gates if gate.family in families]
    if not how.raw and on_link:
        # The datagram that makes the kernel ask for an address is the NetBIOS question.
        packets = _NETBIOS_ROUNDS * len(on_link)
        yield Step("netbios", texts(on_link), "", f"udp {_NETBIOS}", addresses=len(on_link), packets=packets)
    elif "netbios" in how.methods:
        fours = [gate for gate in (*on_link, *area.beyond) if gate.family == 4]
        yield Step("netbios", texts(fours), "", f"udp {_NETBIOS}", found=True)
    if DESCRIPTION in how.methods and {"ssdp", "wsd"} & how.methods:
        yield Step(DESCRIPTION, ports=f"tcp {descriptions.PORTS}", found=True)


def _allowed(net: Net, here: Sequence[Network], port: int | None, refused: list[Skipped]) -> bool:
    try:
        require_link(net, here, port)
    except Refused as refusal:
        refused.append(refusal.skipped)
        return False
    return bool(here)
