"""What was observed and not yet acknowledged, on disk: SQLite, one row per section, fsynced, capped in bytes.

A section is durable when `add` returns. Sections are sealed into one batch at a time; a sealed batch keeps its
sequence, its id and its bytes until it is acknowledged (its rows go) or refused (its rows become free again and travel
under a new sequence). When the cap is reached, these go, in this order: sections set aside, the oldest measurements,
states that a newer one of the same task replaces. The newest state of a task and a sealed batch are never dropped. All
drops are counted.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from agent.errors import SpoolError
from agent.spool import batches, file, rows
from agent.spool.packing import Packed
from wire.faults import why
from wire.text import Text
from wire.types import MAX_REPORT_BYTES, Report

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MIN_BYTES = 4 << 20
MAX_SECTIONS = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """A sealed batch: its key, how many sections it holds, and how many of them travel whole."""

    sequence: int
    batch: str
    sections: int
    whole: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What the spool holds: bytes against the cap, sections waiting, sections set aside, sections ever dropped."""

    bytes: int
    limit: int
    sections: int
    aside: int
    dropped: int


def _guarded(method: Callable[Concatenate["Spool", P], R]) -> Callable[Concatenate["Spool", P], R]:
    """Run a method under the lock; a corrupt file is replaced and the method tried once more on the new one."""

    def guarded(self: "Spool", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            try:
                return method(self, *args, **kwargs)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if isinstance(error, sqlite3.DatabaseError) and not file.is_corrupt(error):
                    raise SpoolError(self.path, why(error)) from error
            try:
                self._start_over()
                return method(self, *args, **kwargs)
            except sqlite3.Error as error:
                raise SpoolError(self.path, why(error)) from error

    return guarded


class Spool:
    """One spool file, held by one process; its methods may be called from several threads."""

    def __init__(self, path: Path, max_bytes: int, *, agent: str, unit: str, on_reset: Callable[[str], None]) -> None:
        """Open or make the file; `on_reset` is told why, when a file that cannot be used was moved aside.

        A spool that another agent identity filled is kept only if it is of the same unit: what it holds would
        otherwise be reported for the wrong school. Raises SpoolError.
        """
        self.path = path
        self.max_bytes = max_bytes
        self._owner = (agent, unit)
        self._on_reset = on_reset
        self._lock = threading.RLock()
        self._uncounted = 0
        try:
            self._open()
        except sqlite3.Error as error:
            raise SpoolError(path, why(error)) from error

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            self._db.close()

    @property
    def id(self) -> str:
        """Random name of this spool, part of the idempotency key."""
        return self._id

    @_guarded
    def counts(self) -> Counts:
        """Give the figures that metrics and `status` show."""
        waiting, aside = self._db.execute(
            "SELECT count(*) FILTER (WHERE aside = ''), count(*) FILTER (WHERE aside != '') FROM section"
        ).fetchone()
        return Counts(self._used, self.max_bytes, waiting, aside, self._dropped + self._uncounted)

    @_guarded
    def add(self, packed: Packed, then: Callable[[sqlite3.Connection], object] | None = None) -> bool:
        """Keep one section durably; returns False when the cap left no room for it (it is counted then).

        `then` is done in the same transaction, if the section is kept.
        """
        row = rows.row_of(packed, then)
        try:
            return self._insert(row)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                self._uncounted += 1
                raise
        # The disk is full below the cap: room can only come from what the spool itself may drop.
        try:
            return self._insert(row, spare=max(2 * row.size, self.max_bytes // 8))
        except sqlite3.OperationalError:
            self._uncounted += 1
            raise

    @_guarded
    def within(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do more in one durable transaction of this file: what must hold together with the sections."""
        with self._transaction():
            return work(self._db)

    @_guarded
    def seal(self, report: Report, *, max_sections: int = MAX_SECTIONS, max_bytes: int = MAX_REPORT_BYTES) -> Batch:
        """Give the sealed batch, or seal one from the oldest free sections (none at all makes a heartbeat).

        `report` says all but spool, sequence, batch, dropped and sections; a batch sealed earlier keeps its own header.
        `max_bytes` bounds the compressed size; one section always fits.
        """
        found = self._db.execute("SELECT sequence, batch FROM batch").fetchone()
        if found is None:
            envelope = replace(report, spool=self._id, dropped=self._dropped)
            with self._transaction():
                found = batches.seal(self._db, envelope, min(max_sections, MAX_SECTIONS), max_bytes)
        sections, whole = self._db.execute(
            "SELECT count(*), coalesce(sum(whole), 0) FROM section WHERE sequence = ?", (found[0],)
        ).fetchone()
        return Batch(found[0], found[1], sections, whole)

    @_guarded
    def payload(self, sequence: int) -> bytes:
        """Write a sealed batch as the gzip JSON of its Report; the same bytes each time.

        A body that the disk gave back damaged is dropped and counted; SpoolError then, and the next batch is made anew.
        """
        try:
            return batches.payload(self._db, sequence)
        except batches.DamagedBody as damage:
            self._discard(damage.section, sequence)
            raise SpoolError(
                self.path, Text("有一段已损坏，已丢弃并计数", "a damaged section was dropped and counted")
            ) from None

    @_guarded
    def acknowledge(self, sequence: int) -> None:
        """Forget a batch that the collector has committed, and remember the digests that it now knows."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO acknowledged (name, digest) SELECT name, digest FROM section AS s"
                " WHERE sequence = ? AND kind = 'state' AND name NOT LIKE '%#%'"
                " AND id = (SELECT max(id) FROM section WHERE sequence = s.sequence AND name = s.name)"
                " ON CONFLICT (name) DO UPDATE SET digest = excluded.digest",
                (sequence,),
            )
            freed = self._size("sequence = ?", sequence)
            self._db.execute("DELETE FROM section WHERE sequence = ?", (sequence,))
            self._db.execute("DELETE FROM batch WHERE sequence = ?", (sequence,))
        self._used -= freed
        with contextlib.suppress(sqlite3.OperationalError):  # a comfort; the batch is acknowledged
            self._db.executescript("PRAGMA incremental_vacuum")  # execute() would free one page only

    @_guarded
    def release(self, sequence: int, *, forget: tuple[str, ...] | None = ()) -> None:
        """Take a refused batch apart: its sections are free again and travel under a new sequence.

        `forget` names sections whose digest the collector does not know after all (None: all); they travel whole.
        """
        with self._transaction():
            batches.release(self._db, sequence)
            if forget is None:
                self._db.execute("DELETE FROM acknowledged")
            else:
                self._db.executemany("DELETE FROM acknowledged WHERE name = ?", [(name,) for name in forget])

    @_guarded
    def rename(self, sequence: int) -> str:
        """Take a new spool id, after a conflict showed that another spool reports under this one; gives the new id."""
        with self._transaction():
            batches.release(self._db, sequence)
            self._db.execute("DELETE FROM acknowledged")
            name = os.urandom(16).hex()
            self._set("spool", name)
        self._id = name
        return name

    @_guarded
    def set_aside(self, sequence: int, reason: str) -> tuple[str, ...]:
        """Keep what the collector will never take out of all later batches; gives the names of those sections."""
        with self._transaction():
            names = self._db.execute("SELECT name FROM section WHERE sequence = ? ORDER BY id", (sequence,)).fetchall()
            self._db.execute(
                "UPDATE section SET sequence = NULL, whole = NULL, aside = ? WHERE sequence = ?",
                (reason or "refused", sequence),
            )
            self._db.execute("DELETE FROM batch WHERE sequence = ?", (sequence,))
        return tuple(name for (name,) in names)

    @_guarded
    def reconsider(self) -> int:
        """Free the sections set aside, for another try with another release; gives how many there were."""
        with self._transaction():
            return self._db.execute("UPDATE section SET aside = '' WHERE aside != ''").rowcount

    @_guarded
    def note(self, /, **facts: str | float) -> None:
        """Keep facts about the uplink for `status`, durably."""
        with self._transaction():
            for key, value in facts.items():
                self._set(f"note.{key}", str(value))

    @_guarded
    def waiting(self) -> int:
        """Count the sections that the collector has not acknowledged, but for those set aside."""
        return int(self._db.execute("SELECT count(*) FROM section WHERE aside = ''").fetchone()[0])

    @_guarded
    def free_sections(self) -> int:
        """Count those of them that no batch holds yet."""
        query = "SELECT count(*) FROM section WHERE sequence IS NULL AND aside = ''"
        return int(self._db.execute(query).fetchone()[0])

    # ---- below: under the lock

    def _open(self) -> None:
        try:
            self._db = file.connect(self.path)
        except file.NotASpool as problem:
            self._set_file_aside(str(problem))
            self._db = file.connect(self.path)
        self._adopt()

    def _start_over(self) -> None:
        self._db.close()
        self._set_file_aside("the database is corrupt")
        self._db = file.connect(self.path)
        self._adopt()

    def _set_file_aside(self, why: str) -> None:
        kept = file.move_aside(self.path, "bad")
        self._on_reset(f"{why}; kept as {kept}, a new spool was begun")

    def _adopt(self) -> None:
        agent, unit = self._owner
        known = self._facts()
        if known.get("unit", unit) != unit and self._db.execute("SELECT 1 FROM section").fetchone():
            self._db.close()
            kept = file.move_aside(self.path, "other-unit")
            self._on_reset(f"it holds sections of unit {known['unit']}; kept as {kept}, a new spool was begun")
            self._db = file.connect(self.path)
            known = self._facts()
        with self._transaction():
            if known.get("agent") != agent or "spool" not in known:
                # Another identity: its key and the digests known under it are of no use to this one.
                self._db.execute("UPDATE section SET sequence = NULL, whole = NULL WHERE sequence IS NOT NULL")
                self._db.execute("DELETE FROM batch")
                self._db.execute("DELETE FROM acknowledged")
                self._set("spool", os.urandom(16).hex())
                self._set("agent", agent)
                self._set("unit", unit)
        known = self._facts()
        self._id = known["spool"]
        dropped = known.get("dropped", "")
        self._dropped = int(dropped) if dropped.isdecimal() else 0
        self._used = self._size("1")

    def _facts(self) -> Mapping[str, str]:
        return dict(self._db.execute("SELECT key, value FROM fact"))

    def _set(self, key: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO fact (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def _size(self, condition: str, *values: object) -> int:
        size: int = self._db.execute(
            f"SELECT coalesce(sum(size), 0) FROM section WHERE {condition}",  # noqa: S608 (our own words)
            values,
        ).fetchone()[0]
        return size

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def _insert(self, row: rows.Row, spare: int = 0) -> bool:
        """Make room for a row (and `spare` bytes, as far as anything may go) and write it."""
        freed, drops = 0, self._uncounted
        room = self.max_bytes - self._used
        with self._transaction():
            while room + freed < row.size or freed < spare:
                victim = rows.victim(self._db, row)
                if victim is None:
                    break
                self._db.execute("DELETE FROM section WHERE id = ?", (victim[0],))
                freed += victim[1]
                drops += 1
            kept = room + freed >= row.size
            if kept:
                rows.write(self._db, row)
            else:
                drops += 1
            if drops:
                self._set("dropped", str(self._dropped + drops))
            rows.note_run(self._db, row.packed)
        self._used += (row.size if kept else 0) - freed
        self._dropped += drops
        self._uncounted = 0
        return kept

    def _discard(self, row: int, sequence: int) -> None:
        size = self._size("id = ?", row)
        with self._transaction():
            self._db.execute("DELETE FROM section WHERE id = ?", (row,))
            self._set("dropped", str(self._dropped + 1))
            batches.release(self._db, sequence)
        self._used -= size
        self._dropped += 1
