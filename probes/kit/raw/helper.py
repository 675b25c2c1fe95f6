"""The helper's work: a plan, sockets, no more privileges, then packets."""

import os
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from probes.kit.errors import CannotRun
from probes.kit.raw.cookie import KEY_BYTES, secret
from probes.kit.raw.frames import ETHERTYPES, ethernet
from probes.kit.raw.lane import LONGEST_TRIP, SOURCE_PORTS, Lane, Sockets
from probes.kit.raw.link_addresses import LinkAddresses
from probes.kit.raw.messages import HostStates, Job, Said
from probes.kit.raw.outlet import Outlet
from probes.kit.raw.pace import burst_of
from probes.kit.raw.panel import Host
from probes.kit.raw.plan import Plan, Road, make_plan
from probes.kit.raw.privilege import give_up_all
from probes.kit.raw.rounds import Rounds
from probes.kit.raw.states import State, pack_states
from probes.kit.scope import ALL_PORTS
from wire.ports import contains

_FIRST_PORTS = range(40_000, 60_000, SOURCE_PORTS)
_PORT_TRIES = 64
_NOT_ALLOWED = (
    "the SYN engine needs CAP_NET_RAW: run as root, grant it to the agent's service, or use the connect engine"
)
_TOLD = bytes(State.SILENT if state in (State.GIVEN_UP, State.DOUBTED) else state for state in range(256))
_DOUBTFUL = (State.SILENT, State.DOUBTED)


def work(job: Job, outlet: Outlet) -> None:
    """Do a job and say its results; raises BadJob, CannotRun, OSError or ParentGone."""
    started = time.monotonic()
    deadline = started + job.seconds
    try:
        with ExitStack() as closing:
            plan = make_plan(job, datetime.now(UTC).date())
            first_port = _reserve_ports(closing)
            roads = {road: _open(road, first_port, closing) for road in plan.roads}
            give_up_all()
            order = shuffled(len(plan.ports))
            key = os.urandom(KEY_BYTES)
            lanes = []
            for road, (sockets, asking) in roads.items():
                hosts = _hosts(plan, road, asking, key, job.rate, deadline)
                if hosts:
                    lanes.append(_lane(plan, road, hosts, sockets, order, job, first_port))
            rounds = Rounds(lanes, job, deadline, outlet)
            rounds.run()
            figures = rounds.figures(time.monotonic() - started)
    except PermissionError:
        raise CannotRun(_NOT_ALLOWED) from None
    _tell_hosts(plan, lanes, order, outlet)
    outlet.say(Said(done=figures))


def _reserve_ports(closing: ExitStack) -> int:
    """Hold source ports that nothing else here uses, so that no other program gets our answers.

    They are bound and never listen: our own kernel answers each SYN-ACK with a reset, which frees the half-open
    connection at the target, and has nothing to say to a reset. No firewall rule is needed, so none can be left behind.
    """
    for number in shuffled(len(_FIRST_PORTS))[:_PORT_TRIES]:
        first = _FIRST_PORTS[number]
        with ExitStack() as taken:
            try:
                for port in range(first, first + SOURCE_PORTS):
                    sock = taken.enter_context(_stream_socket())
                    sock.bind(("", port))
            except OSError:
                continue
            closing.push(taken.pop_all())
            return first
    raise CannotRun("no source port is free on this machine; end what holds so many connections")


def _stream_socket() -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError:  # a kernel without IPv6
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    return sock


def _open(road: Road, first_port: int, closing: ExitStack) -> tuple[Sockets, LinkAddresses | None]:
    sockets = Sockets(road.interface, road.family, road.by_kernel, first_port)
    closing.callback(sockets.close)
    if road.by_kernel:
        return sockets, None
    asking = LinkAddresses(socket.if_indextoname(road.interface), road.family)
    closing.callback(asking.close)
    return sockets, asking


def _hosts(
    plan: Plan, road: Road, asking: LinkAddresses | None, key: bytes, rate: float, deadline: float
) -> list[Host]:
    """Give the hosts of a lane in random order; those that nobody answers for on the link are settled without a SYN."""
    reached = plan.roads[road]
    wanted = {host.next_hop: host.source for host in reached.values()}
    hops = asking.resolve(wanted, rate, deadline) if asking else {}
    hosts = []
    for name, host in reached.items():
        link = b""
        if asking:
            hardware = hops.get(host.next_hop)
            if hardware is None:
                plan.settled[name] = State.NO_ROUTE if host.routed else State.NO_NEIGHBOUR
                continue
            link = ethernet(hardware, asking.hardware, ETHERTYPES[road.family])
        hosts.append(Host(name, host.address, host.source, secret(key, host.address), link, host.zone))
    return [hosts[number] for number in shuffled(len(hosts))]


def shuffled(count: int) -> list[int]:
    """Give 0 to `count` - 1 in an order that nobody can foresee."""
    keys = memoryview(os.urandom(8 * count)).cast("Q")
    return sorted(range(count), key=keys.__getitem__)


def _lane(
    plan: Plan, road: Road, hosts: Sequence[Host], sockets: Sockets, order: Sequence[int], job: Job, first_port: int
) -> Lane:
    ports = [plan.ports[number] for number in order]
    reached = plan.roads[road]
    lane = Lane(
        sockets,
        hosts,
        ports,
        burst=burst_of(min(job.rate, job.host_rate * len(hosts))),
        first_port=first_port,
        routed=any(reached[host.name].routed for host in hosts),
    )
    for number, host in enumerate(hosts):
        allowed = reached[host.name].ports
        if allowed != ALL_PORTS:
            lane.settle(number, bytes(0 if contains(allowed, port) else State.OUT_OF_SCOPE for port in ports))
    return lane


def _tell_hosts(plan: Plan, lanes: Sequence[Lane], order: Sequence[int], outlet: Outlet) -> None:
    ascending = sorted(range(len(order)), key=order.__getitem__)
    told: dict[str, HostStates] = {}
    for lane in lanes:
        for number, host in enumerate(lane.hosts):
            column = lane.column(number)
            trip = lane.trips[number]
            told[host.name] = HostStates(
                host.name,
                pack_states(bytes(map(column.__getitem__, ascending)).translate(_TOLD)),
                seconds=None if trip == LONGEST_TRIP else trip,
                certain=not any(state in column for state in _DOUBTFUL),
            )
    for name in plan.order:
        line = told.get(name) or HostStates(name, pack_states(bytes([plan.settled[name]]) * len(plan.ports)))
        outlet.say(Said(host=line))
