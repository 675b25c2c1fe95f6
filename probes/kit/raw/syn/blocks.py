"""The SYN engine in the place of the connect engine: the same blocks in, the same blocks out."""

import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from probes.kit.errors import Refused, TooLossy
from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.packets.states import MEANINGS
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import HostStates, Opened
from probes.kit.raw.syn.messages import MAX_PAIRS, Done, Job
from probes.kit.scope.model import ALL_PORTS
from probes.kit.sending.net import Gate, Net
from probes.kit.sending.outcomes import Settled
from wire.ports import format_ports
from wire.types import ScopeEntry

_LOCAL_RATE = 1e6
HOSTS_AT_ONCE = 4096
"""Hosts of one job: each costs the helper some 2 KB for its frames, and a gateway may have 128 MiB in all."""
_LEAST_SECONDS = 1.0
_LEAST_HEARD, _MOST_WORTH = 0.05, 0.95
_CERTAIN = bytes(
    CODE_OF[meaning.settled] if (meaning := MEANINGS.get(state)) and meaning.settled else PENDING
    for state in range(256)
)
_LOST = bytes([CODE_OF[Settled.LOST], *_CERTAIN[1:]])
_NOT_YET = bytes([PENDING, *_CERTAIN[1:]])
_OPEN = CODE_OF[Settled.OPEN]


class SynSweep:
    """Drop-in for `Sweep`: `timeout` is the longest last wait, `host_rate` the most SYNs a second at one host.

    `rate` can only narrow what the Net allows. `done` is the number of settled pairs, `sending` the SYNs a second just
    now, `lost` the share of answers that got lost. After a run `stopped` is the reason when the scope, quiet hours or
    loss on the way ended it early, and `figures` holds one Done for each helper that ran.
    """

    def __init__(self, net: Net, *, timeout: float, retries: int, host_rate: float, rate: float | None = None) -> None:
        """See the class; nothing is started yet."""
        self._net = net
        self._timeout = timeout
        self._retries = retries
        self._host_rate = host_rate
        self._rate = net.pace.rate if rate is None else min(rate, net.pace.rate)
        self._settled = self._settling = 0
        self.begun: list[Block] = []
        self.sending = self.lost = 0.0
        self.stopped: Refused | None = None
        self.figures: list[Done] = []

    @property
    def done(self) -> int:
        """Pairs that are settled, and what the questions of the helper that runs just now amount to."""
        return self._settled + self._settling

    def run(self, blocks: Iterable[Block], deadline: float) -> Iterator[Block | None]:
        """Yield each block when all of it is settled, and None about twice a second as a sign of life.

        At the deadline (time.monotonic()), or when the scope no longer allows it, the blocks begun are yielded with
        states still pending, and later ones are not taken. Raises CannotRun when the engine cannot work here.
        """
        if time.monotonic() >= deadline:
            return
        for group in _groups(blocks):
            yield from self._run(group, deadline)
            if self.stopped or time.monotonic() >= deadline:
                return

    def _run(self, group: list[Block], deadline: float) -> Iterator[Block | None]:
        places: dict[str, list[tuple[Block, int]]] = {}
        self.begun = group
        for block in group:
            for number, gate in enumerate(block.hosts):
                places.setdefault(gate.address, []).append((block, number))
        gates = [gate for block in group for gate in block.hosts]
        mark = self._net.gate_mark()
        listening = client.run(self._job(group[0].ports, gates, tuple(places), deadline))
        try:
            for said in listening:
                if isinstance(said, HostStates):
                    for block, number in places[said.address]:
                        self._settle(block, number, said, deadline)
                elif isinstance(said, Opened):
                    for block, number in places[said.address]:
                        self._open(block, number * len(block.ports) + block.ports.index(said.port), said.seconds)
                elif isinstance(said, Done):
                    self.figures.append(said)
                    self._net.sent += said.sent
                    self.lost = said.lost
                    if said.lossy:
                        self.stopped = TooLossy("")
                else:
                    self._settling, self.sending, self.lost = self._worth(said), said.rate, said.lost
                    yield None
                if mark != (mark := self._net.time_mark()):
                    for gate in gates:
                        self._net.recheck(gate)
        except Refused as refusal:
            self.stopped = refusal
        finally:
            listening.close()
            self._settling = 0
        self._settled += sum(len(block.states) - block.left for block in group)
        yield from group

    def _worth(self, said: Progress) -> int:
        """Give how many pairs the work so far amounts to: silent ones are asked several times, more if much is lost.

        They never count in full before they are settled.
        """
        tries = (1 + self._retries) / max(_LEAST_HEARD, 1 - said.lost)
        asked = max(0, said.sent - said.settled) / tries
        return said.settled + int(min(asked, _MOST_WORTH * (said.pairs - said.settled)))

    def _job(self, ports: tuple[int, ...], gates: list[Gate], names: tuple[str, ...], deadline: float) -> Job:
        local = not any(gate.paced for gate in gates)
        return Job(
            targets=names,
            ports=format_ports(ports),
            scope=self._scope(gates),
            rate=_LOCAL_RATE if local else self._rate,
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

    @staticmethod
    def _open(block: Block, index: int, seconds: float | None) -> None:
        """Take an open port as it comes: whatever ends the run, it stays open."""
        if seconds is not None:
            block.round_trips[index] = seconds
        if block.states[index] == PENDING:
            block.states[index] = _OPEN
            block.left -= 1

    @staticmethod
    def _settle(block: Block, number: int, host: HostStates, deadline: float) -> None:
        count = len(block.ports)
        if host.mac:
            block.macs[number] = host.mac
        # Silence that is not certain comes of lost packets, unless there was no time to ask again.
        doubt = _NOT_YET if time.monotonic() >= deadline else _LOST
        codes = host.states.translate(_CERTAIN if host.certain else doubt)
        # The helper speaks of ports in ascending order.
        ascending = sorted(range(count), key=block.ports.__getitem__)
        row = bytearray(count)
        for place, code in zip(ascending, codes, strict=True):
            row[place] = code
        block.left += row.count(PENDING) - block.row(number).count(PENDING)
        block.states[number * count : (number + 1) * count] = row


def _groups(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Put blocks with the same ports together, as many as one job may hold."""
    group: list[Block] = []
    hosts = 0
    kind: object = None
    for block in blocks:
        this = block.ports, any(gate.paced for gate in block.hosts)
        hosts += len(block.hosts)
        if group and (this != kind or hosts > HOSTS_AT_ONCE or hosts * len(block.ports) > MAX_PAIRS):
            yield group
            group, hosts = [], len(block.hosts)
        kind = this
        group.append(block)
    if group:
        yield group


def _is_prefix(value: str) -> bool:
    try:
        ip_network(value)
    except ValueError:
        return False
    return True
