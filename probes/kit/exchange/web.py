"""One HTTP/1.1 GET (RFC 9112) to one given address, with the site's own name in TLS and Host; nothing is followed."""

import re
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from probes.kit.scope.addresses import Address
from probes.kit.scope.entries import normal_domain
from probes.kit.sending.connection import Connection
from probes.kit.sending.lenient import lenient_context
from probes.kit.sending.net import Net
from wire.text import TextError, text_of, within
from wire.types import Outcome

MAX_HEAD = 16_384
MAX_BODY = 65_536
"""Of a larger body only so much is read: enough to see that full-size packets come through."""
MAX_URL = 1024
_CHUNK = 16_384
_MAX_INTERIM = 5
_PORTS = {"http": 80, "https": 443}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")
_PATH_SAFE = "/%:@!$&'()*+,;=~-._?"


class Stage(StrEnum):
    """How far a fetch got; DONE means that a whole response (or MAX_BODY of it) arrived."""

    TCP = "tcp"
    TLS = "tls"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Url:
    """Where a page is. `host` is a domain in ASCII or an address; `text` is how an operator wrote it."""

    scheme: str
    host: str
    port: int
    path: str
    text: str

    @property
    def address(self) -> Address | None:
        """The host as an address, if it is one."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """The value of the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Fetch:
    """What came of one GET. `outcome` is OPEN when the connection stood, else what stood in its way.

    `problem` says in a few words what went wrong at `stage`; `seconds` is the handshake's round trip.
    """

    stage: Stage
    outcome: Outcome
    status: int | None = None
    problem: str = ""
    seconds: float = 0.0
    location: str = ""
    body: bytes = b""


class _Malformed(Exception):
    """The other side does not speak HTTP as it should."""


def parse_url(text: str) -> Url:
    """Read an http or https URL; raises ValueError saying what is wrong with it."""
    if len(text) > MAX_URL or not text.isprintable() or " " in text:
        raise TextError(
            f"{text[:64]!r}：最多 {MAX_URL} 个字符，不含空格",
            f"{text[:64]!r}: at most {MAX_URL} characters without blanks are allowed",
        )
    parts = urlsplit(text)
    if parts.scheme not in _PORTS:
        raise TextError(
            f"{text[:64]!r}：只支持 http:// 和 https://", f"{text[:64]!r}: only http:// and https:// are known"
        )
    if "@" in parts.netloc or not parts.hostname:
        raise TextError(
            f"{text[:64]!r}：须有主机名，不带用户名和口令", f"{text[:64]!r}: needs a host, without a user or password"
        )
    try:
        port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    except ValueError:
        raise TextError(
            f"{text[:64]!r}：端口须为 1 至 65535", f"{text[:64]!r}: the port must be a number from 1 to 65535"
        ) from None
    if port == 0:
        raise TextError(
            f"{text[:64]!r}：端口须为 1 至 65535", f"{text[:64]!r}: the port must be a number from 1 to 65535"
        )
    path = quote(parts.path or "/", safe=_PATH_SAFE) + (
        "?" + quote(parts.query, safe=_PATH_SAFE) if parts.query else ""
    )
    return Url(parts.scheme, _host(parts.hostname, text), port, path, text)


def urls_of(target: str) -> tuple[Url, ...]:
    """Read a target, a URL or a bare domain; a domain stands for its page by https, then by http."""
    if "://" in target:
        return (parse_url(target),)
    if "/" in target:
        raise TextError(
            f"{target[:64]!r}：请写完整的网址，以 http:// 或 https:// 开头",
            f"{target[:64]!r}: write the whole URL with http:// or https://",
        )
    host = f"[{target}]" if target.count(":") > 1 and not target.startswith("[") else target
    found = (parse_url(f"https://{host}/"), parse_url(f"http://{host}/"))
    return tuple(Url(url.scheme, url.host, url.port, url.path, target) for url in found)


