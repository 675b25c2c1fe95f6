"""The spool does what the simplest model of it does, whatever is done to it in whatever order."""

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.spool.packing import Packed, pack, unpack
from agent.spool.rows import ROW_OVERHEAD
from agent.spool.sections import MIN_BYTES, Spool
from tests.agent.spool.spools import TEMPLATE
from tests.support.sections import section
from wire.codec import decode, decompress, encode
from wire.types import MAX_REPORT_BYTES, Report, RunStatus, SectionKind

STATE, MEASUREMENT = SectionKind.STATE, SectionKind.MEASUREMENT


class Machine(RuleBasedStateMachine):
    """The spool next to the simplest model of it: lists in memory."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name) / "spool.db"
        self.spool = self._open()
        self.number = 0
        self.free: dict[int, Packed] = {}
        self.aside: set[int] = set()
        self.sealed: dict[int, Packed] = {}
        self.batch: tuple[int, str, bytes] | None = None
        self.sequences: list[int] = []
        self.known: dict[str, str] = {}
        self.dropped = 0
        self.names: list[str] = []

    def _open(self) -> Spool:
        return Spool(self.path, MIN_BYTES, agent="agent-1", unit="640106", on_reset=self._fail)

    @staticmethod
    def _fail(why: str) -> None:
        raise AssertionError(why)

    @staticmethod
    def _size(packed: Packed) -> int:
        return len(encode(packed.section)) + len(packed.body) + ROW_OVERHEAD

    @staticmethod
    def _replaces(new: Packed, old: Packed) -> bool:
        good = (RunStatus.DONE, RunStatus.PARTIAL)
        return (
            new.section.name == old.section.name
            and new.section.kind is old.section.kind is STATE
            and (new.section.status in good or old.section.status not in good)
        )

    @rule(
        items=st.lists(
            st.tuples(
                st.sampled_from(["ports", "names", "vitals"]),
                st.sampled_from([True, True, False]),
                st.sampled_from([0, 0, 700_000]),
                st.integers(0, 1),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def add(self, items: list[tuple[str, bool, int, int]]) -> None:
        for name, good, filler, value in items:
            kind = STATE if name in ("ports", "names") else MEASUREMENT
            status = RunStatus.DONE if good else RunStatus.CRASHED
            self.number += 1
            said = value if kind is STATE else self.number  # a state repeats itself, a measurement never does
            self._add(pack(section(name, kind=kind, status=status, filler=filler, n=said)))

    def _add(self, packed: Packed) -> None:
        kept = self.spool.add(packed)
        everything = {**self.free, **self.sealed}
        room = MIN_BYTES - sum(map(self._size, everything.values()))
        while room < self._size(packed):
            victim = self._victim(packed)
            if victim is None:
                break
            room += self._size(self.free.pop(victim))
            self.aside.discard(victim)
            self.dropped += 1
        if room >= self._size(packed):
            assert kept
            self.free[self.number] = packed
        else:
            assert not kept
            self.dropped += 1

    def _victim(self, new: Packed) -> int | None:
        free = sorted(self.free)
        for group in (
            [number for number in free if number in self.aside],
            [number for number in free if self.free[number].section.kind is MEASUREMENT],
            [
                number
                for number in free
                if self._replaces(new, self.free[number])
                or any(
                    later > number and self._replaces(p, self.free[number])
                    for later, p in {**self.free, **self.sealed}.items()
                )
            ],
        ):
            if group:
                return group[0]
        return None

    @rule(most=st.sampled_from([256, 256, 2, 1, 0]))
    def seal(self, most: int) -> None:
        made = self.spool.seal(TEMPLATE, max_sections=most)
        payload = self.spool.payload(made.sequence)
        if self.batch is not None:
            assert self.batch == (made.sequence, made.batch, payload)
            return
        assert not self.sequences or made.sequence > self.sequences[-1]
        self.sequences.append(made.sequence)
        self.batch = (made.sequence, made.batch, payload)
        sent = decode(Report, decompress(payload))
        assert len(payload) <= MAX_REPORT_BYTES
        waiting = [number for number in sorted(self.free) if number not in self.aside]
        taken = waiting[: len(sent.sections)]
        assert len(taken) == made.sections <= most
        assert taken or not waiting or not most
        known = dict(self.known)
        for number, arrived in zip(taken, sent.sections, strict=True):
            packed = self.free.pop(number)
            self.sealed[number] = packed
            whole = unpack(packed)
            if arrived.body is None:
                assert packed.section.kind is STATE
                assert known.get(packed.section.name) == packed.section.digest
                assert arrived == packed.section
            else:
                assert arrived == whole
                known.pop(packed.section.name, None)

    @precondition(lambda self: self.batch)
    @rule()
    def acknowledge(self) -> None:
        assert self.batch
        self.spool.acknowledge(self.batch[0])
        for _, packed in sorted(self.sealed.items()):
            if packed.section.kind is STATE:
                self.known[packed.section.name] = packed.section.digest
        self.sealed, self.batch = {}, None

    @precondition(lambda self: self.batch)
    @rule(forget=st.sampled_from([(), ("ports",), None]))
    def release(self, forget: tuple[str, ...] | None) -> None:
        assert self.batch
        self.spool.release(self.batch[0], forget=forget)
        for name in self.known.copy() if forget is None else forget:
            self.known.pop(name, None)
        self.free |= self.sealed
        self.sealed, self.batch = {}, None

    @precondition(lambda self: self.batch)
    @rule()
    def set_aside(self) -> None:
        assert self.batch
        self.spool.set_aside(self.batch[0], "refused")
        self.free |= self.sealed
        self.aside |= set(self.sealed)
        self.sealed, self.batch = {}, None

    @rule()
    def reconsider(self) -> None:
        assert self.spool.reconsider() == len(self.aside)
        self.aside.clear()

    @rule()
    def open_again(self) -> None:
        self.spool.close()
        self.spool = self._open()

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "spool"):
            return
        counts = self.spool.counts()
        everything = {**self.free, **self.sealed}
        assert counts.bytes == sum(map(self._size, everything.values())) <= MIN_BYTES
        assert (counts.sections, counts.aside) == (len(everything) - len(self.aside), len(self.aside))
        assert counts.dropped == self.dropped
        # What SQLite needs around it stays in proportion: a page size of slack for each row, and a megabyte of journal.
        assert self.path.stat().st_size <= MIN_BYTES * 1.25 + (1 << 20)

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.temporary.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
