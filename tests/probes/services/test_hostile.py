"""Services that mean harm, met by the probe as it runs in the field: bounded in memory and time, and printable."""

import gzip
import hashlib
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.probing.job import Job, Limits
from agent.probing.runner import run as perform
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.store import Imported, save
from probes.kit.services.protocols import ssh_keys
from probes.kit.services.protocols.certificate import facts_of
from wire.types import RunStatus, TargetKind

Peer = Callable[[socket.socket], None]
BOMB = gzip.compress(b"<title>" + b"0" * (192 << 20), 1)
ESCAPE = b"\x1b]0;owned\x07\x1b[2J\xe2\x80\xae"


def head(*lines: bytes) -> bytes:
    """Write the head of an HTTP answer."""
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


def saying(*parts: bytes, then: Peer | None = None) -> Peer:
    """A peer that waits for a request, says something and then hangs up, or goes on with something else."""

    def peer(sock: socket.socket) -> None:
        sock.recv(4096)
        for part in parts:
            sock.sendall(part)
        if then is not None:
            then(sock)

    return peer


def forever(piece: bytes, pause: float = 0.005) -> Peer:
    """A peer that never stops."""

    def peer(sock: socket.socket) -> None:
        while True:
            sock.sendall(piece)
            time.sleep(pause)

    return peer


PEERS: dict[str, Peer] = {
    "endless banner": forever(b"A" * 65536),
    "endless lines": forever(b"220-x\r\n" * 1000),
    "drip": forever(b"S", 0.3),
    "bomb": saying(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB)), BOMB),
    "broken bomb": saying(head(b"Content-Encoding: gzip"), BOMB[:-9] + bytes(70000)),
    "chunks": saying(head(b"Transfer-Encoding: chunked"), b"ffffffff\r\n", then=forever(b"x" * 4096)),
    "endless head": saying(b"HTTP/1.1 200 OK\r\n", then=forever(b"X: y\r\n" * 100)),
    "redirects": saying(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
    "elsewhere": saying(b"HTTP/1.1 302 Found\r\nLocation: http://203.0.113.9/\r\nContent-Length: 0\r\n\r\n"),
    "escape": saying(
        head(b"Server: nginx" + ESCAPE)
        + b"<title>"
        + ESCAPE
        + b"a&#x202e;b&#x2028;c&#27;</title>"
        + b"<meta name=generator content='x&#x202e;y'>"
    ),
    "long ssh": lambda sock: sock.sendall(b"SSH-2.0-x\r\n" + b"\x7f\xff\xff\xff" + bytes(1000)),
    "short ssh": lambda sock: sock.sendall(b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14" + bytes(10)),
    "false tls": saying(b"\x16\x03\x03\x40\x00" + bytes(16384), then=forever(b"\x17\x03\x03\xff\xff", 0.05)),
    "alerts": saying(b"\x15\x03\x03\x00\x02\x01\x00" * 5000),
    "smtp": lambda sock: sock.sendall(b"220 x ESMTP Postfix\r\n" + b"250-" * 100_000),
    "ldap": saying(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x64" * 1000),
    "silent": lambda _: time.sleep(2),
}


@pytest.fixture
def ports(serve: Callable[[Peer], int]) -> dict[str, int]:
    """A loopback port for each peer."""
    return {name: serve(peer) for name, peer in PEERS.items()}


def test_none_of_them_breaks_a_run_or_gets_an_escape_through(ports: dict[str, int], tmp_path: Path) -> None:
    # An operator's own patterns, the first of which backtracks for ever on the banner that does not end.
    own = [
        Fingerprint("nmap.NULL", pattern, 0, pattern, {"service.product": product}, 0.9, "test")
        for pattern, product in (("^(A+)+!", "slow"), ("^AAAA", "endless"))
    ]
    save(tmp_path / "own.jsonl", Imported(tuple(own)))
    options = {
        "targets": ("127.0.0.1",),
        "ports": ",".join(map(str, sorted(ports.values()))),
        "fingerprints": (str(tmp_path / "own.jsonl"),),
    }
    # Less memory than the unpacked bomb and what Python needs together would take.
    section = perform(Job("hostile", "open_ports", 90, options, limits=Limits(memory=160 << 20)))
    assert section.status is RunStatus.DONE, section.reason
    assert section.body is not None
    found = {
        item.target.port: item.values for item in section.body.observations if item.target.kind is TargetKind.SERVICE
    }
    assert set(found) == set(ports.values())
    for values in found.values():
        for value in values.values():
            for text in value if isinstance(value, tuple) else (value,):
                assert not isinstance(text, str) or text.isprintable()
    assert found[ports["bomb"]]["service"] == "http"
    assert found[ports["endless banner"]]["product"] == "endless"
    assert found[ports["redirects"]]["http.status"] == "302"
    assert found[ports["elsewhere"]]["http.location"] == "http://203.0.113.9/"
    assert found[ports["escape"]]["product"] == "nginx"
    assert str(found[ports["escape"]]["http.title"]).endswith("ab c")
    assert found[ports["escape"]]["http.generator"] == "xy"
    assert found[ports["smtp"]]["product"] == "Postfix"
    for name in ("long ssh", "short ssh"):
        assert found[ports[name]]["service"] == "ssh"
        assert "hostkey" not in found[ports[name]]


def _certificate() -> bytes:
    """A certificate in DER with one name, nothing wrong with it."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a printer")])
    building = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=9))
    names = x509.SubjectAlternativeName([x509.DNSName("abcd")])
    made: bytes = building.add_extension(names, critical=False).sign(key, None).public_bytes(Encoding.DER)
    return made


def test_a_certificate_as_no_authority_would_sign_it_gives_what_can_be_read() -> None:
    good = _certificate()
    assert facts_of(good)["tls.names"] == "abcd"
    version, name = b"\xa0\x03\x02\x01", b"\x82\x04abcd"
    assert good.count(version) == good.count(name) == 1
    # X.509 has no version 8.
    strange = good.replace(version + b"\x02", version + b"\x07")
    assert facts_of(strange) == {"cert": hashlib.sha256(strange).hexdigest()}
    for tag in range(0x80, 0xC0):  # every kind of name that there is, and those that there are not
        odd = good.replace(name, bytes([tag]) + name[1:])
        facts = facts_of(odd)
        assert facts["cert"] == hashlib.sha256(odd).hexdigest()
        assert facts["tls.key"] == "Ed25519"


@pytest.mark.parametrize("point", [b"\2" + bytes(32), b"\4" + bytes(64), b"\0", b"\4", b""])
def test_a_host_key_as_no_server_has_it_proves_nothing(point: bytes) -> None:
    pytest.importorskip("cryptography")
    kind = b"ecdsa-sha2-nistp256"
    key = b"".join(map(ssh_keys.string, (kind, b"nistp256", point)))
    assert not ssh_keys.proven(key, kind, ssh_keys.string(kind) + ssh_keys.string(bytes(72)), bytes(32))
