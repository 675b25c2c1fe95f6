"""HTTP/1.1 (RFC 9112): the start page, one redirect of its own, and its icon, each asked for once with GET."""

import html
import json
import re
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urljoin, urlsplit

from probes.kit.services.protocols import stray
from probes.kit.services.protocols.murmur import icon_hash
from probes.kit.services.talk import AGENT, MAX_ANSWER, Heard, Receive, Send, Start, Talk, text, with_raw

MAX_PATH = 512
MAX_PAGE = 4096
"""Characters of a page that fingerprints look at."""
MOST_REDIRECTS = 2
_STATUS = re.compile(rb"HTTP/(\d\.\d) (\d{3})(?: ([^\r\n]*))?\r?\n")
_TITLE = re.compile(rb"<title[^>]{0,200}>(.{0,1024}?)</title", re.IGNORECASE | re.DOTALL)
_META = re.compile(rb"<meta\s[^>]{0,600}>", re.IGNORECASE)
_LINK = re.compile(rb"<link\s[^>]{0,600}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"([a-z-]{1,20})\s{0,4}=\s{0,4}(?:\"([^\"]{0,512})\"|'([^']{0,512})'|([^\s\"'>]{1,512}))", re.IGNORECASE
)
_HEADERS = {
    "server": "http_header.server",
    "x-powered-by": "http_header.x-powered-by",
    "www-authenticate": "http_header.wwwauth",
}
_USUAL = frozenset(
    {
        "accept-ranges", "age", "allow", "cache-control", "connection", "content-language", "content-length",
        "content-security-policy", "content-type", "date", "etag", "expires", "keep-alive", "last-modified", "location",
        "p3p", "pragma", "referrer-policy", "set-cookie", "strict-transport-security", "transfer-encoding", "vary",
        "via", "x-content-type-options", "x-frame-options", "x-xss-protection", *_HEADERS,
    }
)  # fmt: skip
"""Fields that tell nothing of the product, or that have fingerprints of their own."""
MOST_FIELDS = 16
LOGINS = frozenset({"basic", "digest", "ntlm", "negotiate"})
"""Ways of a login that a server may ask for (IANA, HTTP Authentication Schemes); only the first it names counts."""
_TLS_WANTED = re.compile(
    rb"^HTTP/1\.\d 400 [^\0]*(?:plain HTTP request was sent to HTTPS|speaking plain HTTP to an SSL)"
)
"""What nginx and Apache say to whoever asks for a page without TLS where there is TLS."""
_ELSEWHERE = re.compile(r"(<a\s[^>]{0,300}?\bhref\s{0,4}=\s{0,4}[\"']?)(?:https?:)?//[^\"'\s>]{1,512}", re.IGNORECASE)
"""A link that a reader may follow to another server: what it leads to is not what this server is."""
_RIGHTS = re.compile(r"©|&copy;|版权所有|copyright|rights reserved", re.IGNORECASE)
MOST_NOTICES = 3
MAX_MAKER = 1024
NOTICE = 120
"""Characters on either side of a mark of copyright that belong to the notice."""
_IMAGES = (b"\0\0\1\0", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"<svg", b"<?xml", b"BM", b"RIFF")


def talk(host: str, port: int, scheme: str = "http") -> Talk:
    """Ask for the start page; its icon and a redirect to another page of the same server are asked for afterwards.

    A server of another protocol may say in its own words that it understood nothing, and so what it is.
    """
    yield Send(request(host, port, scheme))
    raw = yield Receive(whole)
    if scheme == "http" and _TLS_WANTED.search(raw[:MAX_PAGE]):
        return None  # what this port speaks shows in TLS, where a certificate shows as well
    heard = read(raw, scheme, where=(host, port)) or stray.read(raw)
    return with_raw(heard, "GetRequest", raw) if heard else None


def request(host: str, port: int, scheme: str = "http", path: str = "/", *, body: bytes = b"", kind: str = "") -> bytes:
    """Write a request that asks the server to close afterwards and to send no compressed body; POST if it has one."""
    name = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[scheme] == port
    about = (f"Content-Type: {kind}", f"Content-Length: {len(body)}") if body else ()
    lines = (
        f"{'POST' if body else 'GET'} {path} HTTP/1.1",
        f"Host: {name}" if usual else f"Host: {name}:{port}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        *about,
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii", errors="replace") + body


def whole(raw: bytes) -> bool:
    """Tell whether head and announced body are there, or the end of a page's head."""
    return complete(raw) or b"</title" in raw.partition(b"\r\n\r\n")[2].lower()


def complete(raw: bytes) -> bool:
    """Tell whether head and announced body are there."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = re.search(rb"\r\ncontent-length: *(\d{1,10})", head, re.IGNORECASE)
    if length and len(body) >= int(length[1]):
        return True
    return re.match(rb"HTTP/1\.[01] (?:1\d\d|204|304)", head) is not None or body.endswith(b"\r\n0\r\n\r\n")


def read(raw: bytes, scheme: str = "http", *, where: tuple[str, int] | None = None) -> Heard | None:
    """Read an answer; only its first 64 KiB count. With `where` it says which pages are worth a further look."""
    clipped = raw[:MAX_ANSWER]
    status = _STATUS.match(clipped)
    if status is None:
        return None
    head, _, _ = clipped.partition(b"\r\n\r\n")
    headers = _fields(head)
    body = content(clipped, headers)
    facts = {"http.status": text(status[2]), "http.version": text(status[1])}
    answers: list[tuple[str, str]] = []
    for name, key in _HEADERS.items():
        if name in headers:
            facts[f"http.{name}"] = headers[name]
            answers.append((key, headers[name]))
    scheme_asked = headers.get("www-authenticate", "").partition(" ")[0].lower()
    if scheme_asked in LOGINS:
        facts["http.login"] = scheme_asked
    realm = re.search(r'realm="?([^",]{1,128})', headers.get("www-authenticate", ""), re.IGNORECASE)
    if realm:
        facts["realm"] = realm[1]
    if "location" in headers:
        facts["http.location"] = headers["location"]
    if "set-cookie" in headers:
        answers.append(("http_header.cookie", headers["set-cookie"]))
    unusual = [f"{name}: {value}" for name, value in headers.items() if name not in _USUAL]
    answers += [("http_header", line) for line in unusual[:MOST_FIELDS]]
    page, shown = _page(body)
    facts |= page
    answers += shown
    facts |= _tagline(body)
    then = _then(where, scheme, headers.get("location", ""), body, 0) if where is not None else ()
    return Heard(scheme, facts, tuple(answers), then)


def body(raw: bytes) -> bytes:
    """Give the body of an answer, at most MAX_ANSWER bytes; empty when it is no answer of HTTP."""
    clipped = raw[:MAX_ANSWER]
    if _STATUS.match(clipped) is None:
        return b""
    return content(clipped, _fields(clipped.partition(b"\r\n\r\n")[0]))


def content(raw: bytes, headers: Mapping[str, str]) -> bytes:
    """Give the body of an answer without its chunks, and unpacked where it came packed all the same; bounded."""
    body = raw.partition(b"\r\n\r\n")[2]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    coding = headers.get("content-encoding", "").lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        try:
            # 32 + 15: the header says whether it is gzip or zlib. What does not fit the bound is never made.
            body = zlib.decompressobj(47).decompress(body, MAX_ANSWER)
        except zlib.error:
            return b""
    return body


def _unchunked(body: bytes) -> bytes:
    """Join the chunks that are there (RFC 9112 section 7.1)."""
    out, at = bytearray(), 0
    while (found := re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,256}\r\n").match(body, at)) is not None:
        size = int(found[1], 16)
        out += body[found.end() : found.end() + size]
        at = found.end() + size + 2
        if size == 0:
            break
    return bytes(out)


def _page(body: bytes) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Read what a page shows of itself."""
    facts: dict[str, str] = {}
    answers: list[tuple[str, str]] = []
    if (title := _TITLE.search(body)) is not None:
        facts["http.title"] = _unescaped(title[1])
        answers.append(("html_title", facts["http.title"]))
    generator = next(
        (
            tag["content"]
            for tag in _tags(_META, body)
            if tag.get("name", "").lower() == "generator" and "content" in tag
        ),
        "",
    )
    if generator:
        facts["http.generator"] = generator
        answers.append(("html_generator", generator))
    if body:
        shown = text(body, MAX_PAGE)
        answers.append(("http_body", _ELSEWHERE.sub(r"\1", shown)))
        if maker := _maker(body, shown, facts.get("http.title", "")):
            answers.append(("http_maker", maker))
    return facts, answers


def _maker(body: bytes, page: str, title: str) -> str:
    """Give the parts of a page where its maker signs: title, descriptions, notices of copyright.

    The name of a firm anywhere else may be a school's news of what it has bought.
    """
    told = [tag["content"] for tag in _tags(_META, body)[:8] if "content" in tag]
    notices = [
        " ".join(re.sub(r"<[^>]{0,300}>?", " ", page[max(0, found.start() - NOTICE) : found.end() + NOTICE]).split())
        for found in list(_RIGHTS.finditer(page))[:MOST_NOTICES]
    ]
    return " | ".join(part for part in (title, *told, *notices) if part)[:MAX_MAKER]


def _unescaped(raw: bytes) -> str:
    """Read text with references such as `&amp;`; what they stand for has to be printable, too."""
    plain = " ".join(html.unescape(text(raw)).split())
    return "".join(char for char in plain if char.isprintable())


def _tags(kind: re.Pattern[bytes], body: bytes) -> list[dict[str, str]]:
    found = []
    for tag in list(kind.finditer(body))[:64]:
        pairs = _ATTRIBUTE.findall(tag[0])[:16]
        found.append({name.decode().lower(): _unescaped(a or b or c) for name, a, b, c in pairs})
    return found


def _tagline(body: bytes) -> dict[str, str]:
    """Read the greeting of Elasticsearch and OpenSearch, a small JSON document."""
    if b'"tagline"' not in body[:MAX_PAGE]:
        return {}
    try:
        said = json.loads(body[:MAX_PAGE])
        version, cluster = said["version"], text(str(said.get("cluster_name", "")).encode())
        number = text(str(version["number"]).encode(), 32)
        opensearch = version.get("distribution") == "opensearch"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    vendor, product = ("OpenSearch", "OpenSearch") if opensearch else ("Elastic", "Elasticsearch")
    name = "opensearch:opensearch" if opensearch else "elastic:elasticsearch"
    return {
        "service.vendor": vendor,
        "service.product": product,
        "service.version": number,
        "service.cpe23": f"cpe:/a:{name}:{number}",
        "authentication": "none",
        "cluster": cluster,
    }


def _then(where: tuple[str, int], scheme: str, location: str, body: bytes, depth: int) -> tuple[Start, ...]:
    """Give what is worth a further look on the same server: where it redirects to, or its icon."""
    host, port = where
    base = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    if location and depth < MOST_REDIRECTS and (path := _same(base, location)):
        return (over(scheme, partial(_follow, path, depth + 1)),)
    icon = next(
        (tag["href"] for tag in _tags(_LINK, body) if "icon" in tag.get("rel", "").lower() and "href" in tag), ""
    )
    path = _same(base, icon) if icon else ""
    return (over(scheme, partial(_icon, path or "/favicon.ico")),)


def _same(base: str, link: str) -> str:
    """Give path and query of a link that stays on the server it was found on; empty for any other."""
    try:
        found, own = urlsplit(urljoin(base, link[:MAX_PATH])), urlsplit(base)
        stays = (found.scheme, found.hostname, found.port or {"http": 80, "https": 443}.get(found.scheme)) == (
            own.scheme, own.hostname, own.port,
        )  # fmt: skip
    except ValueError:
        return ""
    path = (found.path or "/") + (f"?{found.query}" if found.query else "")
    return path if stays and path.isascii() and path.isprintable() and " " not in path else ""


def over(scheme: str, talk_on: Callable[[str, int, str], Talk]) -> Start:
    """Give a conversation for the scheme: in TLS where that is https."""

    def start(host: str, port: int) -> Talk:
        if scheme == "https":
            from probes.kit.services.protocols.tls import shake

            if (yield from shake(host)) is None:
                return None
        return (yield from talk_on(host, port, scheme))

    return start


def _follow(path: str, depth: int, host: str, port: int, scheme: str) -> Talk:
    yield Send(request(host, port, scheme, path))
    raw = yield Receive(whole)
    status = _STATUS.match(raw)
    if status is None:
        return None
    headers = _fields(raw.partition(b"\r\n\r\n")[0])
    body = content(raw, headers)
    facts, answers = _page(body)
    for name, key in _HEADERS.items():
        if name in headers:
            answers.append((key, headers[name]))
    if "set-cookie" in headers:
        answers.append(("http_header.cookie", headers["set-cookie"]))
    return Heard(scheme, facts, tuple(answers), _then((host, port), scheme, headers.get("location", ""), body, depth))


def _icon(path: str, host: str, port: int, scheme: str) -> Talk:
    yield Send(request(host, port, scheme, path))
    raw = yield Receive(complete)
    status = _STATUS.match(raw)
    headers = _fields(raw.partition(b"\r\n\r\n")[0])
    if status is None or status[2] != b"200":
        return None
    icon = content(raw, headers)
    # An icon that does not fit, or of which only a part came, would be hashed in part, which says nothing.
    framed = "content-length" in headers or "transfer-encoding" in headers
    if max(len(raw), len(icon)) >= MAX_ANSWER or (framed and not complete(raw)):
        return None
    if not icon.lstrip()[:4].startswith(_IMAGES):
        return None
    number = str(icon_hash(icon))
    return Heard(scheme, {"http.icon": number}, (("http_icon", number),))


def _fields(head: bytes) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in head.split(b"\r\n")[1:101]:
        name, colon, value = line.partition(b":")
        if colon and len(name) <= 64:
            fields.setdefault(text(name).lower(), text(value))
    return fields
