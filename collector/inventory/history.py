"""The history of the inventory: state changes only, one line each."""

from typing import NamedTuple

from collector.clock import new_id
from collector.store.contract import Turn


class Change(NamedTuple):
    """What changed of a subject: `what` names it (state, presence, address, mac, name, product, merged, split)."""

    county: str
    unit: str
    subject: str
    what: str
    before: str
    after: str
    section: int | None


def note(turn: Turn, change: Change, time: float) -> None:
    """Write one line of history."""
    turn.run(
        "INSERT INTO change (time, id, county, unit, subject, what, before, after, section) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (time, new_id(time), *change),
    )
