"""From targets and ports to blocks of work, with what the scope refuses gathered into few lines."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from probes.kit.errors import OutOfScope, Refused
from probes.kit.ports.blocks import Block
from probes.kit.reasons import because
from probes.kit.scope.addresses import Address
from probes.kit.scope.model import Ranges
from probes.kit.scope.targets import Span, plain_prefixes
from probes.kit.sending.net import Gate, Net
from wire.ports import format_ports
from wire.types import Skipped

BLOCK_HOSTS = 256
BLOCK_PAIRS = 1 << 16


class Plan:
    """The work of one scan; the scope is looked at when each piece is due, and everything ends up in some piece.

    `nobody` are addresses that no host can have (network and broadcast addresses of this machine's links).
    """

    def __init__(self, net: Net, spans: Sequence[Span], ports: Sequence[int], nobody: frozenset[Address]) -> None:
        """See the class."""
        self.total = sum(len(span) for span in spans) * len(ports)
        self._net = net
        self._spans = spans
        self._ports = tuple(ports)
        self._nobody = nobody
        self._allowed: dict[Ranges, tuple[int, ...]] = {}
        self._out: list[Address] = []
        self._out_ports: dict[tuple[int, ...], list[Address]] = defaultdict(list)
        self._hindered: dict[str, list[Address]] = defaultdict(list)
        self._rest = self._blocks()

    def blocks(self) -> Iterator[Block]:
        """Give the work that is left, in pieces of at most BLOCK_HOSTS neighbouring addresses of the same ports."""
        return self._rest

    def _blocks(self) -> Iterator[Block]:
        for span in self._spans:
            hosts: list[Gate] = []
            last: tuple[int, ...] = ()
            for address in span:
                gate, ports = self._gate(address)
                if hosts and (ports != last or len(hosts) >= min(BLOCK_HOSTS, max(1, BLOCK_PAIRS // len(last)))):
                    yield Block(tuple(hosts), last)
                    hosts = []
                if gate is not None:
                    hosts.append(gate)
                    last = ports
            if hosts:
                yield Block(tuple(hosts), last)

    def _gate(self, address: Address) -> tuple[Gate | None, tuple[int, ...]]:
        if address in self._nobody:
            return None, ()
        try:
            gate = self._net.gate(address)
        except OutOfScope:
            self._out.append(address)
            return None, ()
        except Refused as refusal:
            self._hindered[refusal.skipped.reason].append(address)
            return None, ()
        ports = self._allowed.get(gate.ports)
        if ports is None:
            ports = self._allowed[gate.ports] = tuple(port for port in self._ports if gate.allows(port))
        if len(ports) < len(self._ports):
            self._out_ports[tuple(port for port in self._ports if port not in ports)].append(address)
            self._net.refusals += 1
        return (gate, ports) if ports else (None, ())

    def nobody_among(self, block: Block) -> frozenset[Address]:
        """Give the addresses without hosts next to those of a block, which count as looked at along with them."""
        numbers = {int(gate.parsed) for gate in block.hosts}
        family = block.hosts[0].family
        return frozenset(
            address
            for address in self._nobody
            if address.version == family and ({int(address) - 1, int(address) + 1} & numbers) and self._wanted(address)
        )

    def _wanted(self, address: Address) -> bool:
        return any(span.family == address.version and span.low <= int(address) <= span.high for span in self._spans)

    def refused(self) -> Iterator[Skipped]:
        """Say what was not sent because of scope, quiet hours or a missing interface, prefix by prefix.

        Addresses that no host can have are worth a word where nothing else was asked for.
        """
        for prefix in plain_prefixes(self._out):
            yield self._net.scope.refusal(prefix, prefix).skipped
        for ports, addresses in self._out_ports.items():
            for prefix in plain_prefixes(addresses):
                what = f"{prefix} ports {format_ports(ports)}"[:1024]
                yield self._net.scope.refusal(what, prefix).skipped
        if all(len(span) == 1 and span.address(span.low) in self._nobody for span in self._spans):
            yield from (Skipped(str(span.address(span.low)), because("no_host")) for span in self._spans)
        for reason, addresses in self._hindered.items():
            for prefix in plain_prefixes(addresses):
                yield Skipped(prefix, reason)

    def unreached(self, reason: str) -> Iterator[Skipped]:
        """Say what was left when a scan ended early, for that reason."""
        left = [address for block in self._rest for address in addresses_of(block.hosts)]
        for prefix in plain_prefixes(left):
            yield Skipped(prefix, reason)


def addresses_of(gates: Iterable[Gate]) -> list[Address]:
    """Give the addresses of gates as addresses, link-local ones with their interface."""
    return [ip_address(gate.address) for gate in gates]
