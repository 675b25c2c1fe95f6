"""Sections as rows of a spool: how one is written, and which others go when the cap leaves no room for it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from agent.spool.packing import Packed
from wire.codec import encode
from wire.types import RunStatus, SectionKind

ROW_OVERHEAD = 256
"""Bytes that a row counts beyond its contents."""
_GOOD = (RunStatus.DONE, RunStatus.PARTIAL)

# What may go when room is needed, in this order. The last: states that a newer one of the same task replaces, where a
# failed run never replaces a picture; the newcomer itself (:name, :state, :good) counts as a newer one.
_VICTIMS = (
    "SELECT id, size FROM section WHERE aside != '' ORDER BY id LIMIT 1",
    """SELECT id, size FROM section WHERE sequence IS NULL AND kind = 'measurement' AND name NOT LIKE '%#%'
       ORDER BY id LIMIT 1""",
    """SELECT id, size FROM section AS old WHERE sequence IS NULL AND kind = 'state' AND (
           (name = :name AND :state AND (:good OR NOT good))
           OR EXISTS (SELECT 1 FROM section AS new WHERE new.name = old.name AND new.kind = 'state'
                      AND new.id > old.id AND (new.good OR NOT old.good))
       ) ORDER BY id LIMIT 1""",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A section to be written, the bytes that it counts, and what is done in the same transaction."""

    packed: Packed
    head: bytes
    size: int
    then: Callable[[sqlite3.Connection], object] | None = None


def row_of(packed: Packed, then: Callable[[sqlite3.Connection], object] | None = None) -> Row:
    """Make the row of a section."""
    head = encode(packed.section)
    return Row(packed, head, len(head) + len(packed.body) + ROW_OVERHEAD, then)


def victim(db: sqlite3.Connection, newcomer: Row) -> tuple[int, int] | None:
    """Give the id and size of the row that goes first for a newcomer; None when nothing may go."""
    section = newcomer.packed.section
    about = {
        "name": section.name,
        "state": section.kind is SectionKind.STATE,
        "good": section.status in _GOOD,
    }
    for query in _VICTIMS:
        found: tuple[int, int] | None = db.execute(query, about if ":name" in query else ()).fetchone()
        if found is not None:
            return found
    return None


def write(db: sqlite3.Connection, row: Row) -> None:
    """Write a section, within a transaction of the caller, and do what goes with it."""
    section = row.packed.section
    db.execute(
        "INSERT INTO section (name, kind, digest, good, head, body, plain, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            # One row of its own for each order: nothing replaces it, and no digest stands for it.
            f"{section.name}#{section.order}" if section.order else section.name,
            section.kind.value,
            section.digest,
            section.status in _GOOD,
            row.head,
            row.packed.body,
            row.packed.plain,
            row.size,
        ),
    )
    if row.then is not None:
        row.then(db)


def note_run(db: sqlite3.Connection, packed: Packed) -> None:
    """Remember the last run of a task for `status`, whether its section was kept or not."""
    section = packed.section
    db.execute(
        "INSERT OR REPLACE INTO run (task, probe, status, reason, started, finished, observations)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            section.name,
            section.probe,
            section.status.value,
            section.reason,
            section.started,
            section.finished,
            packed.observations,
        ),
    )
