"""The local file of scan results: plain SQLite tables, one row per line of the JSON Lines output.

`scans` has one row per run; `hosts`, `services` and `findings` carry the run's id. Nested values are JSON text. Any
SQLite tool can read it; docs/cli.md has examples.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import make_private, require_own
from edusec.scan.result.lines import FINDING, HOST, RUN, SCHEMA, SERVICE, SUMMARY, Line
from edusec.scan.store.checked import check, undamaged
from rules.facts import UNKNOWN
from wire.faults import why
from wire.text import within

KEEP_SCANS = 1000
_BUSY_SECONDS = 10
_TABLES: Mapping[str, str] = {HOST: "hosts", SERVICE: "services", FINDING: "findings"}
_COLUMNS: Mapping[str, Mapping[str, type]] = {
    "scans": {
        "id": str,
        "started": str,
        "finished": str,
        "status": str,
        "reason": str,
        "probe": str,
        "targets": str,
        "exclude": str,
        "profile": str,
        "vantage": str,
        "ports": str,
        "udp_ports": str,
        "scope": str,
        "coverage": str,
        "skipped": str,
        "silent": str,
        "whitelist": str,
        "software": str,
        "summary": str,
    },
    "hosts": {
        "scan": str,
        "address": str,
        "name": str,
        "family": int,
        "presence": str,
        "open": int,
        "closed": str,
        "filtered": str,
        "closed_udp": str,
        "filtered_udp": str,
        "mac": str,
        "maker": str,
        "system": str,
        "standing": str,
    },
    "services": {
        "scan": str,
        "address": str,
        "family": int,
        "transport": str,
        "port": int,
        "state": str,
        "standing": str,
        "expires": str,
        "service": str,
        "product": str,
        "version": str,
        "vendor": str,
        "cpe": str,
        "device": str,
        "system": str,
        "confidence": float,
        "details": str,
        "method": str,
        "time": str,
        "duration": float,
    },
    "findings": {
        "scan": str,
        "rule": str,
        "colour": str,
        "severity": str,
        "confidence": str,
        "title": str,
        "basis": str,
        "subject": str,
        "evidence": str,
        "remedy": str,
    },
}
_LISTS = {"targets", "exclude", "silent"}
_NEVER_NULL = {"closed_udp": "", "filtered_udp": "", "vantage": UNKNOWN}
_EMPTY = {**dict.fromkeys(_LISTS, "[]"), "maker": "null"}
_NESTED = {*_LISTS, "scope", "coverage", "skipped", "title", "subject", "evidence", "remedy", "details", "maker"}


def save(file: Path, lines: Sequence[Line]) -> None:
    """Keep one scan in one transaction, in the place of what was kept of it before; the oldest beyond 1,000 go.

    Raises Stop when the file cannot be written.
    """
    try:
        make_private(file)
        with _open(file) as database, database.atomic():
            for table, columns in _COLUMNS.items():
                pk = "id" if table == "scans" else None
                _bring_up_to_date(database, table, columns, pk)
            for table in _TABLES.values():
                database.table(table).create_index(["scan"], if_not_exists=True)
            _insert(database, lines)
            _prune(database)
    except (OSError, sqlite3.Error) as error:
        said = why(error)
        raise Stop(
            t(f"扫描结果未能保存到 {file}：{said.zh}", f"the result could not be kept in {file}: {said.en}")
        ) from None


def last(file: Path, run: str = "") -> list[Line]:
    """Give the lines of the newest scan, or of the one whose id begins with `run`; raises Stop when there is none."""
    nothing = Stop(
        t(f"{file} 里没有扫描 {run}", f"{file} holds no scan {run}")
        if run
        else t(f"{file} 里还没有扫描结果", f"{file} holds no scan yet")
    )
    if not file.exists():
        raise nothing
    try:
        with _open(file) as database:
            if "scans" not in database.table_names():
                raise nothing
            query = "select * from scans where substr(id, 1, length(?)) = ? order by started desc, rowid desc limit 1"
            found = next(database.query(query, [run, run]), None)
            if found is None:
                raise nothing
            with undamaged(file):
                return list(_lines(database, found))
    except sqlite3.Error as error:
        raise Stop(within(str(file), why(error))(current())) from None


def history(file: Path, now: Line, most: int) -> list[list[Line]]:
    """Give the newest scans of the same targets that began before a run, the oldest first, without their findings."""
    with _reading(file) as database:
        if "scans" not in database.table_names():
            return []
        query = "select * from scans where id != ? and started <= ? order by started desc, rowid desc"
        found: list[list[Line]] = []
        for row in database.query(query, [now["id"], now["started"]]):
            run = _line(RUN, {name: value for name, value in row.items() if name != "summary"})
            if _targets(run) == _targets(now):
                found.append([line for line in _lines(database, row) if line["type"] != FINDING])
            if len(found) == most:
                break
        return found[::-1]


def listed(file: Path) -> Iterator[tuple[Line, Mapping[str, Any]]]:
    """Give the run line of every scan that is kept, the newest first, and its summary."""
    with _reading(file) as database:
        if "scans" in database.table_names():
            for row in database.query("select * from scans order by started desc, rowid desc"):
                run = {name: value for name, value in row.items() if name != "summary"}
                yield _line(RUN, run), json.loads(row["summary"])


def _targets(run: Line) -> tuple[list[str], list[str]]:
    return sorted(run["targets"]), sorted(run["exclude"])


@contextmanager
def _reading(file: Path) -> Iterator[Database]:
    """Open the file for reading, or nothing in its place; raises Stop for what is no database."""
    try:
        if file.exists():
            with _open(file) as database, undamaged(file):
                yield database
        else:
            with closing(sqlite3.connect(":memory:")) as connection:
                yield Database(connection, execute_plugins=False)
    except sqlite3.Error as error:
        raise Stop(within(str(file), why(error))(current())) from None


@contextmanager
def _open(file: Path) -> Iterator[Database]:
    require_own(file)
    with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as connection:
        yield Database(connection, execute_plugins=False)


def _bring_up_to_date(database: Database, table: str, columns: Mapping[str, type], pk: str | None) -> None:
    """Make a table, or add what a file of an older release lacks."""
    made = database.table(table).create(dict(columns), pk=pk, if_not_exists=True, strict=True)
    for name in columns.keys() - made.columns_dict.keys():
        made.add_column(name, columns[name], not_null_default=_NEVER_NULL.get(name))


def _insert(database: Database, lines: Sequence[Line]) -> None:
    run = next(line for line in lines if line["type"] == RUN)
    summary = next(line for line in lines if line["type"] == SUMMARY)
    for table in _TABLES.values():
        database.execute(f"delete from {table} where scan = ?", [run["id"]])  # noqa: S608 (our own names)
    database.execute("delete from scans where id = ?", [run["id"]])
    database.table("scans").insert({**_row("scans", run), "summary": json.dumps(_bare(summary), ensure_ascii=False)})
    for kind, table in _TABLES.items():
        rows = [{**_row(table, line), "scan": run["id"]} for line in lines if line["type"] == kind]
        database.table(table).insert_all(rows)


def _prune(database: Database) -> None:
    old = "select id from scans order by started desc, rowid desc limit -1 offset ?"
    for table in _TABLES.values():
        database.execute(f"delete from {table} where scan in ({old})", [KEEP_SCANS])  # noqa: S608 (our own names)
    database.execute(f"delete from scans where id in ({old})", [KEEP_SCANS])  # noqa: S608


def _row(table: str, line: Line) -> dict[str, Any]:
    return {
        name: json.dumps(value, ensure_ascii=False) if name in _NESTED else value
        for name, value in line.items()
        if name in _COLUMNS[table]
    }


def _bare(line: Line) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in {"schema", "type"}}


def _lines(database: Database, run: Mapping[str, Any]) -> Iterator[Line]:
    summary = json.loads(run["summary"])
    line = _line(RUN, {name: value for name, value in run.items() if name != "summary"})
    check(line)
    yield line
    for kind, table in _TABLES.items():
        for row in database.query(f"select * from {table} where scan = ? order by rowid", [run["id"]]):  # noqa: S608
            line = _line(kind, {name: value for name, value in row.items() if name != "scan"})
            check(line)
            yield line
    yield {"schema": SCHEMA, "type": SUMMARY, **summary}


def _line(kind: str, row: Mapping[str, Any]) -> Line:
    # Rows of an older release have no value in columns that came later.
    nested = {
        name: json.loads(value or _EMPTY.get(name, "{}")) if name in _NESTED else value for name, value in row.items()
    }
    if kind == RUN:
        nested.update((name, nested[name] or "") for name in ("udp_ports", "profile"))
    return {"schema": SCHEMA, "type": kind, **nested}
