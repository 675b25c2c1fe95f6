"""A spool is never beaten by a bad file: damage, a full disk, another program, another identity, a kill."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import SpoolError
from agent.spool.packing import pack
from tests.agent.spool.spools import TEMPLATE, deliver, report, spool
from tests.support.processes import Processes
from tests.support.sections import section
from wire.errors import WireError
from wire.types import SectionKind

MEASUREMENT = SectionKind.MEASUREMENT


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


def test_a_column_whose_name_was_damaged_begins_a_new_spool(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section()))
    raw = place.read_bytes()
    assert raw.count(b"whole INTEGER") == 1
    place.write_bytes(raw.replace(b"whole INTEGER", b"wAole INTEGER"))
    said: list[str] = []
    with spool(place, said=said) as opened:
        opened.acknowledge(opened.seal(TEMPLATE, max_sections=9).sequence)  # the first statement that names it
        assert opened.add(pack(section("after")))
        found = report(opened, opened.seal(TEMPLATE, max_sections=9).sequence)
    assert [item.name for item in found.sections] == ["after"]
    assert len(said) == 1


def test_a_header_that_forbids_writing_begins_a_new_spool(place: Path) -> None:
    with spool(place) as opened:
        opened.add(pack(section()))
    raw = bytearray(place.read_bytes())
    raw[18] = 3  # the file format's write version: SQLite knows 1 and 2, and only reads what is later
    place.write_bytes(raw)
    said: list[str] = []
    with spool(place, said=said) as opened:
        assert opened.add(pack(section("after")))
        found = report(opened, opened.seal(TEMPLATE, max_sections=9).sequence)
    assert [item.name for item in found.sections] == ["after"]
    assert len(said) == 1


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
        "from agent.spool.packing import pack; from agent.spool.sections import Spool\n"
        "from tests.support.sections import section\n"
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
