"""The trail of what people changed: written in the same transaction as the change itself, never altered."""

import json
from collections.abc import Mapping
from typing import Any

from collector.store.contract import Statements


def record(
    turn: Statements, time: float, person: str, action: str, what: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Add one line: who did what to what, with details; numbered without gaps, so that a hash chain can follow."""
    turn.run(
        "INSERT INTO audit (id, time, person, action, object, detail) "
        "SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ? FROM audit",
        (time, person, action, what, json.dumps(detail or {}, ensure_ascii=False, sort_keys=True)),
    )
