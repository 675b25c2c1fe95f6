"""The file of a spool: how it is opened, checked, and moved aside when it cannot be used."""

import os
import sqlite3
from pathlib import Path

APPLICATION_ID = 0x45445350  # "EDSP"
VERSION = 1

_SCHEMA = """
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE batch (sequence INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL, header BLOB NOT NULL) STRICT;
CREATE TABLE section (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    good INTEGER NOT NULL,
    plain INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sequence INTEGER REFERENCES batch,
    whole INTEGER,
    aside TEXT NOT NULL DEFAULT '',
    head BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX section_sequence ON section (sequence, aside, kind);
CREATE INDEX section_name ON section (name, kind);
CREATE TABLE acknowledged (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE run (
    task TEXT PRIMARY KEY,
    probe TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    started REAL NOT NULL,
    finished REAL NOT NULL,
    observations INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""

# Beside the schema of version 1, which earlier releases read as well: they leave this table alone.
_ORDERS = """
CREATE TABLE IF NOT EXISTS scan_order (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, until REAL NOT NULL, message BLOB NOT NULL
) WITHOUT ROWID, STRICT;
"""

_COMPANIONS = ("", "-wal", "-shm")


class NotASpool(Exception):
    """The file is corrupt, or another program's, or of a later release; its text says which."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a spool or make an empty one; raises NotASpool when the file cannot be used, sqlite3.Error when none can."""
    # SQLite would make the file readable for all.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False, cached_statements=64)
    # Text that the disk gave back damaged is for the checks behind this to find, never a reason to stop.
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        _prepare(db)
    except NotASpool:
        db.close()
        raise
    except UnicodeDecodeError:
        # Python raises this in place of SQLite's error when that names a part of the file that is no text any more.
        db.close()
        raise NotASpool("the database is corrupt") from None
    except sqlite3.DatabaseError as error:
        db.close()
        if is_corrupt(error):
            raise NotASpool(str(error)) from None
        raise
    return db


def is_corrupt(error: sqlite3.DatabaseError) -> bool:
    """Tell whether SQLite finds the file itself damaged, or its schema such that our statements do not fit it.

    As we opened the file for writing, it is its header, in a version that nobody wrote, that makes SQLite only read it.
    """
    code = getattr(error, "sqlite_errorcode", 0)
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return code == sqlite3.SQLITE_READONLY or code & 0xFF in damaged


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a spool for reading, whether its agent runs or not; makes no file. Raises sqlite3.Error."""
    # Without a journal nobody has it open, and SQLite would make one, perhaps as root in the folder of another user.
    manner = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{manner}", uri=True, timeout=10, isolation_level=None)


def move_aside(path: Path, suffix: str) -> Path:
    """Rename a spool and its journal; only the latest of each suffix is kept, so that they cannot fill the disk."""
    kept = path.with_name(f"{path.name}.{suffix}")
    for companion in _COMPANIONS:
        old, new = Path(f"{path}{companion}"), Path(f"{kept}{companion}")
        new.unlink(missing_ok=True)
        if old.exists():
            old.rename(new)
    return kept


def _prepare(db: sqlite3.Connection) -> None:
    (found,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and found != APPLICATION_ID:
        raise NotASpool("the file is a database of another program")
    if tables and version != VERSION:
        raise NotASpool(f"the file has version {version}, this release reads {VERSION}")
    if not tables:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -512")  # 512 KiB: the daemon stays small
    db.execute("PRAGMA wal_autocheckpoint = 256")
    db.execute("PRAGMA journal_size_limit = 1048576")
    if tables:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise NotASpool(f"the database is corrupt: {verdict}")
        db.execute(_ORDERS)
        return
    # One transaction: a kill in the middle leaves an empty file, not half a schema.
    db.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} {_ORDERS} PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {VERSION}; COMMIT;"
    )
