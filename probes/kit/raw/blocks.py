"""The SYN engine in the place of the connect engine: the same blocks in, the same blocks out."""

import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from probes.kit.errors import Refused
from probes.kit.net import Gate, Net
from probes.kit.raw import client
from probes.kit.raw.client import HostStates, Opened
from probes.kit.raw.messages import MAX_PAIRS, Done, Job
from probes.kit.raw.states import MEANINGS
from probes.kit.scope import ALL_PORTS
from probes.kit.sweep import CODE_OF, PENDING, Block
from wire.ports import format_ports
from wire.types import ScopeEntry

_LOCAL_RATE = 1e6
_HOSTS_AT_ONCE = 4096
"""Hosts of one job: each costs the helper some 2 KB for its frames, and a gateway may have 128 MiB in all."""
_LEAST_SECONDS = 1.0
_CERTAIN = bytes(
    CODE_OF[meaning.settled] if (meaning := MEANINGS.get(state)) and meaning.settled else PENDING
    for state in range(256)
)
_UNCERTAIN = bytes([PENDING, *_CERTAIN[1:]])


class SynSweep:
    """Drop-in for `Sweep`: `timeout` is the longest last wait, `host_rate` the most SYNs a second at one host.

    After a run `done` is the number of settled pairs, `stopped` the reason when the scope or quiet hours ended it
    early, and `figures` holds one Done for each helper that ran.
    """

    def __init__(self, net: Net, *, timeout: float, retries: int, host_rate: float) -> None:
        """See the class; nothing is started yet."""
        self._net = net
        self._timeout = timeout
        self._retries = retries
        self._host_rate = host_rate
        self.done = 0
        self.stopped: Refused | None = None
        self.figures: list[Done] = []

    def run(self, blocks: Iterable[Block], deadline: float) -> Iterator[Block | None]:
        """Yield each block when all of it is settled, and None about twice a second as a sign of life.

        At the deadline (time.monotonic()), or when the scope no longer allows it, the blocks begun are yielded with
        states still pending, and later ones are not taken. Raises CannotRun when the engine cannot work here.
        """
        for group in _groups(blocks):
            yield from self._run(group, deadline)
            if self.stopped or time.monotonic() >= deadline:
                return

    def _run(self, group: list[Block], deadline: float) -> Iterator[Block | None]:
        places: dict[str, list[tuple[Block, int]]] = {}
        for block in group:
            for number, gate in enumerate(block.hosts):
                places.setdefault(_name(gate), []).append((block, number))
        gates = [gate for block in group for gate in block.hosts]
        mark = self._net.time_mark()
        listening = client.run(self._job(group[0].ports, gates, tuple(places), deadline))
        try:
            for said in listening:
                if isinstance(said, HostStates):
                    for block, number in places[said.address]:
                        self._settle(block, number, said)
                elif isinstance(said, Opened):
                    for block, number in places[said.address]:
                        if said.seconds is not None:
                            block.round_trips[number * len(block.ports) + block.ports.index(said.port)] = said.seconds
                elif isinstance(said, Done):
                    self.figures.append(said)
                    self._net.sent += said.sent
                else:
                    yield None
                if mark != (mark := self._net.time_mark()):
                    for gate in gates:
                        self._net.recheck(gate)
        except Refused as refusal:
            self.stopped = refusal
        finally:
            listening.close()
        yield from group

    def _job(self, ports: tuple[int, ...], gates: list[Gate], names: tuple[str, ...], deadline: float) -> Job:
        local = not any(gate.paced for gate in gates)
        return Job(
            targets=names,
            ports=format_ports(ports),
            scope=self._scope(gates),
            rate=_LOCAL_RATE if local else self._net.pace.rate,
            host_rate=_LOCAL_RATE if local else self._host_rate,
            retries=self._retries,
            wait=self._timeout,
            seconds=max(_LEAST_SECONDS, deadline - time.monotonic()),
        )

    def _scope(self, gates: list[Gate]) -> tuple[ScopeEntry, ...]:
        """Give the entries that the helper can check: prefixes, and the addresses that a domain in scope led to."""
        scope, today = self._net.scope, self._net.today()
        entries = [entry for entry in scope.entries if _is_prefix(entry.value)]
        for gate in gates:
            if scope.ports_of(ip_address(gate.address), today) != gate.ports:
                ports = "" if gate.ports == ALL_PORTS else ",".join(f"{low}-{high}" for low, high in gate.ports)
                entries.append(ScopeEntry(gate.address, "edusec", "address of a domain in scope", today, ports))
        return tuple(entries)

    def _settle(self, block: Block, number: int, host: HostStates) -> None:
        count = len(block.ports)
        codes = host.states.translate(_CERTAIN if host.certain else _UNCERTAIN)
        # The helper speaks of ports in ascending order.
        ascending = sorted(range(count), key=block.ports.__getitem__)
        row = bytearray(count)
        for place, code in zip(ascending, codes, strict=True):
            row[place] = code
        block.states[number * count : (number + 1) * count] = row
        settled = count - codes.count(PENDING)
        block.left -= settled
        self.done += settled


def _groups(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Put blocks with the same ports together, as many as one job may hold."""
    group: list[Block] = []
    hosts = 0
    kind: object = None
    for block in blocks:
        this = block.ports, any(gate.paced for gate in block.hosts)
        hosts += len(block.hosts)
        if group and (this != kind or hosts > _HOSTS_AT_ONCE or hosts * len(block.ports) > MAX_PAIRS):
            yield group
            group, hosts = [], len(block.hosts)
        kind = this
        group.append(block)
    if group:
        yield group


def _name(gate: Gate) -> str:
    return f"{gate.address}%{gate.zone}" if gate.zone else gate.address


def _is_prefix(value: str) -> bool:
    try:
        ip_network(value)
    except ValueError:
        return False
    return True
