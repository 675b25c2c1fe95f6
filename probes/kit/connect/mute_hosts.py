"""Hosts that answered nothing, asked once more before they count as absent: see `ports.latecomers`.

After each block in which somebody answered, the others get one port again, in rounds as long as any of them answers
after all; who does is asked for all ports.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.ports.latecomers import Latecomers
from probes.kit.sending.outcomes import Settled

_MOST_ROUNDS = 20
_ANSWERS = (CODE_OF[Settled.CLOSED], CODE_OF[Settled.OPEN])
_ABSENT = bytes([CODE_OF[Settled.TIMEOUT], CODE_OF[Settled.NO_HOST]])
_LOST = CODE_OF[Settled.LOST]


@dataclass(slots=True, eq=False)
class _Whole:
    """A block, those of its hosts (by number) that are mute, and how many checks of it are under way."""

    block: Block
    mute: list[int]
    law: Latecomers = field(default_factory=Latecomers)
    rounds: int = 0
    checks: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A block of one port of mute hosts, or of all ports of those that turned out to be there (`found`)."""

    whole: _Whole
    hosts: list[int]
    found: bool


class MuteHosts:
    """Blocks for an engine to take, and more that `sift` puts in, which each block that comes back has to pass."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        """Nothing is taken from `blocks` before the engine asks."""
        self._source = iter(blocks)
        self._waiting: deque[Block] = deque()
        self._checks: dict[Block, _Check] = {}

    def __iter__(self) -> Iterator[Block]:
        """Give itself; it may have more to give after its end, once a block was sifted."""
        return self

    def __next__(self) -> Block:
        """Give a check that waits, or else the next block."""
        return self._waiting.popleft() if self._waiting else next(self._source)

    def sift(self, block: Block) -> Iterator[Block]:
        """Take a block from the engine; give what is settled by it: itself, or the block that it was a check of."""
        check = self._checks.pop(block, None)
        if check is None:
            whole = _Whole(block, _mute(block))
            if whole.mute:
                self._ask_again(whole)
        else:
            whole = check.whole
            whole.checks -= 1
            if check.found:
                _take_over(whole.block, check.hosts, block)
            else:
                self._look(whole, block)
        if not whole.checks:
            yield whole.block

    def rest(self) -> Iterator[Block]:
        """Give the blocks whose checks were not made, as the engine had to end: who was asked in them is pending."""
        for check in self._checks.values():
            _settle(check.whole.block, check.hosts, PENDING)
        yield from dict.fromkeys(check.whole.block for check in self._checks.values())
        self._checks.clear()

    def _look(self, whole: _Whole, check: Block) -> None:
        """See who of the mute answered, and decide on the others."""
        late = [host for host, code in zip(whole.mute, check.states, strict=True) if code in _ANSWERS]
        whole.mute = [host for host in whole.mute if host not in late]
        whole.law.look(whole.rounds, len(late), len(whole.block.hosts) - len(whole.mute))
        if late:
            self._put(whole, late, whole.block.ports, found=True)
        if check.left:
            _settle(whole.block, whole.mute, PENDING)
        elif whole.mute and whole.rounds < _MOST_ROUNDS and not whole.law.over(len(whole.mute)):
            self._ask_again(whole)
        elif whole.law.doubted:
            _settle(whole.block, whole.mute, _LOST)

    def _ask_again(self, whole: _Whole) -> None:
        whole.rounds += 1
        self._put(whole, whole.mute, (_best_known(whole.block),), found=False)

    def _put(self, whole: _Whole, hosts: list[int], ports: tuple[int, ...], *, found: bool) -> None:
        block = Block(tuple(whole.block.hosts[host] for host in hosts), ports, counts=False)
        whole.checks += 1
        self._checks[block] = _Check(whole, hosts, found)
        self._waiting.append(block)


def _mute(block: Block) -> list[int]:
    """Give the hosts that answered nothing, where somebody else did."""
    if block.left or not block.counts or not any(code in block.states for code in _ANSWERS):
        return []
    return [
        host for host, gate in enumerate(block.hosts) if gate.paced and not block.row(host).translate(None, _ABSENT)
    ]


def _best_known(block: Block) -> int:
    """Give the port that most hosts answered; a closed one costs one packet, and troubles no server."""
    columns = [block.states[place :: len(block.ports)] for place in range(len(block.ports))]
    counts = [tuple(column.count(code) for code in _ANSWERS) for column in columns]
    return block.ports[counts.index(max(counts))]


def _take_over(whole: Block, hosts: list[int], found: Block) -> None:
    count = len(whole.ports)
    for place, host in enumerate(hosts):
        row = found.row(place)
        whole.states[host * count : (host + 1) * count] = row
        whole.left += row.count(PENDING)
    for index, seconds in found.round_trips.items():
        place, port = divmod(index, count)
        whole.round_trips[hosts[place] * count + port] = seconds


def _settle(block: Block, hosts: list[int], code: int) -> None:
    count = len(block.ports)
    for host in hosts:
        block.states[host * count : (host + 1) * count] = bytes([code]) * count
        block.left += count if code == PENDING else 0
