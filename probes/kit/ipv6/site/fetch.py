"""One HTTP GET to one address, bounded in bytes and time, its certificate judged.

Happy Eyeballs never has a say: each fetch names its address, the site's own name goes into TLS and Host.
"""

import re
import ssl
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from probes.kit.exchange.web import MAX_HEAD, Stage, Url
from probes.kit.scope.addresses import Address
from probes.kit.sending.connection import Connection
from probes.kit.sending.lenient import lenient_context
from probes.kit.sending.net import Net
from wire.types import Outcome

PATIENCE = 4
MAX_INFLATION = 20
"""A compressed page may grow to so many times what is read of a plain one; what is beyond is cut off."""
MAX_COOKIES = 12
_CHUNK = 65_536
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")
_COOKIE = re.compile(r"[!#-+\-.0-9A-Z^-z|~]{1,64}=[!#-+\--:<-\[\]-~]{0,400}")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class Wish:
    """How a page is fetched: seconds for connecting and for each silence, bytes at most, segment size.

    A page as a whole may take PATIENCE times as long.
    """

    timeout: float
    body: int
    mss: int | None = None
    ca_file: str = ""
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What came of one GET. `outcome` is OPEN when the connection stood; `stage` is how far it got.

    `certificate` is "" without TLS or when it is valid, else what is wrong with it. `complete` is False when less came
    than was announced. Times are seconds from the start of connecting.
    """

    url: Url
    address: Address
    stage: Stage
    outcome: Outcome
    status: int | None = None
    problem: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    received: int = 0
    certificate: str = ""
    connected: float = 0.0
    first_byte: float = 0.0
    total: float = 0.0
    mss: int | None = None
    cookies: tuple[str, ...] = ()

    @property
    def stalled(self) -> bool:
        """The connection stood, and then nothing more came: what a path that loses large packets looks like."""
        return self.stage in (Stage.TLS, Stage.HEAD, Stage.BODY) and self.problem == "timeout"

    @property
    def told(self) -> str:
        """One line of evidence."""
        said = f"{self.url.scheme}://{self.url.authority}{self.url.path} @ {self.address}: "
        if self.stage is Stage.TCP:
            return said + f"tcp {self.outcome}"
        parts = [str(self.status)] if self.status else []
        if self.status and 300 <= self.status < 400 and "location" in self.fields:
            parts.append(f"-> {self.fields['location'][:200]}")
        if self.stage is not Stage.DONE:
            parts.append(f"{self.stage} {self.problem}")
        if self.mss:
            parts.append(f"(MSS {self.mss})")
        return said + " ".join(parts)


class _Malformed(Exception):
    """The other side does not speak HTTP as it should."""


def fetch(net: Net, url: Url, address: Address, wish: Wish) -> Page:
    """Fetch a page from one address; a certificate that is not valid is noted and the page fetched all the same.

    Raises Refused.
    """
    page = _attempt(net, url, address, wish, verify=url.scheme == "https")
    if page.certificate or (page.stage is Stage.TLS and not page.stalled):
        again = _attempt(net, url, address, wish, verify=False)
        wrong = page.certificate or (page.problem if again.stage is not Stage.TLS else "")
        return replace(again, certificate=wrong)
    return page


def _attempt(net: Net, url: Url, address: Address, wish: Wish, *, verify: bool) -> Page:
    attempt = net.connect(address, url.port, wish.timeout, mss=wish.mss)
    line = attempt.connection
    page = Page(url, address, Stage.TCP, attempt.outcome, problem=attempt.settled.value, mss=wish.mss)
    if line is None:
        return page
    started = time.monotonic() - line.seconds
    deadline = time.monotonic() + wish.timeout
    reader = _Reader(line, wish)
    stage, problem, certificate, complete = Stage.TLS, "", "", False
    try:
        if url.scheme == "https":
            line.start_tls(url.host, _context(wish.ca_file) if verify else lenient_context(), deadline)
        stage = Stage.HEAD
        line.send(_request(url, wish.cookies), deadline)
        reader.head()
        stage = Stage.BODY
        complete = reader.read_body()
        stage = Stage.DONE
    except TimeoutError:
        problem = "timeout" if reader.patient else "too slow"
    except _Malformed as error:
        problem = str(error)
    except ssl.SSLCertVerificationError as error:
        problem = certificate = error.verify_message.lower() or "not valid"
    except ssl.SSLError as error:
        problem = (error.reason or "tls").lower()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
    finally:
        line.close()
    return replace(
        page,
        stage=stage,
        problem=problem,
        status=reader.status,
        fields=reader.fields,
        cookies=tuple(reader.cookies),
        body=_inflate(bytes(reader.body), reader.fields.get("content-encoding", ""), wish.body),
        complete=complete,
        received=reader.received,
        certificate=certificate,
        connected=line.seconds,
        first_byte=max(0.0, reader.first - started) if reader.first else 0.0,
        total=time.monotonic() - started,
    )


class _Reader:
    """Reads one response (RFC 9112) off a connection, up to `limit` bytes of body."""

    def __init__(self, line: Connection, wish: Wish) -> None:
        self._line, self._silence, self._limit = line, wish.timeout, wish.body
        self._end = time.monotonic() + PATIENCE * wish.timeout
        self._raw = bytearray()
        self.status: int | None = None
        self.fields: dict[str, str] = {}
        self.cookies: list[str] = []
        self.body = bytearray()
        self.received = 0
        self.first = 0.0

    @property
    def patient(self) -> bool:
        """There was time left for the whole page."""
        return time.monotonic() < self._end

    def head(self) -> None:
        for _ in range(5):
            while (end := self._raw.find(b"\r\n\r\n")) < 0:
                if len(self._raw) > MAX_HEAD:
                    raise _Malformed(f"a header of more than {MAX_HEAD} bytes")
                self._more("closed inside the header" if self._raw else "closed without a response")
            lines = bytes(self._raw[:end]).split(b"\r\n")
            del self._raw[: end + 4]
            found = _STATUS_LINE.fullmatch(lines[0])
            if found is None:
                raise _Malformed("no HTTP response")
            if int(found[1]) >= 200:
                self.status = int(found[1])
                for text in lines[1:]:
                    name, colon, value = text.decode("latin-1").partition(":")
                    if not colon:
                        continue
                    key = name.strip().lower()
                    self.fields.setdefault(key, value.strip()[:2048])
                    cookie = value.partition(";")[0].strip()
                    if key == "set-cookie" and _COOKIE.fullmatch(cookie) and len(self.cookies) < MAX_COOKIES:
                        self.cookies.append(cookie)
                return
        raise _Malformed("only interim responses")

    def read_body(self) -> bool:
        """Read by the framing that the header announces; False when less came than that."""
        if self.status in (204, 304):
            return True
        if "chunked" in self.fields.get("transfer-encoding", "").lower():
            return self._chunks()
        announced = self.fields.get("content-length", "")
        length = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else None
        wanted = self._limit if length is None else min(length, self._limit)
        try:
            while len(self._raw) < wanted:
                self._more("")
        except _Malformed:
            self.body += self._raw
            return length is None
        except TimeoutError:
            self.body += self._raw
            raise
        self.body += self._raw[:wanted]
        return True

    def _chunks(self) -> bool:
        try:
            while len(self.body) < self._limit:
                while (end := self._raw.find(b"\r\n")) < 0:
                    if len(self._raw) > 1024:
                        raise _Malformed("a chunk without a size")
                    self._more("")
                digits = bytes(self._raw[:end]).partition(b";")[0].strip()
                if not _SIZE.fullmatch(digits):
                    raise _Malformed("a chunk without a size")
                size = int(digits, 16)
                if size == 0:
                    return True
                del self._raw[: end + 2]
                left = min(size, self._limit - len(self.body))
                while len(self._raw) < left + (2 if left == size else 0):
                    self._more("")
                self.body += self._raw[:left]
                del self._raw[: left + 2]
        except _Malformed as error:
            if str(error):
                raise
            return False
        return True

    def _more(self, problem: str) -> None:
        part = self._line.receive(_CHUNK, min(self._end, time.monotonic() + self._silence))
        if not part:
            raise _Malformed(problem)
        self.first = self.first or time.monotonic()
        self.received += len(part)
        self._raw += part


def _inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip and deflate up to a bound, whatever is wrong with them; other encodings were not asked for."""
    kind = encoding.strip().lower()
    if kind not in ("gzip", "x-gzip", "deflate") or not body:
        return body
    windows = (47, -15) if kind == "deflate" else (47,)
    for window in windows:
        try:
            return zlib.decompressobj(window).decompress(body, min(limit * MAX_INFLATION, 8 << 20))[:limit]
        except zlib.error:
            continue
    return body


@cache
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cadata=Path(ca_file).read_text(encoding="ascii"))
    return context


def authorities(wish: Wish) -> str:
    """Give the certificate authorities that are trusted beside the system's, as PEM text."""
    return Path(wish.ca_file).read_text(encoding="ascii") if wish.ca_file else ""


def warm_up(ca_file: str) -> None:
    """Load the trust store once, before there are threads; raises ValueError for a file that cannot be used."""
    lenient_context()
    try:
        _context(ca_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{ca_file}: {error}") from None


def _request(url: Url, cookies: Sequence[str]) -> bytes:
    fields = (
        f"GET {url.path} HTTP/1.1",
        f"Host: {url.authority}",
        "User-Agent: Mozilla/5.0 (compatible; edusec; campus network monitor)",
        "Accept: text/html,*/*;q=0.8",
        "Accept-Encoding: gzip, deflate",
        "Connection: close",
        *((f"Cookie: {'; '.join(cookies)}",) if cookies else ()),
    )
    return ("\r\n".join(fields) + "\r\n\r\n").encode("ascii")
