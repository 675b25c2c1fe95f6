"""Handshakes that a host had answered, tried once more before its silence is believed.

A host that bans whoever scans it, or a path that fails, leaves the last ports silent. That is no filter, so after each
block every host that answered some of it and not the rest gets a few of the answered ports again.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from probes.kit.ports.blocks import CODE_OF, PENDING, Block
from probes.kit.sending.outcomes import Settled

_SIGNS = 3
_ANSWERS = (CODE_OF[Settled.CLOSED], CODE_OF[Settled.OPEN])
_SILENT, _LOST = CODE_OF[Settled.TIMEOUT], CODE_OF[Settled.LOST]


class SignsOfLife:
    """Blocks for an engine to take, and more that `sift` puts in, which each block that comes back has to pass."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        """Nothing is taken from `blocks` before the engine asks."""
        self._source = iter(blocks)
        self._checks: deque[Block] = deque()
        self._about: dict[Block, tuple[Block, int]] = {}
        self._open: dict[Block, int] = {}

    def __iter__(self) -> Iterator[Block]:
        """Give itself; it may have more to give after its end, once a block was sifted."""
        return self

    def __next__(self) -> Block:
        """Give a check that waits, or else the next block."""
        return self._checks.popleft() if self._checks else next(self._source)

    def sift(self, block: Block) -> Iterator[Block]:
        """Take a block from the engine; give what is settled by it: itself, or the block that it was a check of."""
        about = self._about.pop(block, None)
        if about is None:
            checks = [] if block.left else list(_checks(block))
            if not checks:
                yield block
                return
            self._open[block] = len(checks)
            for host, check in checks:
                self._about[check] = block, host
                self._checks.append(check)
            return
        whole, host = about
        if not any(code in block.states for code in _ANSWERS):
            _doubt(whole, host, PENDING if block.left else _LOST)
        self._open[whole] -= 1
        if not self._open[whole]:
            del self._open[whole]
            yield whole

    def rest(self) -> Iterator[Block]:
        """Give the blocks whose checks were not made, as the engine had to end: what is silent there is pending."""
        for whole, host in self._about.values():
            _doubt(whole, host, PENDING)
        yield from self._open
        self._about.clear()
        self._open.clear()


def _checks(block: Block) -> Iterator[tuple[int, Block]]:
    for host, gate in enumerate(block.hosts):
        row = block.row(host)
        if gate.paced and _SILENT in row:
            # Closed ones first: they cost one packet, and trouble no server.
            known = [port for answer in _ANSWERS for port, code in zip(block.ports, row, strict=True) if code == answer]
            if known:
                yield host, Block((gate,), tuple(known[:_SIGNS]), counts=False)


def _doubt(block: Block, host: int, code: int) -> None:
    count = len(block.ports)
    row = block.row(host)
    block.states[host * count : (host + 1) * count] = row.replace(bytes([_SILENT]), bytes([code]))
    block.left += row.count(_SILENT) if code == PENDING else 0
