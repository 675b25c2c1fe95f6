"""The orders that this agent has on disk, in the file of the spool: what is held, what was started, what is over.

Each function is a piece of work within one transaction of that file (`Spool.within`, `Spool.add`). An order goes from
held to started to ended and never back; an ended one is remembered until nobody can offer it again.
"""

import sqlite3
import time
from dataclasses import dataclass

from wire.codec import decode, encode
from wire.errors import WireError
from wire.orders import Order

HELD, STARTED, ENDED = "held", "started", "ended"
MARGIN = 86_400.0
"""How much longer than an order can be offered its end is remembered; a clock may be set meanwhile."""
MOST_ENDED = 4_096
"""Ends that are remembered, however long the orders could be offered: those that can be offered longest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An order that is not over; `until` is when it must have started, on this machine's clock."""

    order: Order
    until: float
    started: bool


def keep(order: Order, until: float, db: sqlite3.Connection) -> bool:
    """Take an order; False when this agent has or had it already."""
    db.execute("DELETE FROM scan_order WHERE state = ? AND until < ?", (ENDED, time.time() - MARGIN))
    beyond = "SELECT id FROM scan_order WHERE state = ? ORDER BY until DESC, id DESC LIMIT -1 OFFSET ?"
    db.execute(f"DELETE FROM scan_order WHERE id IN ({beyond})", (ENDED, MOST_ENDED))  # noqa: S608 (our own words)
    row = (order.id, HELD, until, encode(order))
    return db.execute("INSERT OR IGNORE INTO scan_order VALUES (?, ?, ?, ?)", row).rowcount > 0


def start(ident: str, db: sqlite3.Connection) -> bool:
    """Mark an order as started; False when it is not held, and then it must not run."""
    change = "UPDATE scan_order SET state = ? WHERE id = ? AND state = ?"
    return db.execute(change, (STARTED, ident, HELD)).rowcount > 0


def end(ident: str, db: sqlite3.Connection) -> None:
    """Mark an order as over."""
    db.execute("UPDATE scan_order SET state = ?, message = X'' WHERE id = ?", (ENDED, ident))


def unfinished(db: sqlite3.Connection) -> list[Entry]:
    """Give the orders that are not over; what cannot be read any more counts as over."""
    found = []
    for ident, state, until, message in db.execute(
        "SELECT id, state, until, message FROM scan_order WHERE state != ?", (ENDED,)
    ).fetchall():
        try:
            found.append(Entry(decode(Order, message), until, state == STARTED))
        except WireError:
            end(ident, db)
    return found
