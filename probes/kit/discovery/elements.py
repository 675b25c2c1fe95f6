"""XML of strangers, read for the texts of a few elements.

The parser is expat, told to stop at the first sign of a document type: without one there are no entities to expand, and
size, depth and number of elements are bounded.
"""

from collections.abc import Container
from xml.parsers import expat

_DEEPEST = 24
_MOST_TEXT = 4096
_MOST_NAME = 64


class _Hostile(Exception):
    """The text is not one that a device would send."""


def texts(
    raw: bytes, wanted: Container[str], *, most_bytes: int, most_elements: int
) -> list[tuple[tuple[str, ...], str]] | None:
    """Give path (local names from the root on) and text of each element of a wanted local name, in their order.

    None when it is no XML that a device would send.
    """
    if len(raw) > most_bytes:
        return None
    found: list[tuple[tuple[str, ...], str]] = []
    path: list[str] = []
    open_at: list[int | None] = []
    count = 0

    def start(name: str, _attributes: object) -> None:
        nonlocal count
        count += 1
        if count > most_elements or len(path) >= _DEEPEST:
            raise _Hostile
        path.append(name.rpartition(" ")[2][:_MOST_NAME])
        open_at.append(len(found) if path[-1] in wanted else None)
        if path[-1] in wanted:
            found.append((tuple(path), ""))

    def end(_name: str) -> None:
        path.pop()
        open_at.pop()

    def characters(text: str) -> None:
        if open_at and (place := open_at[-1]) is not None:
            where, before = found[place]
            found[place] = where, (before + text)[:_MOST_TEXT]

    def refuse(*_: object) -> int:
        raise _Hostile

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, _Hostile, ValueError, LookupError):
        return None
    return [(where, text.strip()) for where, text in found]
