"""Many conversations at once, with peers that misbehave: bounded, and each good service is found all the same."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.kit.net import Net
from probes.kit.scope import Scope
from probes.kit.services import drive as drives
from probes.kit.services import plan as plans
from probes.kit.services.drive import Drive, Result

Peer = Callable[[socket.socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Peer], int]]:
    """`serve(peer)`: a loopback port where each connection is handed to `peer` in a thread; all end with the test."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []
    held: list[socket.socket] = []

    def one(sock: socket.socket, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            peer(sock)
        sock.close()

    def accept(listener: socket.socket, peer: Peer) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            held.append(sock)
            thread = threading.Thread(target=one, args=(sock, peer))
            threads.append(thread)
            thread.start()

    def start(peer: Peer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(listener, peer))
        threads.append(thread)
        thread.start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for sock in held:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for sock in held:
        sock.close()


def drive(*ports: int, seconds: float = 6.0, deadline: float = 30.0) -> dict[int, Result]:
    """Identify loopback ports."""
    run = Drive(Net(Scope()), seconds=seconds)
    return {result.port: result for result in run.run([("127.0.0.1", p) for p in ports], time.monotonic() + deadline)}


def greeter(sock: socket.socket) -> None:
    """Speak first, as mail servers do."""
    sock.sendall(b"220 mx.example.edu.cn ESMTP Postfix\r\n")
    sock.recv(100)


def web(sock: socket.socket) -> None:
    """Answer a request with a page."""
    if sock.recv(4096).startswith(b"GET / HTTP/1.1\r\n"):
        sock.sendall(b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\r\n<title>school</title>")


def silent(sock: socket.socket) -> None:
    """Accept and never say anything."""
    while sock.recv(4096):
        pass


def endless(sock: socket.socket) -> None:
    """Send a line without an end for as long as anybody listens."""
    while True:
        sock.sendall(b"A" * 65536)
        time.sleep(0.01)  # the other peers share this interpreter


def dripping(sock: socket.socket) -> None:
    """Send a byte now and then."""
    while True:
        sock.sendall(b"x")
        time.sleep(0.2)


def resetting(sock: socket.socket) -> None:
    """Reset each connection at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def false_tls(sock: socket.socket) -> None:
    """Answer everything with a broken TLS record."""
    sock.recv(4096)
    sock.sendall(b"\x16\x03\x03\xff\xff" + b"\0" * 2000)
    silent(sock)


def escape(sock: socket.socket) -> None:
    """Greet with a terminal escape."""
    sock.sendall(b"\x1b]0;owned\x07hello\r\n")
    silent(sock)


def test_good_services_are_found_among_bad_ones(serve: Callable[[Peer], int]) -> None:
    bad = [serve(peer) for peer in (silent, endless, dripping, resetting, false_tls, escape)]
    mail, page = serve(greeter), serve(web)
    found = drive(*bad, mail, page)
    assert set(found) == {*bad, mail, page}
    assert found[mail].heard is not None
    assert found[mail].heard.service == "smtp"
    assert found[page].heard is not None
    assert found[page].heard.facts["http.title"] == "school"
    silent_one = found[bad[0]]
    assert silent_one.heard is None
    odd = found[bad[5]].heard
    assert odd is not None
    assert odd.facts["banner"] == "]0;ownedhello"


def test_a_passed_deadline_gives_every_started_port_back(serve: Callable[[Peer], int]) -> None:
    ports = [serve(silent) for _ in range(5)]
    found = drive(*ports, seconds=20, deadline=0.5)
    assert {port: result.heard for port, result in found.items()} == dict.fromkeys(ports)


def test_a_connection_that_sends_more_than_any_conversation_asks_for_is_left(
    serve: Callable[[Peer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def long(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b" " * 50_000 + b"<title>late</title>")
        silent(sock)

    port = serve(long)
    found = drive(port)[port].heard
    assert found is not None
    assert found.facts["http.title"] == "late"
    monkeypatch.setattr(drives, "MOST_BYTES", 20_000)
    found = drive(port)[port].heard
    assert found is not None
    assert found.service == "http"
    assert "http.title" not in found.facts


def test_nothing_outside_the_scope_is_called() -> None:
    net = Net(Scope())
    results = list(Drive(net).run([("198.51.100.7", 80)], time.monotonic() + 5))
    assert results[0].heard is None
    assert results[0].refused is not None
    assert "edusec scope add 198.51.100.7" in str(results[0].refused)
    assert net.sent == 0


def test_printers_are_not_spoken_to() -> None:
    net = Net(Scope())
    results = list(Drive(net).run([("127.0.0.1", port) for port in (515, 9100, 9107)], time.monotonic() + 5))
    assert [result.heard for result in results] == [None, None, None]
    assert net.sent == 0


def test_a_closed_port_is_no_service_and_no_error(free_port: Callable[..., int]) -> None:
    port = free_port()
    assert drive(port)[port].heard is None


@pytest.fixture
def certificate(tmp_path: Path, needs: Callable[..., str]) -> Path:
    """A fresh key and certificate in one PEM file."""
    pem = tmp_path / "pair.pem"
    command = [needs("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "3", "-subj", "/CN=oa.example.edu.cn", "-addext", "subjectAltName=DNS:oa.example.edu.cn"]
    subprocess.run([*command, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    return pem


def test_tls_on_an_unusual_port_shows_certificate_and_page(
    serve: Callable[[Peer], int], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def secure(sock: socket.socket) -> None:
        try:
            inside = context.wrap_socket(sock, server_side=True)
        except (ssl.SSLError, OSError):
            return
        with inside:
            web(inside)

    port = serve(secure)
    found = drive(port)[port].heard
    assert found is not None
    assert found.service == "https"
    assert found.facts["tls.subject"] == "CN=oa.example.edu.cn"
    assert found.facts["tls.names"] == "oa.example.edu.cn"
    assert found.facts["tls.expired"] == "no"
    assert found.facts["http.title"] == "school"
    monkeypatch.setattr(plans, "TLS_FIRST", frozenset({port}))
    assert drive(port)[port].heard == found
