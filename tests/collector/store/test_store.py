"""The store: groups, durability, refusals; the same promises for whatever engine comes next."""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import TableClause, text
from sqlalchemy.exc import OperationalError

from collector.errors import Busy, Conflict, StoreError
from collector.store import tables
from collector.store.contract import Statements, Turn
from collector.store.sqlite import SqliteStore

BUMP = "INSERT INTO mark (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = mark.value + 1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store.db")
    yield made
    made.close()


def bump(name: str) -> Any:
    return lambda turn: turn.run(BUMP, (name,))


def marks(store: SqliteStore) -> dict[str, int]:
    with store.reader() as connection:
        return {
            name: value for name, value in connection.execute(text("SELECT name, value FROM mark")) if name != "health"
        }


def hold(store: SqliteStore) -> tuple[threading.Event, Future[None]]:
    """Keep the writer at work until the event is set, so that what follows waits in the queue."""
    started, let_go = threading.Event(), threading.Event()

    def work(_turn: Turn) -> None:
        started.set()
        let_go.wait()

    future = store.submit(work)
    started.wait()
    return let_go, future


def test_what_a_future_confirms_is_there_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    wait([first.submit(bump("a")) for _ in range(100)])
    first.close()
    second = SqliteStore(tmp_path / "store.db")
    assert marks(second) == {"a": 100}
    second.close()


def test_work_that_waits_shares_a_commit(tmp_path: Path) -> None:
    sizes: list[int] = []
    store = SqliteStore(tmp_path / "store.db", group_size=16, group_done=sizes.append)
    let_go, held = hold(store)
    waiting = [store.submit(bump("a")) for _ in range(40)]
    let_go.set()
    wait([held, *waiting])
    store.close()
    assert sizes == [1, 16, 16, 8]


def test_work_that_fails_is_undone_alone(store: SqliteStore) -> None:
    def fails(turn: Turn) -> None:
        turn.run(BUMP, ("failed",))
        turn.after_commit(lambda: called.append("failed"))
        raise Conflict("no")

    called: list[str] = []
    let_go, held = hold(store)
    before, failed, after = store.submit(bump("before")), store.submit(fails), store.submit(bump("after"))
    let_go.set()
    wait([held, before, failed, after])
    assert marks(store) == {"before": 1, "after": 1}
    assert (before.exception(), after.exception(), called) == (None, None, [])
    assert isinstance(failed.exception(), Conflict)


def test_a_statement_that_cannot_be_run_fails_its_work_and_no_other(store: SqliteStore) -> None:
    let_go, held = hold(store)
    broken, fine = store.submit(lambda turn: turn.run("NO SUCH WORD")), store.submit(bump("fine"))
    let_go.set()
    wait([held, broken, fine])
    assert isinstance(broken.exception(), sqlite3.OperationalError)
    assert marks(store) == {"fine": 1}


def test_calls_after_the_commit_see_what_was_committed(store: SqliteStore) -> None:
    seen: list[dict[str, int]] = []

    def work(turn: Turn) -> None:
        turn.run(BUMP, ("a",))
        turn.after_commit(lambda: seen.append(marks(store)))
        assert marks(store) == {}

    store.write(work)
    assert seen == [{"a": 1}]


