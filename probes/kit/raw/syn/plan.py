"""From targets to lanes: what is in scope, how each address is reached, and what is never sent at all."""

import fcntl
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from probes.kit.machine.routes import routes, source_towards
from probes.kit.raw.helper.messages import MAX_HOSTS, BadJob
from probes.kit.raw.packets.states import State
from probes.kit.raw.syn.messages import MAX_PAIRS, Job
from probes.kit.scope.addresses import Address, unmapped
from probes.kit.scope.model import Ranges, Scope
from wire.ports import contains, expand, parse_ports

_GET_HARDWARE_ADDRESS, _GET_FLAGS = 0x8927, 0x8913  # SIOCGIFHWADDR, SIOCGIFFLAGS
_ETHERNET = 1  # ARPHRD_ETHER
_NO_ARP = 0x80  # IFF_NOARP


class Road(NamedTuple):
    """What the hosts of one lane have in common. `by_kernel`: nobody there is asked for a hardware address.

    The kernel then routes whole IP packets: on links without Ethernet, and on those of mobile modems and of some
    containers, which look like it and have no ARP and ND.
    """

    interface: int
    family: int
    by_kernel: bool


@dataclass(frozen=True, slots=True)
class Reached:
    """A target that may be probed and can be reached; `next_hop` is whose hardware address the frames carry."""

    address: bytes
    source: bytes
    next_hop: bytes
    routed: bool
    zone: int
    ports: Ranges


@dataclass(slots=True)
class Plan:
    """Targets in order (as text), those settled without a packet, and the rest by road."""

    order: list[str] = field(default_factory=list)
    ports: tuple[int, ...] = ()
    settled: dict[str, State] = field(default_factory=dict)
    roads: dict[Road, dict[str, Reached]] = field(default_factory=dict)


def make_plan(job: Job, today: date) -> Plan:
    """Work out the plan of a job; raises BadJob, or OSError when the kernel does not answer."""
    try:
        plan = Plan(ports=expand(parse_ports(job.ports)))
    except ValueError as error:
        raise BadJob(f"ports: {error}") from None
    if not plan.ports or plan.ports[0] == 0:
        raise BadJob("ports: port numbers from 1 to 65535 are needed")
    addresses = _addresses(job.targets)
    if len(addresses) * len(plan.ports) > MAX_PAIRS:
        raise BadJob(
            f"targets: {len(addresses)} hosts x {len(plan.ports)} ports are over {MAX_PAIRS} pairs, split the job"
        )
    scope = Scope(job.scope)
    allowed: dict[Address, Ranges] = {}
    for address in addresses:
        plan.order.append(str(address))
        ranges = scope.ports_of(address, today)
        if ranges and any(contains(ranges, port) for port in plan.ports):
            allowed[address] = ranges
        else:
            plan.settled[str(address)] = State.OUT_OF_SCOPE
    _find_roads(plan, allowed)
    return plan


def _addresses(targets: Sequence[str]) -> list[Address]:
    found: dict[Address, None] = {}
    for number, target in enumerate(targets):
        try:
            if "/" not in target:
                found[unmapped(ip_address(target))] = None
                continue
            network = ip_network(target)
        except ValueError as error:
            raise BadJob(f"targets[{number}]: {error}") from None
        if network.num_addresses + len(found) > MAX_HOSTS:
            raise BadJob(
                f"targets[{number}]: with {target} it is over {MAX_HOSTS} addresses; name the hosts of a large prefix"
            )
        found.update(dict.fromkeys(network if network.num_addresses <= 2 else network.hosts()))
    if len(found) > MAX_HOSTS:
        raise BadJob(f"targets: more than {MAX_HOSTS} addresses, split the job")
    return list(found)


def _find_roads(plan: Plan, allowed: dict[Address, Ranges]) -> None:
    targets = [(address.packed, _zone(address)) for address in allowed]
    found = routes([(packed, max(zone, 0)) for packed, zone in targets])
    links: dict[int, bool] = {}
    for (address, ranges), (packed, zone), route in zip(allowed.items(), targets, found, strict=True):
        source = route and (route.source or source_towards(packed, zone))
        if route is None or not source or zone < 0:
            plan.settled[str(address)] = State.NO_ROUTE
            continue
        if route.interface not in links:
            links[route.interface] = _has_neighbours(route.interface)
        # An IPv4 route over an IPv6 neighbour (RFC 8950) is left to the kernel too.
        crossed = route.gateway is not None and len(route.gateway) != len(packed)
        road = Road(route.interface, address.version, route.local or crossed or not links[route.interface])
        reached = Reached(packed, source, route.gateway or packed, route.gateway is not None, zone, ranges)
        plan.roads.setdefault(road, {})[str(address)] = reached


def _zone(address: IPv4Address | IPv6Address) -> int:
    name = address.scope_id if isinstance(address, IPv6Address) else None
    if name is None:
        return 0
    try:
        return int(name) if name.isdigit() else socket.if_nametoindex(name)
    except OSError:
        return -1


def _has_neighbours(interface: int) -> bool:
    """Tell whether hosts on a link are asked for their hardware addresses."""
    request = struct.pack("16s24x", socket.if_indextoname(interface).encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        kind, flags = (
            int(struct.unpack_from("=H", fcntl.ioctl(sock, question, request), 16)[0])
            for question in (_GET_HARDWARE_ADDRESS, _GET_FLAGS)
        )
    return kind == _ETHERNET and not flags & _NO_ARP
