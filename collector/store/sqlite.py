"""The embedded engine: SQLite in WAL mode, one writer thread, group commit, readers beside it.

`synchronous=FULL` makes every commit survive a power cut; a group of about 32 pieces of work shares one such commit,
which hides the time that a disk needs for it.
"""

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DatabaseError as SqlAlchemyDatabaseError

from collector.errors import CLOSING, Busy, StoreError
from collector.store.contract import Row, Turn, Watcher
from collector.store.migrate import migrate
from collector.store.planner import teach
from wire.faults import reason
from wire.text import Text

T = TypeVar("T")
log = logging.getLogger(__name__)

READERS = 8
_SCARCE_SECONDS = 60.0
RESERVE = 64
"""Places in the queue that people keep when reports fill it."""
DISK_TROUBLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=4000",
)


class SqliteStore:
    """See collector.store.contract.Store; `group_done` is told the size of every group that was made durable."""

    def __init__(
        self,
        path: Path,
        *,
        queue_size: int = 512,
        group_size: int = 32,
        retry_after: float = 5.0,
        reserve: int = 0,
        group_done: Callable[[int], None] = lambda _size: None,
    ) -> None:
        """Open or make the database, bring its schema up to date and start the writer; raises StoreError.

        With fewer than `reserve` bytes free on the disk only `write` is served, so that people can still mend things.
        """
        self._path = path
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._limit, self._group_size, self._retry_after = queue_size, group_size, retry_after
        self._group_done = group_done
        self._reserve, self._looked, self._scarce = reserve, float("-inf"), False
        self._watchers: list[Watcher] = []
        self._closing = threading.Lock()
        self._closed = False
        self._sound = True
        self._lock = _lock(path)
        self._engine = open_engine(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # nobody else reads it
            migrate(self._engine, path)
            self._engine.dispose()  # connections read the planner's statistics when they are opened
            self._connection = _writer(path)
        except (OSError, sqlite3.DatabaseError, SqlAlchemyDatabaseError) as error:
            self._let_go()
            why = getattr(error, "orig", None) or error
            raise StoreError(
                Text(
                    f"{path}：数据库无法使用（{why}）；请恢复备份，或另指定一个数据库",
                    f"{path}: {why}; restore a backup or name another database",
                )
            ) from None
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher follow every group from now on."""
        self._watchers.append(watcher)

    def submit(self, work: Callable[[Turn], T]) -> Future[T]:
        """Queue work for the writer."""
        if self.scarce():
            future: Future[T] = Future()
            future.set_exception(
                Busy(Text("数据库所在磁盘快满了", "the disk of the database is nearly full"), _SCARCE_SECONDS)
            )
            return future
        return self._enqueue(work, self._limit)

    def write(self, work: Callable[[Turn], T]) -> T:
        """Queue work for the writer, ahead of the bound for reports, and wait for it."""
        return self._enqueue(work, self._limit + RESERVE).result()

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """Lend a read-only connection inside one transaction."""
        with self._engine.connect() as connection:
            yield connection

    def waiting(self) -> int:
        """Give the number of pieces of work that wait for the writer."""
        return self._queue.qsize()

    def healthy(self) -> bool:
        """Ask the writer for a turn; after a failed group it must also manage a real write."""
        try:
            self.write(_nothing if self._sound else _touch)
        except Busy:
            return False
        return True

    def scarce(self) -> bool:
        """Look at the disk once a second: SQLite says that it is full only when it is too late for everybody."""
        now = time.monotonic()
        if now - self._looked >= 1.0:
            self._looked = now
            before, self._scarce = self._scarce, self.free() < self._reserve
            if self._scarce and not before:
                log.error(
                    "fewer than %d bytes are free beside %s; reports wait at the agents", self._reserve, self._path
                )
            elif before and not self._scarce:
                log.warning("there is room beside %s again; reports are taken", self._path)
        return self._scarce

    def free(self) -> int:
        """Give the bytes that an ordinary user may still write to the file system of the database."""
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    def size(self) -> int:
        """Give the bytes of the database and its journal."""
        found = 0
        for name in (self._path, Path(f"{self._path}-wal")):
            try:
                found += name.stat().st_size
            except FileNotFoundError:
                continue
        return found

    def close(self) -> None:
        """Finish the queue, then close everything."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._let_go()

    def _enqueue(self, work: Callable[[Turn], T], limit: int) -> Future[T]:
        future: Future[T] = Future()
        # The lock keeps work from slipping in behind the mark that ends the writer, where nobody would do it.
        with self._closing:
            if self._closed:
                future.set_exception(Busy(CLOSING, self._retry_after))
            elif self._queue.qsize() >= limit:
                future.set_exception(
                    Busy(Text(f"已有 {limit} 项工作在等待", f"{limit} pieces of work wait already"), self._retry_after)
                )
            else:
                self._queue.put(_Job(work, cast("Future[Any]", future)))
        return future

    def _let_go(self) -> None:
        self._engine.dispose()
        os.close(self._lock)

    def _work(self) -> None:
        last = False
        while not last:
            group = [self._queue.get()]
            while group[-1] is not None and len(group) < self._group_size:
                try:
                    group.append(self._queue.get_nowait())
                except Empty:
                    break
            last = group[-1] is None
            jobs = [job for job in group if job is not None and job.future.set_running_or_notify_cancel()]
            if jobs:
                self._do_group(jobs)

    def _do_group(self, jobs: list["_Job"]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._do(job)
            statements = _Turn(connection)
            for watcher in self._watchers:
                watcher.flush(statements)
            connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - the wall of the writer: every waiting future gets its answer
            self._abandon(jobs, error)
            return
        self._sound = True
        for watcher in self._watchers:
            watcher.committed()
        for job in jobs:
            if job.turn is not None:
                for call in job.turn.calls:
                    call()
        self._group_done(len(jobs))
        for job in jobs:
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _do(self, job: "_Job") -> None:
        turn = _Turn(self._connection)
        self._connection.execute("SAVEPOINT work")
        try:
            job.result = job.work(turn)
        except BaseException as error:
            if not self._connection.in_transaction:  # SQLite itself rolled back everything, as on a full disk
                raise
            self._connection.execute("ROLLBACK TO work")
            job.error = error
            if _disk_trouble(error):
                raise
        else:
            job.turn = turn
        self._connection.execute("RELEASE work")

    def _abandon(self, jobs: list["_Job"], error: BaseException) -> None:
        first, self._sound = self._sound, False
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        for watcher in self._watchers:
            watcher.abandoned()
        if _disk_trouble(error):
            if first:
                log.error("cannot write to %s: %s; reports are refused as busy until it can", self._path, error)
            error = Busy(
                Text(f"数据库无法写入（{error}）", f"the database cannot be written ({error})"), self._retry_after
            )
        else:
            log.error("a group of %d was rolled back", len(jobs), exc_info=error)
        for job in jobs:
            job.future.set_exception(error)


class _Job:
    __slots__ = ("error", "future", "result", "turn", "work")

    def __init__(self, work: Callable[[Turn], Any], future: "Future[Any]") -> None:
        self.work, self.future = work, future
        self.result: Any = None
        self.error: BaseException | None = None
        self.turn: _Turn | None = None


class _Turn:
    __slots__ = ("_connection", "calls")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.calls: list[Callable[[], None]] = []

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def after_commit(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


def _nothing(_turn: Turn) -> None:
    pass


def _touch(turn: Turn) -> None:
    turn.run("UPDATE mark SET value = value + 1 WHERE name = 'health'")


def _disk_trouble(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DISK_TROUBLE


def _writer(path: Path) -> sqlite3.Connection:
    with closing(sqlite3.connect(path)) as first, first:
        teach(first)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _lock(path: Path) -> int:
    """Hold the database for this process alone: its memory of digests would not see another writer's changes."""
    name = Path(f"{path}.lock")
    try:
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            Text(
                f"{name}: {reason(error).zh}；目录须存在且可写",
                f"{name}: {reason(error).en}; the folder must exist and be writable",
            )
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StoreError(
            Text(
                f"{path}：另一个采集中心正在使用这个数据库，请先停止它",
                f"{path}: another collector uses this database; stop it first",
            )
        ) from None
    return handle


def open_engine(path: Path) -> Engine:
    """Open a file for reading, several connections at a time; what writes says `PRAGMA query_only=OFF` first."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=READERS,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # The driver itself begins nothing; this gives readers one state and migrations all or nothing.
        connection.exec_driver_sql("BEGIN")

    return engine
