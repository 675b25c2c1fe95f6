"""A small collector over real TLS for tests of the agent: it keeps the contract of docs/interfaces.md, in memory."""

import contextlib
import hashlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wire.codec import decode, decompress, encode
from wire.digest import section_digest
from wire.orders import Orders
from wire.types import Answer, Enrolment, EnrolmentRequest, Policy, Refusal, Report, Section

SECRET = "s" * 32
CREDENTIAL = "the-agents-own-credential"
AGENT, UNIT, UNIT_NAME = "agent-1", "2164000001", "\u94f6\u5ddd\u5e02\u67d0\u5c0f\u5b66"

Reply = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA and a server certificate under it, made for one test run."""

    ca: bytes
    chain: Path

    @property
    def digest(self) -> str:
        """SHA-256 of the CA certificate, DER."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca.decode())).hexdigest()

    @property
    def token(self) -> str:
        """An enrolment token for a collector of this authority."""
        return f"edt1.{SECRET}.{self.digest}"


def make_authority(
    folder: Path, *, days: tuple[int, int] = (-1, 30), hosts: tuple[str, ...] = ("127.0.0.1",)
) -> Authority:
    """Make both certificates; the server's is valid between `days` from now."""
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    ca = (
        x509.CertificateBuilder(issuer, issuer, ca_key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(400))
        .not_valid_after(now + timedelta(400))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test collector")])
    server = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = folder / f"server-{len(list(folder.iterdir()))}.pem"
    chain.write_bytes(private + server.public_bytes(pem))
    return Authority(ca.public_bytes(pem), chain)


@dataclass(slots=True)
class Store:
    """What the collector keeps, and what it is told to do wrong: `script` holds answers for the next reports.

    With `holds` it knows of orders, has none, and holds questions about them until there is `news`. `claims` holds the
    answers to words on orders.
    """

    policy: Policy | None = None
    batches: dict[tuple[str, str, int], str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    enrolments: list[EnrolmentRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    duplicates: int = 0
    holds: bool = False
    news: threading.Event = field(default_factory=threading.Event)
    clock: float = 0.0
    script: deque[Callable[[Report], Reply | None]] = field(default_factory=deque)
    claims: deque[Reply] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """Names of all sections taken, in order."""
        return [section.name for section in self.sections]


def refuse(status: int, code: str, message: str = "no", sections: tuple[str, ...] = (), **headers: str) -> Reply:
    """Make a refusal."""
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        encode(Refusal(code, message, sections)),
    )


class FakeCollector:
    """One collector; it can be stopped and started again at the same port and keeps its store."""

    def __init__(self, authority: Authority, port: int) -> None:
        self.authority = authority
        self.store = Store()
        self.port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where agents find it."""
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        collector = self

        class Bound(Handler):
            store = collector.store
            authority = collector.authority

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Bound)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority.chain)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop listening; what is under way ends."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextlib.contextmanager
def running(authority: Authority, port: int) -> Iterator[FakeCollector]:
    """Run a collector for a while."""
    made = FakeCollector(authority, port)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class Handler(BaseHTTPRequestHandler):
    """What answers one request; `FakeCollector.start` binds it to a store."""

    store: Store
    authority: Authority
    timeout = 20
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self.store.paths.append(self.path)
        if self.path == "/api/v1/ca":
            self._send((200, {}, self.authority.ca))
        elif self.path.startswith("/api/v1/orders?") and self.store.holds:
            self._hold()
        else:
            self._send(refuse(404, "not_found"))

    def _hold(self) -> None:
        if "since=r0" in self.path:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.store.news.wait(300)
            self.wfile.write(encode(Orders(time.time(), "r0")))
            self.close_connection = True
        else:
            self._send((200, {}, encode(Orders(time.time(), "r0"))))

    def do_POST(self) -> None:
        self.store.paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/v1/orders/"):
            self._send(self.store.claims.popleft())
        else:
            self._send(self._enrol(body) if self.path == "/api/v1/enrol" else self._report(body))

    def _send(self, reply: Reply) -> None:
        status, headers, body = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _enrol(self, body: bytes) -> Reply:
        wanted = decode(EnrolmentRequest, body)
        if wanted.token != SECRET or any(known.token == wanted.token for known in self.store.enrolments):
            return refuse(401, "unauthorised", "the token was spent")
        self.store.enrolments.append(wanted)
        return 200, {}, encode(Enrolment(AGENT, UNIT, UNIT_NAME, "bearer", CREDENTIAL))

    def _report(self, body: bytes) -> Reply:
        if self.headers["Authorization"] != f"Bearer {CREDENTIAL}":
            return refuse(401, "unauthorised", "unknown credential")
        assert self.headers["Content-Encoding"] == "gzip"
        report = decode(Report, decompress(body))
        with self.store.lock:
            scripted = self.store.script.popleft()(report) if self.store.script else None
            return self._take(report) if scripted is None else scripted

    def _take(self, report: Report) -> Reply:
        store = self.store
        key = (report.agent, report.spool, report.sequence)
        highest = max((n for a, s, n in store.batches if (a, s) == key[:2]), default=0)
        if report.sequence <= highest:
            if store.batches.get(key, report.batch) != report.batch:
                return refuse(409, "conflict", "another batch has this sequence")
            store.duplicates += 1
            return self._answer(report, duplicate=True)
        known = dict(store.digests)
        unknown = []
        for section in report.sections:
            if section.body is None:
                if known.get((report.agent, section.name)) != section.digest:
                    unknown.append(section.name)
            else:
                assert section.digest == section_digest(section.probe, section.status, section.reason, section.body)
            if section.kind == "state":
                known[report.agent, section.name] = section.digest
        if unknown:
            return refuse(409, "unknown_digest", "send these in full", tuple(unknown))
        store.digests = known
        store.batches[key] = report.batch
        store.reports.append(report)
        store.sections.extend(report.sections)
        return self._answer(report, duplicate=False)

    def _answer(self, report: Report, *, duplicate: bool) -> Reply:
        policy = self.store.policy
        if policy is not None and policy.digest == report.policy:
            policy = None
        moment = time.time() + self.store.clock
        return 200, {}, encode(Answer(report.batch, report.sequence, moment, duplicate, policy))
