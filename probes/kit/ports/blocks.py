"""The unit of work of both engines that scan TCP ports: some addresses, some ports, and a byte for each pair."""

from dataclasses import dataclass, field

from probes.kit.sending.net import Gate
from probes.kit.sending.outcomes import Settled

CODES = ("pending", *Settled)
"""What a byte of `Block.states` means, by its number."""
CODE_OF = {settled: number for number, settled in enumerate(CODES)}
PENDING = 0


@dataclass(slots=True, eq=False)
class Block:
    """Ports of addresses, to be tried in full; `states[host * len(ports) + port]` is an index into CODES.

    `round_trips` holds the seconds of open ports by the same index, `macs` the hardware addresses of hosts on a link by
    their number, as far as they are known. Unless it `counts`, it is no part of what was asked for.
    """

    hosts: tuple[Gate, ...]
    ports: tuple[int, ...]
    counts: bool = True
    states: bytearray = field(init=False)
    round_trips: dict[int, float] = field(init=False, default_factory=dict)
    macs: dict[int, str] = field(init=False, default_factory=dict)
    left: int = field(init=False)
    unsure: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Mark everything as pending."""
        self.left = len(self.hosts) * len(self.ports)
        self.states = bytearray(self.left)

    def row(self, host: int) -> bytes:
        """Give the states of one host, in the order of `ports`."""
        return bytes(self.states[host * len(self.ports) : (host + 1) * len(self.ports)])