class Recorder:
    """A watcher that writes once for each group and notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def flush(self, statements: Statements) -> None:
        statements.run(BUMP, ("groups",))
        self.calls.append("flush")

    def committed(self) -> None:
        self.calls.append("committed")

    def abandoned(self) -> None:
        self.calls.append("abandoned")


def test_a_watcher_writes_in_the_transaction_of_its_group(store: SqliteStore) -> None:
    recorder = Recorder()
    store.watch(recorder)
    let_go, held = hold(store)
    waiting = [store.submit(bump("a")) for _ in range(3)]
    let_go.set()
    wait([held, *waiting])
    assert marks(store) == {"a": 3, "groups": 2}
    assert recorder.calls == ["flush", "committed"] * 2


def test_a_full_disk_is_busy_and_leaves_nothing_half_done(store: SqliteStore) -> None:
    recorder = Recorder()
    store.watch(recorder)
    store.write(bump("a"))
    pages = store.write(lambda turn: turn.rows("PRAGMA page_count"))[0][0]
    store.write(lambda turn: turn.rows(f"PRAGMA max_page_count = {pages + 2}"))
    let_go, held = hold(store)
    small = store.submit(bump("small"))
    large = store.submit(lambda turn: turn.run("INSERT INTO mark VALUES (?, 1)", ("x" * 1_000_000,)))
    let_go.set()
    wait([held, small, large])
    for future in (small, large):
        error = future.exception()
        assert isinstance(error, Busy)
        assert error.retry_after > 0
    assert "small" not in marks(store)
    assert marks(store)["a"] == 1
    assert recorder.calls[-1] == "abandoned"
    store.write(lambda turn: turn.rows("PRAGMA max_page_count = 1000000"))
    assert store.healthy()
    store.write(bump("a"))
    assert marks(store)["a"] == 2


def test_a_store_that_cannot_write_is_not_healthy_until_it_can(store: SqliteStore) -> None:
    assert store.healthy()
    store.write(lambda turn: turn.rows("PRAGMA query_only = 1"))
    refused = store.submit(bump("a"))
    wait([refused])
    assert isinstance(refused.exception(), Busy)
    assert not store.healthy()
    store._connection.execute("PRAGMA query_only = 0")  # the writer itself cannot commit any more
    assert store.healthy()


def test_a_full_queue_turns_reports_away_and_still_serves_people(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", queue_size=4, retry_after=7)
    let_go, held = hold(store)
    taken = [store.submit(bump("a")) for _ in range(4)]
    refused = store.submit(bump("a"))
    assert isinstance(refused.exception(), Busy)
    person = threading.Thread(target=store.write, args=(bump("person"),))
    person.start()
    let_go.set()
    person.join()
    wait([held, *taken])
    assert marks(store) == {"a": 4, "person": 1}
    store.close()


def test_closing_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    let_go, held = hold(store)
    accepted = [store.submit(bump("a")) for _ in range(50)]
    closing_thread = threading.Thread(target=store.close)
    closing_thread.start()
    let_go.set()
    closing_thread.join()
    wait([held, *accepted])
    assert all(future.exception() is None for future in accepted)
    assert isinstance(store.submit(bump("late")).exception(), Busy)
    assert not store.healthy()
    store.close()


def test_readers_cannot_write_and_see_one_state(store: SqliteStore) -> None:
    store.write(bump("a"))
    with store.reader() as connection:
        first = connection.execute(text("SELECT value FROM mark WHERE name = 'a'")).scalar_one()
        store.write(bump("a"))
        assert connection.execute(text("SELECT value FROM mark WHERE name = 'a'")).scalar_one() == first == 1
        with pytest.raises(OperationalError):
            connection.execute(text("DELETE FROM mark"))
    assert marks(store) == {"a": 2}


def test_one_database_has_one_collector(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another collector"):
        SqliteStore(tmp_path / "store.db")


def test_the_database_is_readable_by_its_owner_only(store: SqliteStore, tmp_path: Path) -> None:
    store.write(bump("a"))
    assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "store.db-wal").stat().st_mode) == 0o600


@pytest.mark.parametrize("contents", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_what_is_no_database_is_named_and_left_as_it_is(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(contents)
    with pytest.raises(StoreError, match=r"store\.db"):
        SqliteStore(path)
    assert path.read_bytes() == contents


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "store.db")


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.db").close()
    before = schema(tmp_path / "store.db")
    SqliteStore(tmp_path / "store.db").close()
    assert schema(tmp_path / "store.db") == before
    assert before


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="9999 was written by a newer release"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alert (mine TEXT)")  # in the way of the first step
    with pytest.raises(StoreError, match="alert"):
        SqliteStore(path)
    assert [name for name, _ in schema(path)] == ["alert"]


def test_the_tables_for_queries_are_those_of_the_migrations(store: SqliteStore, tmp_path: Path) -> None:
    declared = {
        found.name: {column.name for column in found.columns}
        for found in vars(tables).values()
        if isinstance(found, TableClause)
    }
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        stored = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in declared}
    assert declared == stored
    assert len(declared) > 10


def test_every_growing_table_is_keyed_by_county(store: SqliteStore, tmp_path: Path) -> None:
    reference = {"unit", "person", "agent", "enrolment_token", "whitelist", "audit", "mark", "alembic_version"}
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall():
            for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({name})").fetchall():
                columns = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
                if unique and name not in reference:
                    assert columns[0] == "county", f"{name}.{index}"


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql <> '' ORDER BY name").fetchall()
