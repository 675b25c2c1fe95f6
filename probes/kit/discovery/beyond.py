"""Who is behind routers: TCP pings, raw or by connecting, on a few ports; a refusal is an answer as good as any."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probes.kit.connect.sweep import Sweep
from probes.kit.contract import Progress
from probes.kit.discovery.look import Look
from probes.kit.ports.blocks import CODE_OF, Block
from probes.kit.raw.syn.blocks import SynSweep
from probes.kit.sending.net import Gate
from probes.kit.sending.outcomes import Settled

RETRIES = 1
_BLOCK_HOSTS = 256
_ALIVE = frozenset({CODE_OF[Settled.OPEN], CODE_OF[Settled.CLOSED]})
_NO_HOST = CODE_OF[Settled.NO_HOST]
_HOST_RATE = 200.0


@dataclass(frozen=True, slots=True)
class Pings:
    """On which ports, by raw SYNs or by connecting, how many a second at most, and seconds to wait for each answer."""

    ports: Sequence[int]
    raw: bool
    rate: float
    timeout: float


def tcp_ping(look: Look, how: Pings) -> Iterator[Progress]:
    """Ask each address beyond on each port that is in scope there; one that a router denies is gone."""
    net, parts = look.net, blocks(look.area.beyond, how.ports)
    engine: SynSweep | Sweep
    if how.raw:
        engine = SynSweep(net, timeout=how.timeout, retries=RETRIES, host_rate=_HOST_RATE, rate=how.rate)
    else:
        engine = Sweep(net, timeout=how.timeout, retries=RETRIES, rate=how.rate)
    total = sum(block.left for block in parts)
    for block in engine.run(parts, look.deadline):
        if block is not None:
            for number, gate in enumerate(block.hosts):
                row = block.row(number)
                if any(code in _ALIVE for code in row):
                    look.seen.see(gate.parsed, "tcp")
                elif all(code == _NO_HOST for code in row):
                    look.settled.gone.append(gate.parsed)
        yield Progress(engine.done, total)


def blocks(gates: Sequence[Gate], ports: Sequence[int]) -> list[Block]:
    """Give the plan: those with the same ports in scope together."""
    groups: dict[tuple[int, ...], list[Gate]] = defaultdict(list)
    for gate in gates:
        allowed = tuple(port for port in ports if gate.allows(port))
        if allowed:
            groups[allowed].append(gate)
    return [
        Block(tuple(held[start : start + _BLOCK_HOSTS]), allowed)
        for allowed, held in groups.items()
        for start in range(0, len(held), _BLOCK_HOSTS)
    ]
