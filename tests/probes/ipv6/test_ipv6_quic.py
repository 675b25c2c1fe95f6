"""QUIC handshakes with a real server of aioquic, and with servers that speak something else; on this machine only."""

import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from probes.kit.exchange.web import parse_url
from probes.kit.ipv6.site.quic import offered_port, shake_hands
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from tests.probes.ipv6.ipv6_lab import Authority
from tests.support.addresses import needs_address
from tests.support.processes import Processes

URL = parse_url("https://www.school.test/")
HERE = ip_address("::1")
Say = Callable[[bytes], list[bytes]]


@contextmanager
def answering(say: Say) -> Iterator[int]:
    """A UDP server that answers each datagram as it is told; gives its port."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((needs_address("::1"), 0))
        sock.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, peer = sock.recvfrom(65_536)
                except TimeoutError:
                    continue
                for answer in say(data):
                    sock.sendto(answer, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("field", "port"),
    [
        ('h3=":443"; ma=60', 443),
        ('h2="a.test:443", h3=":8443"', 8443),
        ('h3-29=":443"', None),
        ('h3="other.test:443"', None),
        ('h3=":0"', None),
        ('h3=":99999"', None),
        ("h3", None),
        ("clear", None),
        ("", None),
        ('h3="' * 1000, None),
    ],
)
def test_where_http3_is_offered(field: str, port: int | None) -> None:
    assert offered_port(field) == port


def test_a_real_server_shakes_hands_if_its_certificate_is_for_the_name(
    process: Processes, tmp_path: Path, free_port: Callable[..., int]
) -> None:
    authority = Authority(tmp_path)
    authority.issue("good", [URL.host])
    authority.issue("other", ["elsewhere.test"])
    trusted = authority.file.read_text(encoding="ascii")
    script = Path(__file__).with_name("quic_server.py")
    for name, ca, done in (("good", trusted, True), ("other", trusted, False), ("good", "", False)):
        port = free_port("::1")
        argv = [sys.executable, script, tmp_path / f"{name}.pem", f"::1={port}"]
        running = process(argv, ready="ready")
        found = shake_hands(Net(Scope()), URL, HERE, port, timeout=20, ca=ca)
        assert (found.tried, found.done) == (True, done), found
        assert done or "certificate" in found.problem or "match" in found.problem
        running.kill()


def test_a_certificate_with_a_name_of_no_known_kind_is_no_handshake(
    process: Processes, tmp_path: Path, free_port: Callable[..., int]
) -> None:
    """Libraries raise errors of their own there, which have no common base."""
    authority = Authority(tmp_path)
    authority.issue("odd", [URL.host])
    key, _, rest = (tmp_path / "odd.pem").read_text(encoding="ascii").partition("-----BEGIN CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{rest}")
    name = bytes([0x82, len(URL.host)]) + URL.host.encode()
    assert der.count(name) == 1
    odd = der.replace(name, b"\xa3" + name[1:])  # an X.400 address
    (tmp_path / "odd.pem").write_text(key + ssl.DER_cert_to_PEM_cert(odd), encoding="ascii")
    port = free_port("::1")
    script = Path(__file__).with_name("quic_server.py")
    process([sys.executable, script, tmp_path / "odd.pem", f"::1={port}"], ready="ready")
    found = shake_hands(Net(Scope()), URL, HERE, port, timeout=20, ca=authority.file.read_text(encoding="ascii"))
    assert (found.tried, found.done) == (True, False)
    assert found.problem


@pytest.mark.parametrize(
    "say",
    [
        lambda _: [],
        lambda data: [data],  # an echo
        lambda data: [data[: len(data) // 2], bytes(1200), b"\xff" * 1200, b""],
        lambda data: [b"\xc0\x00\x00\x00\x00" + data[5:]],  # asks for another version, of which it has none
        lambda data: [b"\xf0" + data[1:5] + b"\xff" + bytes(1194)],
        lambda _: [b"HTTP/1.1 400 Bad Request\r\n\r\n"] * 50,
    ],
)
def test_whatever_a_server_says_the_handshake_ends(say: Say) -> None:
    with answering(say) as port:
        found = shake_hands(Net(Scope()), URL, HERE, port, timeout=1)
    assert not found.done
    assert found.problem


def test_a_closed_port_is_told_at_once(free_port: Callable[..., int]) -> None:
    found = shake_hands(Net(Scope()), URL, HERE, free_port("::1"), timeout=5)
    assert (found.done, found.problem) == (False, "port unreachable")
