"""The spool: durable when `add` returns, capped, never losing what it must keep, and never beaten by a bad file."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.errors import SpoolError
from agent.packing import Packed, pack, unpack
from agent.spool import MAX_SECTIONS, MIN_BYTES, ROW_OVERHEAD, Spool
from tests.support.processes import Processes
from tests.support.sections import section
from wire.codec import decode, decompress, encode
from wire.errors import WireError
from wire.types import MAX_REPORT_BYTES, Body, Coverage, Report, RunStatus, ScopeEntry, SectionKind

STATE, MEASUREMENT = SectionKind.STATE, SectionKind.MEASUREMENT
TEMPLATE = Report("agent-1", "", 1, "", 1_800_000_000.0, "edusec/test", ())


@contextmanager
def spool(
    path: Path,
    max_bytes: int = MIN_BYTES,
    *,
    agent: str = "agent-1",
    unit: str = "640106",
    said: list[str] | None = None,
) -> Iterator[Spool]:
    opened = Spool(path, max_bytes, agent=agent, unit=unit, on_reset=(said if said is not None else []).append)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def report(opened: Spool, sequence: int) -> Report:
    return decode(Report, decompress(opened.payload(sequence)))


def deliver(opened: Spool) -> Report:
    batch = opened.seal(TEMPLATE)
    sent = report(opened, batch.sequence)
    opened.acknowledge(batch.sequence)
    return sent


def test_a_section_survives_a_new_start(place: Path) -> None:
    made = section(text="kept \u4e2d\u6587")
    with spool(place) as opened:
        assert opened.add(pack(made))
        name = opened.id
    with spool(place) as opened:
        assert opened.id == name
        sent = deliver(opened)
        assert sent.sections == (made,)
        assert (sent.spool, sent.sequence, sent.agent) == (name, 1, "agent-1")
        assert opened.counts().sections == 0


def test_a_sealed_batch_keeps_its_bytes(place: Path) -> None:
    entry = ScopeEntry("10.0.0.0/8", "someone", "a test", None)
    with spool(place) as opened:
        opened.add(pack(section("a")))
        first = opened.seal(replace(TEMPLATE, scope=(entry,), policy="p1"))
        payload = opened.payload(first.sequence)
        opened.add(pack(section("b")))
    with spool(place) as opened:
        again = opened.seal(replace(TEMPLATE, created=1_600_000_000.0))
        assert again == first
        assert opened.payload(again.sequence) == payload
        assert report(opened, again.sequence).scope == (entry,)
        opened.acknowledge(again.sequence)
        second = opened.seal(TEMPLATE)
        assert second.sequence == first.sequence + 1
        assert second.batch != first.batch


def test_a_heartbeat_is_a_batch_without_sections(place: Path) -> None:
    with spool(place) as opened:
        assert deliver(opened).sections == ()
        assert deliver(opened).sequence == 2


def test_an_unchanged_state_travels_as_its_digest(place: Path) -> None:
    made = section("ports", port=22)
    later = section("ports", port=22, time=1_800_000_300.0)
    with spool(place) as opened:
        opened.add(pack(made))
        assert deliver(opened).sections == (made,)
        opened.add(pack(later))
        assert deliver(opened).sections == (replace(later, body=None),)
        changed = section("ports", port=23)
        opened.add(pack(changed))
        opened.add(pack(later))
        # The collector knows `changed` last by then, so the older digest does not stand for anything any more.
        assert deliver(opened).sections == (changed, later)
        opened.add(pack(later))
        assert deliver(opened).sections == (replace(later, body=None),)


def test_the_first_two_of_a_batch_both_travel_whole(place: Path) -> None:
    one, two = section("ports"), section("ports", time=1_800_000_300.0)
    with spool(place) as opened:
        opened.add(pack(one))
        opened.add(pack(two))
        assert deliver(opened).sections == (one, two)


def test_a_measurement_always_travels_whole(place: Path) -> None:
    made = section("vitals", kind=MEASUREMENT)
    with spool(place) as opened:
        for _ in range(3):
            opened.add(pack(made))
            assert deliver(opened).sections == (made,)


def test_an_unknown_digest_travels_whole_under_a_new_key(place: Path) -> None:
    made = section("ports")
    with spool(place) as opened:
        for name in ("ports", "names"):
            opened.add(pack(section(name)))
        deliver(opened)
        for name in ("ports", "names"):
            opened.add(pack(section(name)))
        batch = opened.seal(TEMPLATE)
        assert (batch.sections, batch.whole) == (2, 0)
        opened.release(batch.sequence, forget=("ports",))
        second = opened.seal(TEMPLATE)
        assert second.sequence > batch.sequence
        assert report(opened, second.sequence).sections == (made, replace(section("names"), body=None))
        opened.release(second.sequence, forget=None)
        assert opened.seal(TEMPLATE).whole == 2


def test_a_conflict_gives_the_spool_another_name(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section()))
        batch = opened.seal(TEMPLATE)
        old = opened.id
        new = opened.rename(batch.sequence)
        assert new != old
        assert report(opened, opened.seal(TEMPLATE).sequence).spool == new
    with spool(place) as opened:
        assert opened.id == new


def test_what_is_set_aside_is_kept_and_counted_until_reconsidered(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section("poison")))
        assert opened.set_aside(opened.seal(TEMPLATE).sequence, "bad_request: no") == ("poison",)
        assert (opened.counts().aside, opened.counts().sections) == (1, 0)
        assert deliver(opened).sections == ()
    with spool(place) as opened:
        assert opened.reconsider() == 1
        assert [item.name for item in deliver(opened).sections] == ["poison"]


def test_a_batch_stays_within_its_bounds(place: Path) -> None:
    with spool(place, 64 << 20) as opened:
        for number in range(40):
            opened.add(pack(section(f"t{number}", filler=60_000)))
        sizes = []
        while opened.free_sections():
            batch = opened.seal(TEMPLATE)
            sizes.append(len(opened.payload(batch.sequence)))
            opened.acknowledge(batch.sequence)
        assert len(sizes) > 1
        assert max(sizes) <= MAX_REPORT_BYTES
        for number in range(300):
            opened.add(pack(section(f"t{number}")))
        assert opened.seal(TEMPLATE, max_sections=1000).sections == MAX_SECTIONS


def test_one_section_always_fits(place: Path) -> None:
    with spool(place, 64 << 20) as opened:
        opened.add(pack(section(filler=100_000)))
        assert opened.seal(TEMPLATE, max_sections=1, max_bytes=10).sections == 1


def test_a_section_that_no_report_can_carry_is_cut_and_says_so() -> None:
    bodies = [section(filler=20_000 + number).body for number in range(61)]
    huge = replace(
        section(), body=Body(tuple(one.observations[0] for one in bodies if one), (Coverage(("::1/128",), 6),))
    )
    packed = pack(huge)
    cut = unpack(packed)
    assert cut.status is RunStatus.PARTIAL
    assert cut.body is not None
    assert cut.body.coverage == ()
    assert cut.body.skipped[0].what.endswith("of 61 observations")
    assert 0 < len(cut.body.observations) < 61
    assert packed.observations == len(cut.body.observations)
    assert len(packed.body) < MAX_REPORT_BYTES


def test_the_oldest_measurement_goes_first(place: Path) -> None:
    with spool(place) as opened:
        first = pack(section("vitals", kind=MEASUREMENT, filler=600_000, n=0))
        fits = MIN_BYTES // (len(first.body) + 1000)
        opened.add(pack(section("ports")))
        for number in range(fits + 3):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000, n=number)))
        dropped = opened.counts().dropped
        assert dropped >= 3
        kept = []
        while opened.free_sections():
            kept += deliver(opened).sections
        assert kept[0].name == "ports"
        assert [item.body.observations[0].values["n"] for item in kept[1:] if item.body] == list(
            range(dropped, fits + 3)
        )


def test_drops_are_counted_for_good_and_reported(place: Path) -> None:
    with spool(place) as opened:
        for _ in range(12):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000)))
        dropped = opened.counts().dropped
        assert dropped > 0
        assert deliver(opened).dropped == dropped
    with spool(place) as opened:
        assert opened.counts().dropped == dropped


def test_a_failed_run_never_replaces_a_picture(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section("ports", filler=700_000)))
        opened.add(pack(section("ports", status=RunStatus.CRASHED)))
        for _ in range(10):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=600_000)))
        names = [item.status for _ in range(20) for item in deliver(opened).sections if item.name == "ports"]
        assert names == [RunStatus.DONE, RunStatus.CRASHED]


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\0" + bytes(5000), b"x" * 1000])
def test_a_file_that_is_no_spool_is_moved_aside(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    said: list[str] = []
    with spool(place, said=said) as opened:
        assert opened.add(pack(section()))
        assert len(deliver(opened).sections) == 1
    assert len(said) == 1
    assert "a new spool was begun" in said[0]
    assert place.with_name("spool.db.bad").read_bytes() == content


@pytest.mark.parametrize("statement", ["CREATE TABLE other (x)", "PRAGMA user_version = 99"])
def test_a_database_of_another_program_or_release_is_moved_aside(place: Path, statement: str) -> None:
    if "PRAGMA" in statement:
        with spool(place):
            pass
    with sqlite3.connect(place) as db:
        db.execute(statement)
    db.close()
    said: list[str] = []
    with spool(place, said=said) as opened:
        assert opened.add(pack(section()))
    assert len(said) == 1


@given(st.data())
@settings(max_examples=40)
def test_no_damage_to_the_file_beats_it(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "spool.db"
    with spool(path) as opened:
        for number in range(20):
            opened.add(pack(section(f"t{number}", filler=3_000)))
        opened.seal(TEMPLATE, max_sections=3)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=200))
        raw[start : start + len(junk)] = junk
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    path.write_bytes(raw)
    said: list[str] = []
    with spool(path, said=said) as opened:
        assert opened.add(pack(section("after")))
        before = len(said)
        names = []
        while opened.free_sections():
            batch = opened.seal(TEMPLATE, max_sections=1)
            try:
                names += [item.name for item in report(opened, batch.sequence).sections]
            except SpoolError:
                continue  # a damaged body is gone; what comes after it still travels
            except WireError:
                opened.set_aside(batch.sequence, "bad_request")  # as the uplink does when the collector refuses it
                continue
            opened.acknowledge(batch.sequence)
        # Damage that shows only later costs what came before it: the file is kept aside then, and that is said.
        assert "after" in names or len(said) > before


def test_damage_found_at_work_begins_a_new_spool(place: Path) -> None:
    said: list[str] = []
    with spool(place, said=said) as opened:
        for number in range(200):
            opened.add(pack(section(f"t{number}", filler=5_000)))
        before = opened.id
        with place.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(place.stat().st_size - 4096))
        # The journal is dropped too, so that every page comes from the damaged file.
        other = sqlite3.connect(place, isolation_level=None)
        try:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError:
            pass
        finally:
            other.close()
        for number in range(50):
            opened.add(pack(section(f"n{number}", filler=50_000)))
            opened.seal(TEMPLATE)
        assert len(said) == 1
        assert opened.id != before
        assert opened.counts().sections > 0


def test_a_full_disk_costs_the_oldest_and_is_said(place: Path) -> None:
    with spool(place, 64 << 20) as opened:
        for number in range(5):
            opened.add(pack(section("vitals", kind=MEASUREMENT, filler=300_000, n=number)))
        # SQLite itself says "full" at this bound, as it does when the file system has no room.
        pages = opened._db.execute("PRAGMA page_count").fetchone()[0]
        opened._db.execute(f"PRAGMA max_page_count = {pages + 5}")
        assert opened.add(pack(section("vitals", kind=MEASUREMENT, filler=300_000, n=5)))
        assert opened.counts().dropped > 0
        while opened.free_sections():
            deliver(opened)
        opened._db.execute("PRAGMA max_page_count = 1")  # SQLite takes it for "no more than there are now"
        with pytest.raises(SpoolError, match="full"):
            opened.add(pack(section("large", filler=600_000)))
        opened._db.execute("PRAGMA max_page_count = 100000")
        before = opened.counts().dropped
        assert opened.add(pack(section("after")))
        assert opened.counts().dropped == before
        assert deliver(opened).dropped == before


def test_a_folder_that_takes_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((SpoolError, OSError)), spool(tmp_path / "missing" / "spool.db"):
        pass


def test_another_identity_of_the_same_unit_keeps_the_sections(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section("a")))
        deliver(opened)
        opened.add(pack(section("a")))
        opened.seal(TEMPLATE)
        before = opened.id
    with spool(place, agent="agent-2") as opened:
        assert opened.id != before
        assert report(opened, opened.seal(TEMPLATE).sequence).sections == (section("a"),)


def test_another_unit_never_gets_these_sections(place: Path) -> None:
    said: list[str] = []
    with spool(place) as opened:
        opened.add(pack(section("a")))
    with spool(place, agent="agent-2", unit="640107", said=said) as opened:
        assert deliver(opened).sections == ()
    assert "640106" in said[0]
    with spool(place.with_name("spool.db.other-unit")) as opened:
        assert deliver(opened).sections == (section("a"),)


def test_a_kill_in_the_middle_of_writing_loses_nothing_said_durable(place: Path, process: Processes) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.spool import Spool; from agent.packing import pack; from tests.support.sections import section\n"
        "from wire.types import SectionKind\n"
        "s = Spool(Path(sys.argv[1]), 64 << 20, agent='agent-1', unit='640106', on_reset=print)\n"
        "n = int(sys.argv[2])\n"
        "while True:\n"
        "    s.add(pack(section('vitals', kind=SectionKind.MEASUREMENT, n=n))); print(n, flush=True); n += 1\n"
    )
    said = 0
    for _ in range(5):
        writer = process([sys.executable, "-c", code, str(place), str(said)], ready=r"\d+\n", cwd=Path.cwd())
        while len(writer.stdout.split("\n")) < 20:
            pass
        writer.kill()
        lines = writer.stdout.rpartition("\n")[0].split("\n")
        said = int(lines[-1]) + 1
    found: set[object] = set()
    with spool(place, 64 << 20) as opened:
        while opened.free_sections():
            found |= {item.body.observations[0].values["n"] for item in deliver(opened).sections if item.body}
    assert set(range(said)) <= found


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
