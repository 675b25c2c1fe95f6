"""Who is behind routers: TCP pings, raw or by connecting, on a few ports; a refusal is an answer as good as any."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from probes.kit.blocks import CODE_OF, Block
from probes.kit.contract import Progress
from probes.kit.discovery.sightings import Sightings
from probes.kit.net import Gate, Net
from probes.kit.outcomes import Settled as Found
from probes.kit.raw.blocks import SynSweep
from probes.kit.scope import Address
from probes.kit.sweep import Sweep

_BLOCK_HOSTS = 256
_ALIVE = frozenset({CODE_OF[Found.OPEN], CODE_OF[Found.CLOSED]})
_NO_HOST = CODE_OF[Found.NO_HOST]
_HOST_RATE = 200.0


def tcp_ping(
    net: Net,
    gates: Sequence[Gate],
    ports: Sequence[int],
    seen: Sightings,
    gone: list[Address],
    deadline: float,
    *,
    raw: bool,
    timeout: float,
    rate: float,
) -> Iterator[Progress]:
    """Ask each address on each port that is in scope there; `gone` gets those of which a router says: no such host."""
    blocks = _blocks(gates, ports)
    engine: SynSweep | Sweep
    if raw:
        engine = SynSweep(net, timeout=timeout, retries=1, host_rate=_HOST_RATE, rate=rate)
    else:
        engine = Sweep(net, timeout=timeout, retries=1, rate=rate)
    total = sum(block.left for block in blocks)
    for block in engine.run(blocks, deadline):
        if block is not None:
            for number, gate in enumerate(block.hosts):
                row = block.row(number)
                if any(code in _ALIVE for code in row):
                    seen.see(gate.parsed, "tcp")
                elif all(code == _NO_HOST for code in row):
                    gone.append(gate.parsed)
        yield Progress(engine.done, total)


def _blocks(gates: Sequence[Gate], ports: Sequence[int]) -> list[Block]:
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
