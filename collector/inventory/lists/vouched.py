"""States as people see them: a word counts only while the section behind it vouches for it."""

from typing import Any

from sqlalchemy import ColumnElement, TableClause, case

from collector.store import tables


def told(table: TableClause, word: str, now: float) -> ColumnElement[Any]:
    """Give a state as people see it: unknown once the section that vouches for it is stale; joins `section`."""
    return case((tables.section.c.stale_at >= now, table.c[word]), else_="unknown")


def vouching(table: TableClause) -> ColumnElement[bool]:
    """Join a table with the sections that vouch for its rows."""
    return (tables.section.c.county == table.c.county) & (tables.section.c.id == table.c.section)
