"""Times as the store keeps them (seconds since 1970 UTC) and as people read them; ids that sort by time."""

import secrets
from datetime import UTC, date, datetime
from typing import overload

MILLISECONDS = 1000


@overload
def moment(seconds: float) -> datetime: ...
@overload
def moment(seconds: None) -> None: ...
def moment(seconds: float | None) -> datetime | None:
    """Give an aware UTC time of whole milliseconds."""
    return None if seconds is None else datetime.fromtimestamp(round(seconds, 3), UTC)


def day(seconds: float) -> date:
    """Give the UTC day of a time."""
    return datetime.fromtimestamp(seconds, UTC).date()


def new_id(seconds: float) -> str:
    """Make an opaque id that nobody can guess; later ones sort behind earlier ones, which keeps inserts cheap."""
    return f"{int(seconds * MILLISECONDS):012x}{secrets.token_hex(6)}"
