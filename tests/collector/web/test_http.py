"""HTTP manners of the collector: methods, headers, TLS, and what a stranger is told."""

import contextlib
import http.client
import socket
import ssl

import pytest

from tests.collector.web.door import SCHOOL, Door
from wire.codec import compress, decode, encode
from wire.types import Refusal


def test_every_answer_carries_the_security_headers(shared: Door) -> None:
    for path, status in (("/healthz", 200), ("/nothing", 404), ("/api/v1/units", 401)):
        heard = shared.ask("GET", path)
        assert heard.status == status
        assert heard.headers["x-content-type-options"] == "nosniff"
        assert heard.headers["cache-control"] == "no-store"
        assert heard.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in heard.headers


def test_health_needs_no_token_and_says_nothing_else(shared: Door) -> None:
    heard = shared.ask("GET", "/healthz")
    assert heard.json() == {"status": "ok"}
    assert heard.headers["content-type"] == "application/json"


def test_discovery_of_no_agents_is_an_empty_list(shared: Door) -> None:
    heard = shared.ask("GET", "/api/v1/sd?role=agent", token=shared.scraper)
    assert (heard.status, heard.body) == (200, b"[]")
    assert heard.headers["content-type"] == "application/json"
    assert len(shared.ask("GET", "/api/v1/sd", token=shared.scraper).json()) == 1


def test_head_is_get_without_a_body(shared: Door) -> None:
    line = shared.connection()
    try:
        for path in ("/healthz", "/api/v1/ca", "/api/v1/units", "/nothing"):
            asked = shared.ask("GET", path, connection=line)
            heard = shared.ask("HEAD", path, connection=line)
            assert heard.status == asked.status
            assert heard.body == b""
            assert heard.headers["content-length"] == str(len(asked.body))
    finally:
        line.close()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/reports", "POST"),
        ("DELETE", "/api/v1/units", "GET"),
        ("PUT", "/api/v1/alerts/x/ack", "POST"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_other_methods_are_refused_with_those_allowed(shared: Door, method: str, path: str, allowed: str) -> None:
    heard = shared.ask(method, path, token=shared.admin)
    assert (heard.status, heard.refusal().code) == (405, "bad_request")
    assert allowed in heard.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/api/v2/units", "/schema", "/docs", "/../etc/passwd", "/%2e%2e/x", "/api/v1/units/x"],
)
def test_what_is_not_there_is_a_refusal(shared: Door, path: str) -> None:
    heard = shared.ask("GET", path, token=shared.admin)
    assert (heard.status, heard.refusal().code) == (404, "not_found")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_small_bodies_must_be_json(shared: Door, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    body = b'{"unit": "%s"}' % SCHOOL.encode()
    heard = shared.ask("POST", "/api/v1/enrolment-tokens", body, token=shared.admin, headers=headers)
    assert heard.status == 415


def test_only_tls_is_spoken(shared: Door) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not line.recv(100).startswith(b"HTTP")
    assert shared.ask("GET", "/healthz").status == 200


def test_a_client_with_another_ca_goes_away(shared: Door) -> None:
    line = http.client.HTTPSConnection(
        "127.0.0.1", shared.port, timeout=30, context=ssl.create_default_context(cadata=None)
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        line.request("GET", "/healthz")
    line.close()
    assert shared.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    "words",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 40_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_hung_up_on(shared: Door, words: bytes) -> None:
    with shared.line() as line:
        line.sendall(words)
        content = b""
        try:
            while piece := line.recv(65536):
                content += piece
        except (ConnectionResetError, ssl.SSLError):
            pass
    assert content == b"" or content.startswith(b"HTTP/1.1 4"), content[:200]
    if content:
        assert decode(Refusal, content.partition(b"\r\n\r\n")[2]).code in ("bad_request", "too_large", "not_found")
    assert shared.ask("GET", "/healthz").status == 200


def test_an_upgrade_is_not_followed(shared: Door) -> None:
    heard = shared.ask("GET", "/healthz", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert heard.status == 200


def test_one_connection_carries_many_requests(shared: Door) -> None:
    line = shared.connection()
    try:
        for _ in range(50):
            assert shared.ask("GET", "/healthz", connection=line).status == 200
    finally:
        line.close()


def test_requests_in_one_go_are_answered_in_order(shared: Door) -> None:
    with shared.line() as line:
        line.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        content = b""
        while piece := line.recv(65536):
            content += piece
    statuses = [content[at + 9 : at + 12] for at in _found(content, b"HTTP/1.1 ")]
    assert statuses == [b"200", b"404", b"200"]


def test_a_large_body_gets_its_413_before_and_after_it_is_sent(shared: Door) -> None:
    gateway = shared.enrol()
    head = (
        b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: 5000000\r\n" % gateway.credential.encode()
    )
    with shared.line() as line:
        line.sendall(head + b"\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")
        # The rest is read away, so that a client that writes first still gets the answer, and the line stays of use.
        line.sendall(bytes(5_000_000))
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        content = b""
        while piece := line.recv(65536):
            content += piece
        assert b"HTTP/1.1 200" in content
    with shared.line() as line:
        line.sendall(head + b"Expect: 100-continue\r\n\r\n")
        content = b""
        while piece := line.recv(65536):
            content += piece
    assert content.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in content.lower()


def test_who_expects_a_go_ahead_gets_it(shared: Door) -> None:
    gateway = shared.enrol()
    body = compress(encode(gateway.report()))
    with shared.line() as line:
        line.sendall(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Encoding: gzip\r\nConnection: close\r\nExpect: 100-continue\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (gateway.credential.encode(), len(body))
        )
        assert line.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        line.sendall(body)
        content = b""
        while piece := line.recv(65536):
            content += piece
    assert content.startswith(b"HTTP/1.1 200")


def _found(content: bytes, mark: bytes) -> list[int]:
    return [at for at in range(len(content)) if content.startswith(mark, at)]
