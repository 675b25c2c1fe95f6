"""The helper's work: a plan, sockets, no more privileges, then packets."""

import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from probes.kit.errors import CannotRun
from probes.kit.ports.order import shuffled
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.helper.outlet import Outlet
from probes.kit.raw.helper.privilege import NOT_ALLOWED, give_up_all
from probes.kit.raw.link.addresses import LinkAddresses
from probes.kit.raw.packets.bursts import burst_of
from probes.kit.raw.packets.cookie import KEY_BYTES, secret
from probes.kit.raw.packets.frames import ETHERTYPES, ethernet
from probes.kit.raw.packets.panel import Host
from probes.kit.raw.packets.states import State, pack_states
from probes.kit.raw.syn.lane import LONGEST_TRIP, Lane
from probes.kit.raw.syn.messages import MOST_HOSTS, MOST_STATES, UNKNOWN_SECONDS, Hosts, Job, Said
from probes.kit.raw.syn.plan import Plan, Reached, Road, make_plan
from probes.kit.raw.syn.rounds import Rounds
from probes.kit.raw.syn.sockets import FIRST_PORTS, Sockets, reserve_ports
from probes.kit.scope.model import ALL_PORTS
from wire.ports import contains

_PORT_TRIES = 64
_SIGN_SECONDS = 0.5
_HARDWARE_BYTES = 6
_TOLD = bytes(State.SILENT if state in (State.GIVEN_UP, State.DOUBTED) else state for state in range(256))
_DOUBTFUL = (State.SILENT, State.DOUBTED)


def work(job: Job, outlet: Outlet) -> None:
    """Do a job and say its results; raises BadJob, CannotRun, OSError or ParentGone."""
    started = time.monotonic()
    deadline = started + job.seconds
    with ExitStack() as closing:
        plan = make_plan(job, datetime.now(UTC).date())
        roads = {road: _open(road, closing) for road in plan.roads}
        give_up_all()
        order = shuffled(len(plan.ports))
        ports = [plan.ports[number] for number in order]
        key = os.urandom(KEY_BYTES)
        lanes = []
        heed = _sign_of_life(outlet, len(plan.order) * len(ports))
        for road, (sockets, asking, first_port) in roads.items():
            hosts = _hosts(plan, road, asking, key, job.rate, deadline, heed)
            if hosts:
                lanes.append(_lane(plan.roads[road], hosts, ports, sockets, job, first_port))
        rounds = Rounds(lanes, job, deadline, outlet)
        rounds.run()
        figures = rounds.figures(time.monotonic() - started)
    _tell_hosts(plan, lanes, order, outlet)
    outlet.say(Said(done=figures))


def _open(road: Road, closing: ExitStack) -> tuple[Sockets, LinkAddresses | None, int]:
    """Open the sockets of a road, and take source ports of its own, by which its answers are told from others'."""
    first_port = reserve_ports(shuffled(len(FIRST_PORTS))[:_PORT_TRIES], closing)
    try:
        sockets = Sockets(road.interface, road.family, road.by_kernel, first_port)
        closing.callback(sockets.close)
        asking = None if road.by_kernel else LinkAddresses(sockets.sender, road.family)
    except PermissionError:
        raise CannotRun(NOT_ALLOWED) from None
    if asking:
        closing.callback(asking.close)
    return sockets, asking, first_port


def _sign_of_life(outlet: Outlet, pairs: int) -> Callable[[], None]:
    """Give what tells the parent now and then that nothing is settled yet, and ends with it (ParentGone).

    At each sign it looks whether scope and quiet hours still allow the job.
    """
    told = 0.0

    def heed() -> None:
        nonlocal told
        if time.monotonic() - told >= _SIGN_SECONDS:
            told = time.monotonic()
            outlet.say(Said(progress=Progress(0, pairs, 0, 0.0)))
        outlet.flush()
        outlet.check()

    return heed


def _hosts(
    plan: Plan,
    road: Road,
    asking: LinkAddresses | None,
    key: bytes,
    rate: float,
    deadline: float,
    heed: Callable[[], None],
) -> list[Host]:
    """Give the hosts of a lane in random order; those that nobody answers for on the link are settled without a SYN."""
    reached = plan.roads[road]
    wanted = {host.next_hop: host.source for host in reached.values()}
    hops, proven = asking.resolve(wanted, rate, deadline, heed) if asking else ({}, True)
    in_time = time.monotonic() < deadline
    hosts = []
    for name, host in reached.items():
        link = b""
        if asking:
            hardware = hops.get(host.next_hop)
            if hardware is None:
                absent = State.NO_ROUTE if host.routed else State.NO_NEIGHBOUR
                plan.settled[name] = (absent if proven else State.SILENT) if in_time else State.NOT_ASKED
                continue
            link = ethernet(hardware, asking.hardware, ETHERTYPES[road.family])
        hosts.append(Host(name, host.address, host.source, secret(key, host.address), link, host.zone))
    return [hosts[number] for number in shuffled(len(hosts))]


def _lane(
    reached: Mapping[str, Reached],
    hosts: Sequence[Host],
    ports: Sequence[int],
    sockets: Sockets,
    job: Job,
    first_port: int,
) -> Lane:
    lane = Lane(
        sockets,
        hosts,
        ports,
        burst=burst_of(min(job.rate, job.host_rate * len(hosts))),
        first_port=first_port,
        routed=any(reached[host.name].routed for host in hosts),
        retries=job.retries,
    )
    for number, host in enumerate(hosts):
        allowed = reached[host.name].ports
        if allowed != ALL_PORTS:
            lane.settle(number, bytes(0 if contains(allowed, port) else State.OUT_OF_SCOPE for port in ports))
    return lane


def _tell_hosts(plan: Plan, lanes: Sequence[Lane], order: Sequence[int], outlet: Outlet) -> None:
    ascending = [0] * len(order)
    for place, number in enumerate(order):
        ascending[number] = place
    sort = operator.itemgetter(*ascending) if len(order) > 1 else bytes
    where = {host.name: (lane, number) for lane in lanes for number, host in enumerate(lane.hosts)}
    behind = {name for reached in plan.roads.values() for name, host in reached.items() if host.routed}
    at_once = max(1, min(MOST_HOSTS, MOST_STATES // len(order)))
    for start in range(0, len(plan.order), at_once):
        names = plan.order[start : start + at_once]
        states, seconds, certain, macs = bytearray(), [], [], []
        for name in names:
            if name in where:
                lane, number = where[name]
                column = lane.column(number)
                states += bytes(sort(column)).translate(_TOLD)
                seconds.append(UNKNOWN_SECONDS if lane.trips[number] == LONGEST_TRIP else lane.trips[number])
                certain.append(not any(state in column for state in _DOUBTFUL))
                macs.append("" if name in behind else lane.hosts[number].link[:_HARDWARE_BYTES].hex())
            else:
                states += bytes([plan.settled[name]]) * len(order)
                seconds.append(UNKNOWN_SECONDS)
                certain.append(plan.settled[name] != State.SILENT)
                macs.append("")
        told = Hosts(tuple(names), pack_states(bytes(states)), tuple(seconds), tuple(certain), tuple(macs))
        outlet.say(Said(hosts=told))
