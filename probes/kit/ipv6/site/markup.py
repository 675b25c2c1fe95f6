"""Reading HTML as it comes: text, links, sub-resources, in time linear in the page, whatever is wrong with it."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from urllib.parse import urljoin, urlsplit

MAX_TAGS = 20_000
MAX_TAG = 2048
MAX_LINKS = 2_000
MAX_LITERALS = 20
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,30})")
_TAG_END = re.compile(r"(?>[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+>")
_ATTRIBUTE = re.compile(r"([a-zA-Z][\w:-]{0,40})(?:\s{0,20}=\s{0,20}(\"[^\"]*+\"|'[^']*+'|[^\s>\"']++))?")
_RAW = frozenset({"script", "style", "textarea", "title", "noscript", "template", "iframe", "xmp"})
_UNSEEN = frozenset({"script", "style", "noscript", "template", "iframe", "title"})
_LITERAL = re.compile(r"(?<![\w.@-])(?:https?|wss?|ftp):\\?/\\?/(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])", re.IGNORECASE)
_CSS_URL = re.compile(r"@import\s{0,10}(?:url\()?\s{0,10}[\"']?([^\"')\s;]{1,500})", re.IGNORECASE)


_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
"""More digits than any character's number has; Python refuses to read thousands of them."""


class Kind(StrEnum):
    """What a reference is for. ACTIVE: styles, scripts, frames - without them the page does not work."""

    LINK = "link"
    ACTIVE = "active"
    PASSIVE = "passive"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of visible text, entities resolved."""

    text: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag; `inside` is the raw text up to its end tag for those whose content is no markup."""

    name: str
    attributes: Mapping[str, str]
    inside: str = ""


@dataclass(frozen=True, slots=True)
class References:
    """What a page leads to, as absolute http and https URLs in order, without fragments; and its title."""

    links: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    passive: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()
    title: str = ""


def pieces(page: str) -> Iterator[Piece | Tag]:
    """Walk over a page: visible text and start tags, at most MAX_TAGS of them."""
    lower = page.lower()
    if len(lower) != len(page):  # a letter whose lower case is longer; positions must agree
        lower = page
    at = count = 0
    while count < MAX_TAGS:
        start = page.find("<", at)
        if start < 0:
            break
        if start > at:
            yield Piece(_unescaped(page[at:start]))
        count += 1
        name = _NAME.match(page, start)
        if name is None:
            at = _behind(page, start)
            if at == start + 1:
                yield Piece("<")
            continue
        found = _TAG_END.match(page, name.end(), start + MAX_TAG)
        end = found.end() if found else page.find(">", name.end()) + 1
        if end <= 0:
            return
        at = end
        word = name[1].lower()
        if page[start + 1] == "/":
            continue
        inside = ""
        if word in _RAW:
            close = lower.find(f"</{word}", end)
            inside = page[end : close if close >= 0 else len(page)]
            at = close if close >= 0 else len(page)
        yield Tag(word, _attributes(page[name.end() : min(end, start + MAX_TAG)]), inside)
        if inside and word not in _UNSEEN:
            yield Piece(_unescaped(inside))
    else:
        return
    if at < len(page):
        yield Piece(_unescaped(page[at:]))


def _behind(page: str, start: int) -> int:
    """Give where a comment or declaration ends; a lone "<" is text and ends at once."""
    if page.startswith("<!--", start):
        end = page.find("-->", start + 4) + 3
        return end if end > 2 else len(page)
    if page.startswith(("<!", "<?", "</"), start):
        return page.find(">", start) + 1 or len(page)
    return start + 1


def references(page: str, base: str) -> References:
    """Collect what a page leads to; `base` is its own URL, against which relative ones are resolved (RFC 3986)."""
    found: dict[Kind, dict[str, None]] = {kind: {} for kind in Kind}
    literals: dict[str, None] = {}
    title = ""
    for piece in pieces(page):
        if isinstance(piece, Piece):
            continue
        if piece.name == "title" and not title:
            title = " ".join(_unescaped(piece.inside[:1000]).split())
        elif piece.name == "base" and "href" in piece.attributes:
            base = _absolute(base, piece.attributes["href"]) or base
        for kind, reference in _of(piece):
            url = _absolute(base, reference)
            if url and len(found[kind]) < MAX_LINKS:
                found[kind][url] = None
                if len(literals) < MAX_LITERALS and is_literal(url):
                    literals[url] = None
        if piece.name in ("script", "style"):
            for match in _LITERAL.finditer(piece.inside):
                if len(literals) < MAX_LITERALS and _is_ipv4(match[1]):
                    literals[f"{match[0]} ({piece.name})"] = None
    return References(
        tuple(found[Kind.LINK]), tuple(found[Kind.ACTIVE]), tuple(found[Kind.PASSIVE]), tuple(literals), title
    )


def is_literal(url: str) -> bool:
    """Tell whether the host of a URL is an IPv4 address."""
    try:
        return _is_ipv4(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _of(tag: Tag) -> Iterator[tuple[Kind, str]]:
    values = tag.attributes
    if tag.name in ("a", "area"):
        yield Kind.LINK, values.get("href", "")
    elif tag.name in ("script", "iframe", "frame", "embed"):
        yield Kind.ACTIVE, values.get("src", "")
    elif tag.name == "object":
        yield Kind.ACTIVE, values.get("data", "")
    elif tag.name == "link":
        words = values.get("rel", "").lower().split()
        if "stylesheet" in words:
            yield Kind.ACTIVE, values.get("href", "")
        elif {"icon", "preload", "apple-touch-icon"} & set(words):
            yield Kind.PASSIVE, values.get("href", "")
    elif tag.name in ("img", "source", "audio", "video", "track", "input"):
        yield Kind.PASSIVE, values.get("src", "")
        yield Kind.PASSIVE, values.get("poster", "")
        for part in values.get("srcset", "").split(",")[:20]:
            yield Kind.PASSIVE, part.split()[0] if part.split() else ""
    elif tag.name == "style":
        for match in _CSS_URL.finditer(tag.inside[:65_536]):
            yield Kind.ACTIVE, match[1]
    if tag.name == "meta" and values.get("http-equiv", "").lower() == "refresh":
        _, sign, target = values.get("content", "").partition("=")
        if sign:
            yield Kind.LINK, target.strip(" '\"")


def _unescaped(text: str) -> str:
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def _absolute(base: str, reference: str) -> str:
    reference = re.sub(r"[\t\n\r]", "", _unescaped(reference).strip())[:1024]
    if not reference or reference.startswith("#"):
        return ""
    try:
        url = urljoin(base, reference).partition("#")[0]
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
    except ValueError:
        return ""
    return url if url.isprintable() and " " not in url else ""


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        if len(found) >= 40:
            break
        value = match[2] or ""
        found.setdefault(match[1].lower(), value[1:-1] if value[:1] in ("'", '"') else value)
    return found


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
