"""Whole numbers that the store keeps by name: the rules that it was judged by, the day that was judged last."""

from collector.store.contract import Statements


def read(turn: Statements, name: str) -> int | None:
    """Give a number, None where it was never set."""
    rows = turn.rows("SELECT value FROM mark WHERE name = ?", (name,))
    return rows[0][0] if rows else None


def write(turn: Statements, name: str, value: int) -> None:
    """Set a number."""
    turn.run(
        "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
