"""The digest of a section: equal digests mean that nothing but times changed."""

import hashlib
import json
from typing import Any

from wire.codec import to_plain
from wire.types import Body, RunStatus

_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def section_digest(probe: str, status: RunStatus, reason: str, body: Body) -> str:
    """Give 64 hexadecimal digits of SHA-256 over what was found, without when and how long.

    The order of observations, coverage and skipped parts does not count: two scans in another order are equal.
    """
    plain = to_plain(body)
    for observation in plain.get("observations", ()):
        observation.pop("time", None)
        observation.pop("duration", None)
    parts = [
        probe,
        status.value,
        reason,
        *(_sorted(plain.get(key, ())) for key in ("observations", "coverage", "skipped")),
    ]
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()


def _sorted(items: Any) -> list[str]:
    return sorted(map(_canonical, items))
