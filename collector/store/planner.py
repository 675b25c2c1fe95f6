"""Tells SQLite's planner what the tables look like when they are full.

Without statistics it takes every first column of a key for nearly unique, and reads a whole county where one row was
meant. The numbers are rough on purpose: how many values a column has among rows that agree in the columns before it.
"""

import sqlite3

ROWS = 10_000_000
VALUES = {
    "county": 100,
    "unit": 100,
    "section": 300,
    "agent": 100,
    "kind": 4,
    "probe": 5,
    "port": 100,
    "transport": 2,
    "rule": 20,
    "state": 4,
}
UNIQUE = ROWS


def teach(connection: sqlite3.Connection) -> None:
    """Write statistics for every index that has none; the connections that are opened later use them."""
    connection.execute("ANALYZE sqlite_schema")  # makes the table of statistics where there is none
    known = {row[0] for row in connection.execute("SELECT idx FROM sqlite_stat1")}
    tables = connection.execute("SELECT name, sql LIKE '%WITHOUT ROWID' FROM sqlite_schema WHERE type = 'table'")
    for table, packed in tables.fetchall():
        for _, index, _, origin, _ in connection.execute(f"PRAGMA index_list({table})").fetchall():
            name = table if packed and origin == "pk" else index
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
            if name not in known and columns:
                connection.execute(
                    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", (table, name, _stat(columns))
                )


def _stat(columns: list[str]) -> str:
    left, numbers = ROWS, [ROWS]
    for column in columns:
        left = max(left // VALUES.get(column, UNIQUE), 1)
        numbers.append(left)
    return " ".join(map(str, numbers))
