"""What the connect engine keeps for each address, and the order in which it asks."""

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from probes.kit.ports.blocks import Block
from probes.kit.ports.loss import Host
from probes.kit.ports.order import stride

_AF_INET = int(socket.AF_INET)


@dataclass(slots=True, eq=False)
class Lane:
    """What is under way at one address; `waiting` holds what its caps keep back."""

    address: str
    plain: str
    af: int
    zone: int
    paced: bool
    busy: int = 0
    round_trip: float = 0.0
    waiting: list["Item"] = field(default_factory=list)
    host: Host = field(default_factory=Host)

    def sockaddr(self, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Give what connect() takes; the address is numeric, so nothing is ever looked up."""
        return (self.plain, port) if self.af == _AF_INET else (self.plain, port, 0, self.zone)


Item = tuple[Lane, Block, int, int]  # ..., index, tries so far


def spread(block: Block, lanes: list[Lane]) -> Iterator[Item]:
    """Give all pairs of a block in a random order that visits every address once before any address again."""
    count, step = len(block.ports), stride(len(lanes), len(block.ports))
    hosts = [(lane, place * count) for place, lane in enumerate(lanes)]
    ports = random.sample(range(count), count)
    random.shuffle(hosts)
    for turn in range(count):
        for place, (lane, base) in enumerate(hosts):
            yield lane, block, base + ports[(turn + place * step) % count], 0
