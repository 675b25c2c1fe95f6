"""Which engine scans TCP ports: raw SYNs where this process may send them and they pay, else complete handshakes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from probes.kit.connect.mute_hosts import MuteHosts
from probes.kit.connect.signs_of_life import SignsOfLife
from probes.kit.connect.sweep import Sweep
from probes.kit.errors import CannotRun
from probes.kit.ports.blocks import Block
from probes.kit.raw.helper import client
from probes.kit.raw.syn.blocks import SynSweep
from probes.kit.reasons import because
from probes.kit.sending.net import Net

AUTO, SYN, CONNECT = "auto", "syn", "connect"
ENGINES = (AUTO, SYN, CONNECT)
PAYS = 100
"""Pairs from which on the SYN engine is worth a tenth of a second for its sockets: handshakes with hosts that keep
silent take a second each, and few are under way at one host.
"""


@dataclass(frozen=True, slots=True)
class Caps:
    """What narrows the Net: as the options of the same names."""

    timeout: float
    retries: int
    rate: float
    host_rate: float
    connections: int
    per_host: int


def choose(wanted: str, pairs: int) -> tuple[str, str]:
    """Give SYN or CONNECT for so many pairs, and why it is not SYN where that would have been taken.

    Raises CannotRun when SYN was asked for by name and cannot be had.
    """
    if wanted == CONNECT or (wanted == AUTO and pairs < PAYS):
        return CONNECT, ""
    why = client.why_not()
    if why is None:
        return SYN, ""
    if wanted == SYN:
        raise CannotRun(why)
    return CONNECT, why


class Engine:
    """One scan with the engine that was asked for, or with the one that can be had.

    `method` is the engine that runs just now and `why` the reason when it is not the one that was to run; both change
    when the SYN engine fails on its way and the connect engine takes over. `done`, `sending`, `lost` and `stopped` are
    those of the engines.
    """

    def __init__(self, net: Net, caps: Caps, wanted: str, pairs: int) -> None:
        """Choose; see `choose`. Nothing is started yet."""
        self.method, self.why = choose(wanted, pairs)
        self.stopped = ""
        self._net = net
        self._caps = caps
        self._wanted = wanted
        self._before = 0
        self._sweep: Sweep | SynSweep = self._syn() if self.method == SYN else self._connect()

    @property
    def done(self) -> int:
        """Pairs that are settled."""
        return self._before + self._sweep.done

    @property
    def begun(self) -> Sequence[Block]:
        """The blocks under way; what was found so far stands in them."""
        return self._sweep.begun

    @property
    def sending(self) -> float:
        """SYNs or connections a second just now."""
        return self._sweep.sending

    @property
    def lost(self) -> float:
        """Share (0-1) of the questions to what does answer that went unanswered."""
        return self._sweep.lost

    @property
    def unfinished(self) -> str:
        """Why pairs of a block that was given are still pending."""
        if self.stopped:
            return self.stopped
        if self._sweep.stopped is not None:
            return self._sweep.stopped.skipped.reason
        return because("deadline")

    def run(self, blocks: Iterable[Block], deadline: float) -> Iterator[Block | None]:
        """Yield each block when all of it is settled, and None now and then as a sign of life.

        What was begun or taken when the run ends early is yielded with states still pending; later blocks are not
        taken. Raises CannotRun when only the SYN engine would do and it cannot even begin.
        """
        if self.method == SYN:
            source = iter(blocks)
            taken: list[Block] = []
            try:
                yield from self._run_syn(source, taken, deadline)
                return
            except CannotRun as failure:
                if self._wanted == SYN:
                    if not self._sweep.done:
                        raise
                    self.stopped = str(failure)
                    yield from taken
                    return
                self.why = str(failure)
            # What the helper had not handed over is asked again from the start.
            blocks = chain([Block(block.hosts, block.ports) for block in taken], source)
            self.method, self._before, self._sweep = CONNECT, self._sweep.done, self._connect()
        if not self._caps.retries:  # whoever asks nothing twice wants no second look either
            yield from self._sweep.run(blocks, deadline)
            return
        signs = SignsOfLife(blocks)
        mute = MuteHosts(signs)
        for block in self._sweep.run(mute, deadline):
            if block is None:
                yield None
                continue
            for settled in mute.sift(block):
                yield from signs.sift(settled)
        yield from mute.rest()
        yield from signs.rest()

    def _run_syn(self, source: Iterator[Block], taken: list[Block], deadline: float) -> Iterator[Block | None]:
        def take() -> Iterator[Block]:
            for block in source:
                taken.append(block)
                yield block

        for block in self._sweep.run(take(), deadline):
            if block is not None:
                taken.remove(block)
            yield block
        # The engine looks one block ahead.
        yield from taken

    def _syn(self) -> SynSweep:
        caps = self._caps
        return SynSweep(self._net, timeout=caps.timeout, retries=caps.retries, host_rate=caps.host_rate, rate=caps.rate)

    def _connect(self) -> Sweep:
        caps = self._caps
        return Sweep(
            self._net,
            timeout=caps.timeout,
            retries=caps.retries,
            connections=caps.connections,
            per_host=caps.per_host,
            rate=caps.rate,
        )