def get(net: Net, url: Url, address: Address, *, timeout: float) -> Fetch:
    """Fetch a page from one address of its host; `timeout` in seconds is for each of connecting and all the rest.

    Raises Refused. Certificates are not judged here: the question is what the family of addresses can reach.
    """
    attempt = net.connect(address, url.port, timeout)
    connection = attempt.connection
    if connection is None:
        return Fetch(Stage.TCP, attempt.outcome, problem=attempt.settled.value)
    deadline = time.monotonic() + timeout
    stage = Stage.TLS
    status: int | None = None
    location = ""
    try:
        if url.scheme == "https":
            connection.start_tls(url.host, lenient_context("http/1.1"), deadline)
        stage = Stage.HEAD
        connection.send(request_head(url), deadline)
        status, fields, rest = _read_head(connection, deadline)
        stage, location = Stage.BODY, fields.get("location", "")[:MAX_URL]
        body = _read_body(connection, status, fields, rest, deadline)
        return Fetch(Stage.DONE, Outcome.OPEN, status, "", connection.seconds, location, body)
    except TimeoutError:
        problem = "timeout"
    except _Malformed as error:
        problem = str(error)
    except ssl.SSLError as error:
        problem = (error.reason or "tls").lower()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
    finally:
        connection.close()
    return Fetch(stage, Outcome.OPEN, status, problem, connection.seconds, location)


def _host(host: str, text: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return normal_domain(host)
    except ValueError as error:
        raise TextError(*within(f"{text[:64]!r}: {host[:64]!r}", text_of(error))) from None


def request_head(url: Url) -> bytes:
    """Write a GET for a URL (RFC 9112, section 3): nothing compressed, one request a connection."""
    fields = (
        f"GET {url.path} HTTP/1.1",
        f"Host: {url.authority}",
        "User-Agent: edusec (campus network monitor)",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return ("\r\n".join(fields) + "\r\n\r\n").encode("ascii")


def _read_head(connection: Connection, deadline: float) -> tuple[int, dict[str, str], bytes]:
    raw = b""
    for _ in range(_MAX_INTERIM):
        while b"\r\n\r\n" not in raw:
            if len(raw) > MAX_HEAD:
                raise _Malformed(f"a header of more than {MAX_HEAD} bytes")
            part = connection.receive(_CHUNK, deadline)
            if not part:
                raise _Malformed("closed before the end of the header" if raw else "closed without a response")
            raw += part
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        found = _STATUS_LINE.fullmatch(lines[0])
        if found is None:
            raise _Malformed("no HTTP response")
        status = int(found[1])
        if status >= 200:
            return status, header_fields(lines[1:]), raw
    raise _Malformed("only interim responses")


def header_fields(lines: list[bytes]) -> dict[str, str]:
    """Read header lines: names in lower case, of a repeated one the first, what has no colon left out."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _read_body(connection: Connection, status: int, fields: dict[str, str], rest: bytes, deadline: float) -> bytes:
    """Read by the framing that the header announces (RFC 9112 section 6.3), up to MAX_BODY bytes."""
    if status in (204, 304):
        return b""
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return _read_chunks(connection, rest, deadline)
    announced = fields.get("content-length", "")
    length = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else None
    wanted = MAX_BODY if length is None else min(length, MAX_BODY)
    body = bytearray(rest)
    while len(body) < wanted:
        part = connection.receive(_CHUNK, deadline)
        if not part:
            if length is not None:
                raise _Malformed(f"closed after {len(body)} of {length} bytes")
            break
        body += part
    return bytes(body[:wanted])


def _read_chunks(connection: Connection, rest: bytes, deadline: float) -> bytes:
    body, raw = bytearray(), bytearray(rest)
    while len(body) < MAX_BODY:
        while (end := raw.find(b"\r\n")) < 0:
            if len(raw) > 1024:
                raise _Malformed("a chunk without a size")
            raw += _more(connection, deadline)
        digits = bytes(raw[:end]).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", digits):
            raise _Malformed("a chunk without a size")
        size = int(digits, 16)
        if size == 0:
            return bytes(body)
        del raw[: end + 2]
        wanted = min(size + 2, MAX_BODY - len(body))
        while len(raw) < wanted:
            raw += _more(connection, deadline)
        body += raw[: min(size, wanted)]
        del raw[: size + 2]
    return bytes(body[:MAX_BODY])


def _more(connection: Connection, deadline: float) -> bytes:
    part = connection.receive(_CHUNK, deadline)
    if not part:
        raise _Malformed("closed inside a chunk")
    return part
