"""What a page says, whatever its charset, and how far two pages are apart; pure, bounded, in linear time."""

import codecs
import re
import unicodedata
from collections import Counter

from probes.kit.ipv6.site.markup import Piece, pieces

MAX_TEXT = 50_000
"""Characters of normalised text that count."""
_SHINGLE = 3
_DECLARED = 2048
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:.-]{2,40})", re.IGNORECASE)
_PARAMETER = re.compile(r"charset\s*=\s*[\"']?\s*([\w:.-]{2,40})", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
# GB 18030 holds all of GBK and GB 2312, and what Windows adds to them.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "hz": "gb18030", "ascii": "utf-8"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_KNOWN = frozenset(
    {"utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs", "iso8859-1", "cp1252"}
)


def decode(body: bytes, content_type: str = "") -> str:
    """Read a page's bytes: by its mark, its header, its meta tag, then as UTF-8, then as GB 18030.

    A page that mixes charsets is read line by line. Never raises; what nothing can read becomes U+FFFD.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body.decode(name, "replace")
    for name in (*_declared(body, content_type), "utf-8", "gb18030"):
        try:
            return body.decode(name)
        except UnicodeDecodeError as error:
            # The bound on the body may have cut the last character in two.
            if error.start >= len(body) - 4:
                return body[: error.start].decode(name, "replace")
    return "\n".join(_line(line) for line in body.split(b"\n"))


def visible(page: str) -> str:
    """Give the text that a reader would see: NFKC, lower case, single blanks, at most MAX_TEXT characters."""
    found: list[str] = []
    size = 0
    for piece in pieces(page):
        if isinstance(piece, Piece) and size < MAX_TEXT:
            found.append(piece.text)
            size += len(piece.text)
    text = unicodedata.normalize("NFKC", " ".join(found)[: 2 * MAX_TEXT])
    return _BLANKS.sub(" ", text).strip().lower()[:MAX_TEXT]


def distance(one: str, other: str) -> float:
    """Give how far two normalised texts are apart: 0 for equal, 100 for nothing in common (Dice over shingles)."""
    if one == other:
        return 0.0
    left, right = _shingles(one), _shingles(other)
    total = left.total() + right.total()
    return 100.0 * (1 - 2 * (left & right).total() / total)


def beyond_itself(first: str, second: str, other: str) -> float:
    """Give the distance of `other` from a page that was read twice, less that page's distance from itself.

    What changes at each fetch (nonces, counters, advertisements) so counts for nothing.
    """
    return max(0.0, min(distance(first, other), distance(second, other)) - distance(first, second))


def _declared(body: bytes, content_type: str) -> list[str]:
    names = [match[1] for match in (_PARAMETER.search(content_type[:512]),) if match]
    names += [match[1].decode("ascii") for match in (_META.search(body[:_DECLARED]),) if match]
    known = []
    for name in names:
        try:
            plain = codecs.lookup(name).name
        except (LookupError, ValueError):
            continue
        plain = _WIDER.get(plain, plain)
        if plain in _KNOWN:
            known.append(plain)
    return known


def _line(line: bytes) -> str:
    for name in ("utf-8", "gb18030"):
        try:
            return line.decode(name)
        except UnicodeDecodeError:
            continue
    return line.decode("utf-8", "replace")


def _shingles(text: str) -> "Counter[str]":
    # A text shorter than one shingle still differs from another one.
    return Counter(text[at : at + _SHINGLE] for at in range(max(1, len(text) - _SHINGLE + 1)))
