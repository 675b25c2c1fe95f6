"""Batches inside the spool: which sections one takes, which of them travel whole, and the bytes that are sent."""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import replace

from agent.spool.packing import ENVELOPE
from wire.codec import GZIP_WINDOW, encode
from wire.types import MAX_PLAIN_BYTES, Report, SectionKind

_PIECE = 1 << 16
_SECTIONS = b',"sections":'


class DamagedBody(Exception):
    """The disk gave back another body than was written; `section` is the id of its row."""

    def __init__(self, section: int) -> None:
        super().__init__(f"section {section}")
        self.section = section


def seal(db: sqlite3.Connection, report: Report, max_sections: int, max_bytes: int) -> tuple[int, str]:
    """Make a batch of the oldest free sections, within a transaction of the caller; gives its sequence and id."""
    batch = os.urandom(16).hex()
    cursor = db.execute("INSERT INTO batch (batch, header) VALUES (?, X'')", (batch,))
    sequence = cursor.lastrowid
    assert sequence is not None  # noqa: S101 (an INSERT always has one)
    # The sections are written behind the rest, one by one (see payload), so their empty list must go.
    whole_header = encode(replace(report, sequence=sequence, batch=batch, sections=()))
    header = whole_header.replace(_SECTIONS + b"[]", b"", 1)
    db.execute("UPDATE batch SET header = ? WHERE sequence = ?", (header, sequence))
    known: dict[str, str] = dict(db.execute("SELECT name, digest FROM acknowledged"))
    packed, plain = len(header), ENVELOPE
    rows = db.execute(
        "SELECT id, name, kind, digest, length(head), length(body), plain FROM section"
        " WHERE sequence IS NULL AND aside = '' ORDER BY id LIMIT ?",
        (max_sections,),
    ).fetchall()
    for number, (row, name, kind, digest, head_size, body_size, plain_size) in enumerate(rows):
        whole = kind != SectionKind.STATE or known.get(name) != digest
        packed += head_size + (body_size if whole else 0)
        plain += head_size + (plain_size if whole else 0)
        if number and (packed > max_bytes or plain > MAX_PLAIN_BYTES):
            break
        db.execute("UPDATE section SET sequence = ?, whole = ? WHERE id = ?", (sequence, whole, row))
        if kind == SectionKind.STATE and whole:
            # Not acknowledged yet, so the next one of this name in this batch must travel whole as well.
            known.pop(name, None)
    return sequence, batch


def release(db: sqlite3.Connection, sequence: int) -> None:
    """Take a batch apart, within a transaction of the caller; its sequence is never used again."""
    db.execute("UPDATE section SET sequence = NULL, whole = NULL WHERE sequence = ?", (sequence,))
    db.execute("DELETE FROM batch WHERE sequence = ?", (sequence,))


def payload(db: sqlite3.Connection, sequence: int) -> bytes:
    """Write a batch as the gzip JSON of its Report, piece by piece; raises DamagedBody."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_WINDOW)
    found = db.execute("SELECT header FROM batch WHERE sequence = ?", (sequence,)).fetchone()
    if found is None:
        raise sqlite3.IntegrityError(f"batch {sequence} is gone")  # with the file in which it was
    (header,) = found
    parts = [packer.compress(header[:-1] + _SECTIONS + b"[")]
    rows = db.execute("SELECT id, head, body, whole FROM section WHERE sequence = ? ORDER BY id", (sequence,))
    for number, (row, head, body, whole) in enumerate(rows):
        parts.append(packer.compress(b"," if number else b""))
        if not whole:
            parts.append(packer.compress(head))
            continue
        parts.append(packer.compress(head[:-1] + b',"body":'))
        try:
            parts.extend(packer.compress(piece) for piece in _inflated(body))
        except zlib.error:
            raise DamagedBody(row) from None
        parts.append(packer.compress(b"}"))
    parts.append(packer.compress(b"]}"))
    parts.append(packer.flush())
    return b"".join(parts)


def _inflated(body: bytes) -> Iterator[bytes]:
    """Decompress piece by piece: a body may be ten times the daemon's own size."""
    unpacker = zlib.decompressobj()
    while piece := unpacker.decompress(body, _PIECE):
        yield piece
        body = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise zlib.error("cut short")
