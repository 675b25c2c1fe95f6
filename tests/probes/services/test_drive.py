"""Many conversations at once, with peers that misbehave: bounded, and each good service is found all the same."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.services import drive as drives
from probes.kit.services import plan as plans
from probes.kit.services import stream
from probes.kit.services.drive import Drive, Result
from probes.kit.services.protocols import ssh_keys
from probes.kit.services.talk import Receive, Talk
from tests.probes.servers import tcp_server
from tests.support.patience import given_time

Peer = Callable[[socket.socket], None]


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


def test_good_services_are_found_among_bad_ones(serve: Callable[[Peer], int], monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [serve(peer) for peer in (silent, endless, dripping, resetting, false_tls, escape)]
    mail, page = serve(greeter), serve(web)

    def waiting(seconds: float) -> dict[int, Result]:
        """Identify them all, and wait so long for a greeting."""
        monkeypatch.setattr(plans, "SHORT_WAIT", seconds)
        return drive(*bad, mail, page)

    found = given_time(waiting, lambda found: bool(found[mail].heard and found[page].heard), first=0.4, enough=2)
    assert set(found) == {*bad, mail, page}
    greeted, titled = found[mail].heard, found[page].heard
    assert greeted is not None
    assert greeted.service == "smtp"
    assert titled is not None
    assert titled.facts["http.title"] == "school"
    silent_one = found[bad[0]]
    assert silent_one.heard is None
    odd = found[bad[5]].heard
    assert odd is not None
    assert odd.facts["banner"] == "]0;ownedhello"


def test_an_answer_that_a_reader_fails_at_costs_its_own_port_only(serve: Callable[[Peer], int]) -> None:
    def failing(_host: str, _port: int) -> Talk:
        raw = yield Receive(lambda got: got[9_999] > 0 if got.startswith(b"SSH") else b"\n" in got)
        raise UnicodeError(raw.decode())

    others = drives._planned

    def ssh(sock: socket.socket) -> None:
        sock.sendall(b"SSH-2.0-x\r\n")
        silent(sock)

    pages, greeting_, waiting = serve(web), serve(greeter), serve(ssh)
    net = Net(Scope())
    run = Drive(net, starts=lambda _, port: others(port, ()) if port == pages else (failing,)).run(
        [("127.0.0.1", port) for port in (greeting_, waiting, pages)], time.monotonic() + 20
    )
    found = {result.port: result for result in run}
    assert found[greeting_].fault.startswith("UnicodeError: 220 ")
    assert found[waiting].fault == "IndexError: index out of range"
    assert found[pages].fault == ""
    assert found[pages].heard is not None


def test_a_passed_deadline_gives_back_what_was_heard(serve: Callable[[Peer], int]) -> None:
    ports = [*(serve(silent) for _ in range(5)), said := serve(greeter)]
    found = given_time(lambda seconds: drive(*ports, seconds=200, deadline=seconds), bool, first=0.8)
    assert list(found) == [said]
    assert (heard := found[said].heard) is not None
    assert heard.service == "smtp"


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
    monkeypatch.setattr(stream, "MOST_BYTES", 20_000)
    found = drive(port)[port].heard
    assert found is not None
    assert found.service == "http"
    assert "http.title" not in found.facts


def costly(sock: socket.socket) -> None:
    """A key exchange of SSH that is a fixed text to the server, and two powers of 2048 bits to us."""

    def packet(payload: bytes) -> bytes:
        return (len(payload) + 9).to_bytes(4, "big") + b"\x08" + payload + bytes(8)

    kinds = map(ssh_keys.string, (b"diffie-hellman-group14-sha1", b"ssh-ed25519", *(b"none",) * 8))
    reply = b"".join(map(ssh_keys.string, (b"key", b"\x7f" * 255, b"signature")))
    sock.sendall(b"SSH-2.0-x\r\n" + packet(b"\x14" + bytes(16) + b"".join(kinds) + bytes(5)) + packet(b"\x1f" + reply))
    silent(sock)


def test_a_host_that_costs_too_much_of_our_own_time_is_asked_no_more(
    serve: Callable[[Peer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drives, "MOST_CPU", 0.1)
    ports = [serve(costly) for _ in range(80)]
    with tcp_server(greeter, host="127.0.0.2") as mail:
        pairs = [*(("127.0.0.1", port) for port in ports), ("127.0.0.2", mail)]
        run = Drive(Net(Scope(), per_host=4)).run(pairs, time.monotonic() + 30)
        found = {(result.address, result.port): result.heard for result in run}
    assert found["127.0.0.2", mail] is not None
    assert 1 < len(found) < 60
    assert None not in found.values()


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
