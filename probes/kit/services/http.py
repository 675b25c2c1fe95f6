"""HTTP/1.1 (RFC 9112): status, server, title, generator, redirect, realm and cookies of the start page."""

import html
import re
from collections.abc import Mapping

from probes.kit.services.talk import MAX_ANSWER, Heard, Receive, Send, Talk, text, with_raw

AGENT = "Mozilla/5.0 (compatible; edusec)"
_STATUS = re.compile(rb"HTTP/(\d\.\d) (\d{3})(?: ([^\r\n]*))?\r?\n")
_TITLE = re.compile(rb"<title[^>]{0,200}>(.{0,1024}?)</title", re.IGNORECASE | re.DOTALL)
_GENERATOR = re.compile(
    rb"<meta[^>]{0,200}name=[\"']generator[\"'][^>]{0,200}content=[\"']([^\"']{1,256})", re.IGNORECASE
)
_HEADERS = {
    "server": "http_header.server",
    "x-powered-by": "http_header.x-powered-by",
    "www-authenticate": "http_header.wwwauth",
}


def talk(host: str, port: int, scheme: str = "http") -> Talk:
    """Ask for the start page with GET; nothing else is requested and no redirect is followed."""
    yield Send(request(host, port, scheme))
    raw = yield Receive(whole)
    heard = read(raw, scheme)
    return with_raw(heard, "GetRequest", raw) if heard else None


def request(host: str, port: int, scheme: str = "http", path: str = "/") -> bytes:
    """Write a request that asks the server to close afterwards and to send no compressed body."""
    name = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[scheme] == port
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {name}" if usual else f"Host: {name}:{port}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii", errors="replace")


def whole(raw: bytes) -> bool:
    """Tell whether head and announced body are there, or the end of a page's head."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = re.search(rb"\r\ncontent-length: *(\d{1,10})", head, re.IGNORECASE)
    if length and len(body) >= int(length[1]):
        return True
    return b"</title" in body.lower() or re.match(rb"HTTP/1\.[01] (?:1\d\d|204|304)", head) is not None


def read(raw: bytes, scheme: str = "http") -> Heard | None:
    """Read an answer; only its first 64 KiB count."""
    clipped = raw[:MAX_ANSWER]
    status = _STATUS.match(clipped)
    if status is None:
        return None
    head, _, body = clipped.partition(b"\r\n\r\n")
    headers = _fields(head)
    facts = {"http.status": text(status[2]), "http.version": text(status[1])}
    answers: list[tuple[str, str]] = []
    for name, key in _HEADERS.items():
        if name in headers:
            facts[f"http.{name}"] = headers[name]
            answers.append((key, headers[name]))
    if "location" in headers:
        facts["http.location"] = headers["location"]
    if "set-cookie" in headers:
        answers.append(("http_header.cookie", headers["set-cookie"]))
    if (title := _TITLE.search(body)) is not None:
        facts["http.title"] = " ".join(html.unescape(text(title[1])).split())
        answers.append(("html_title", facts["http.title"]))
    if (generator := _GENERATOR.search(body)) is not None:
        facts["http.generator"] = text(generator[1])
    return Heard(scheme, facts, tuple(answers))


def _fields(head: bytes) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in head.split(b"\r\n")[1:101]:
        name, colon, value = line.partition(b":")
        if colon and len(name) <= 64:
            fields.setdefault(text(name).lower(), text(value))
    return fields
