"""What the collector asks of a database, and nothing more; a second engine has to offer only this.

SQL in `Turn` is what SQLite and PostgreSQL both understand, with `?` for parameters. Every table that grows with the
number of schools has the county in its keys, so that it can be spread over servers by county.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Row = tuple[Any, ...]


class Statements(Protocol):
    """Statements inside the open write transaction."""

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and give the number of rows that it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for every row of values."""
        ...

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Give all rows of a query; it sees what this transaction has written."""
        ...


class Turn(Statements, Protocol):
    """One piece of work within a group: all of it is kept or nothing."""

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this on the writer's thread once the group is durable; never when it is not."""
        ...


class Watcher(Protocol):
    """Memory beside the store that must follow its transactions; called on the writer's thread only."""

    def flush(self, statements: Statements) -> None:
        """Write what was put off, just before the group commits."""
        ...

    def committed(self) -> None:
        """Adopt what the group changed: it is durable now."""
        ...

    def abandoned(self) -> None:
        """Forget what the group changed: it was rolled back."""
        ...


class Store(Protocol):
    """One writer and many readers over one database."""

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher follow every group from now on."""
        ...

    def submit(self, work: Callable[[Turn], T]) -> Future[T]:
        """Queue work for the writer; the future resolves after its group is durable.

        Work that raises is undone alone, and its future carries the error. The future carries Busy when the queue or
        the disk is full, or nearly so; then nothing of the work was kept.
        """
        ...

    def write(self, work: Callable[[Turn], T]) -> T:
        """Do work for a person: waits for the commit and is not turned away by a queue full of reports."""
        ...

    def reader(self) -> AbstractContextManager[Connection]:
        """Lend a connection that sees one unchanging state of the store and cannot write."""
        ...

    def waiting(self) -> int:
        """Give the number of pieces of work that wait for the writer."""
        ...

    def healthy(self) -> bool:
        """Tell whether a write could be made durable just now."""
        ...

    def scarce(self) -> bool:
        """Tell whether so little of the disk is free that reports are refused."""
        ...

    def free(self) -> int:
        """Give the bytes that the database may still grow by on its disk."""
        ...

    def size(self) -> int:
        """Give the bytes that the database takes on disk."""
        ...

    def close(self) -> None:
        """Finish what is queued, then let go of the database; later work is refused as Busy."""
        ...
