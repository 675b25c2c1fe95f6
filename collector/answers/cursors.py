"""Where a page ended, as one opaque word that people hand back for the next page."""

import base64
import binascii
import json

from collector.errors import BadInput
from wire.text import Text

MAX_CURSOR = 2048
_NOT_OURS = Text("cursor：须为上一页给出的值", "cursor: must be one that a page gave")


def write_cursor(*parts: str) -> str:
    """Write the sorting key of the last item of a page."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(text: str, length: int) -> tuple[str, ...]:
    """Read a key of so many parts back; raises BadInput for anything that no page gave."""
    try:
        if len(text) > MAX_CURSOR:
            raise ValueError
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise BadInput(_NOT_OURS) from None
    if not isinstance(parts, list) or len(parts) != length or not all(map(_is_text, parts)):
        raise BadInput(_NOT_OURS)
    return tuple(parts)


def _is_text(part: object) -> bool:
    """Tell whether a store takes this as text: no half of a surrogate pair, no NUL."""
    return isinstance(part, str) and "\0" not in part and not any("\ud800" <= char <= "\udfff" for char in part)
