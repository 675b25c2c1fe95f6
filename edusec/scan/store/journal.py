"""What an unfinished scan has so far, in the local file: one row per batch, each durable before the next one begins.

Of the batch at hand there are rows of what it has told so far, some seconds apart. Whatever ends the scan (Ctrl-C, a
signal, kill -9, a power cut), that is kept, and `--resume` does the rest. A finished scan leaves nothing here.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import make_private, require_own
from edusec.scan.store.checked import undamaged
from wire.codec import decode, encode
from wire.errors import WireError
from wire.faults import why
from wire.text import within
from wire.types import Section

KEEP = 20
"""Unfinished scans that are kept; older ones go."""
_BUSY_SECONDS = 10
_MAX_SECTION = 64 << 20
_TABLES = """
create table if not exists unfinished (
    id text primary key, started text, asked text, process text
) strict;
create table if not exists unfinished_sections (
    scan text, number integer, section text, primary key (scan, number)
) strict;
"""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A scan that has not come to its end: what was asked (plain JSON), and whether it is still under way."""

    id: str
    started: str
    asked: dict[str, Any]
    running: bool


class Journal:
    """The journal of one scan; without a file that can be written it keeps nothing, and `fault` says why."""

    def __init__(self, file: Path, identifier: str, started: str, asked: dict[str, Any]) -> None:
        """Begin, or go on with, the journal of a scan."""
        self._file, self._id, self.fault = file, identifier, ""
        self._whole = 0
        try:
            make_private(file)
            with _open(file) as database:
                database.executescript(_TABLES)
                database.execute(
                    "insert into unfinished values (?, ?, ?, ?) "
                    "on conflict (id) do update set process = excluded.process",
                    (identifier, started, json.dumps(asked, ensure_ascii=False), _this_process()),
                )
                old = "select id from unfinished order by started desc, rowid desc limit -1 offset ?"
                database.execute(f"delete from unfinished_sections where scan in ({old})", (KEEP,))  # noqa: S608
                database.execute(f"delete from unfinished where id in ({old})", (KEEP,))  # noqa: S608
                self._whole = self._rows(database)
        except (OSError, sqlite3.Error) as error:
            self._failed(error)

    def keep(self, section: Section, *, so_far: bool = False) -> None:
        """Make what a batch brought durable, in the place of what it told `so_far`; or a further piece of that."""
        if self.fault:
            return
        try:
            with _open(self._file) as database:
                number = self._rows(database) + 1
                if not so_far:
                    told = "delete from unfinished_sections where scan = ? and number > ?"
                    database.execute(told, (self._id, self._whole))
                    self._whole = number
                row = (self._id, number, encode(section).decode())
                database.execute("insert into unfinished_sections values (?, ?, ?)", row)
        except (OSError, sqlite3.Error) as error:
            self._failed(error)

    def _rows(self, database: sqlite3.Connection) -> int:
        newest = "select coalesce(max(number), 0) from unfinished_sections where scan = ?"
        (number,) = database.execute(newest, (self._id,)).fetchone()
        return int(number)

    def pause(self) -> None:
        """Say that the scan is not under way any more, and may be resumed."""
        self._last("update unfinished set process = '' where id = ?")

    def close(self) -> None:
        """Forget a scan that has come to its end."""
        self._last("delete from unfinished_sections where scan = ?", "delete from unfinished where id = ?")

    def _last(self, *statements: str) -> None:
        if self.fault:
            return
        try:
            with _open(self._file) as database:
                for statement in statements:
                    database.execute(statement, (self._id,))
        except (OSError, sqlite3.Error) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.fault = t(
            f"{self._file}：{why(error).zh}，中断后不能续扫",
            f"{self._file}: {error}; an interrupted scan cannot be resumed",
        )


def unfinished(file: Path) -> list[Unfinished]:
    """List the unfinished scans, the newest first; raises Stop for a file that is none of ours."""
    if not file.exists():
        return []
    try:
        with _open(file) as database:
            if not _has_tables(database):
                return []
            rows = database.execute(
                "select id, started, asked, process from unfinished order by started desc, rowid desc"
            )
            with undamaged(file):
                return [
                    Unfinished(ident, str(started), dict(json.loads(asked)), _alive(process))
                    for ident, started, asked, process in rows
                ]
    except sqlite3.Error as error:
        raise Stop(within(str(file), why(error))(current())) from None


def sections(file: Path, identifier: str) -> list[Section]:
    """Give what an unfinished scan has, in its order; raises Stop for rows that no release of ours wrote."""
    try:
        with _open(file) as database:
            rows = database.execute(
                "select section from unfinished_sections where scan = ? order by number", (identifier,)
            ).fetchall()
        with undamaged(file):
            return [decode(Section, text.encode(), _MAX_SECTION) for (text,) in rows]
    except (sqlite3.Error, WireError) as error:
        raise Stop(within(str(file), why(error))(current())) from None


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    require_own(file)
    with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as database, database:
        yield database


def _has_tables(database: sqlite3.Connection) -> bool:
    return database.execute("select 1 from sqlite_master where name = 'unfinished'").fetchone() is not None


def _this_process() -> str:
    return f"{os.getpid()} {_start_of(os.getpid())}"


def _alive(process: str) -> bool:
    """Tell whether the process that wrote a row still runs: its number alone may be another's by now."""
    pid, _, start = process.partition(" ")
    return bool(start) and pid.isdigit() and _start_of(int(pid)) == start


def _start_of(pid: int) -> str:
    """Give when a process started, as the kernel counts it, with this boot's id; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return f"{boot}/{stat.rpartition(')')[2].split()[19]}"
