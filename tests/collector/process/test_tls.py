"""The collector's own CA and certificates, used by a real TLS handshake."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.process import tls

NOW = datetime.now(UTC)


def _make(folder: Path, names: tuple[str, ...] = (), now: datetime = NOW) -> None:
    if not (folder / "ca.crt").exists():
        tls.make_ca(folder / "ca.crt", folder / "ca.key", now)
    tls.make_server_certificate(
        folder / "server.crt", folder / "server.key", folder / "ca.crt", folder / "ca.key", names, now
    )


def _why(folder: Path, names: tuple[str, ...] = (), now: datetime = NOW) -> str:
    return tls.why_renew(folder / "server.crt", folder / "server.key", folder / "ca.crt", names, now)


def _shake(context: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Shake hands over a socket pair and give the version of TLS."""
    left, right = socket.socketpair()

    def serve() -> None:
        with left:
            try:
                with context.wrap_socket(left, server_side=True) as inside:
                    inside.recv(1)
            except OSError:
                return

    server = threading.Thread(target=serve)
    server.start()
    try:
        with right, client.wrap_socket(right, server_hostname=name) as inside:
            return inside.version()
    finally:
        server.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "collector.example.edu.cn", "192.0.2.7"])
def test_a_client_that_trusts_only_our_ca_accepts_every_name(tmp_path: Path, name: str) -> None:
    _make(tmp_path, ("collector.example.edu.cn", "192.0.2.7"))
    context = tls.server_context(tmp_path / "server.crt", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert _shake(context, client, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(context, client, "other.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(context, ssl.create_default_context(), name)


def test_only_modern_tls_with_forward_secrecy(tmp_path: Path) -> None:
    _make(tmp_path)
    context = tls.server_context(tmp_path / "server.crt", tmp_path / "server.key")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert all("DHE" in cipher["name"] or cipher["protocol"] == "TLSv1.3" for cipher in context.get_ciphers())
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert _shake(context, client, "localhost") == "TLSv1.2"


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    _make(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}


def test_a_certificate_is_renewed_when_it_must_be(tmp_path: Path) -> None:
    assert "none" not in tls.all_names(())
    tls.make_ca(tmp_path / "ca.crt", tmp_path / "ca.key", NOW)
    assert _why(tmp_path) == "there is none"
    _make(tmp_path)
    assert _why(tmp_path) == ""
    assert _why(tmp_path, ("new.example",)) == "it lacks new.example"
    assert _why(tmp_path, now=NOW + timedelta(days=300)) == ""
    assert "it ends on" in _why(tmp_path, now=NOW + timedelta(days=350))
    (tmp_path / "old.key").write_bytes((tmp_path / "server.key").read_bytes())
    _make(tmp_path)
    (tmp_path / "server.key").write_bytes((tmp_path / "old.key").read_bytes())
    assert _why(tmp_path) == "it does not belong to its key"
    _make(tmp_path)
    tls.make_ca(tmp_path / "ca.crt", tmp_path / "ca.key", NOW)
    assert _why(tmp_path) == "another CA issued it"


def test_a_certificate_never_outlives_its_ca(tmp_path: Path) -> None:
    _make(tmp_path, now=NOW)
    late = NOW + timedelta(days=tls.CA_DAYS - 30)
    _make(tmp_path, now=late)
    ends = tls.load_certificate(tmp_path / "server.crt").not_valid_after_utc
    assert ends <= tls.load_certificate(tmp_path / "ca.crt").not_valid_after_utc


def test_a_context_in_use_takes_a_new_certificate(tmp_path: Path) -> None:
    _make(tmp_path)
    context = tls.server_context(tmp_path / "server.crt", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    assert _shake(context, client, "localhost")
    _make(tmp_path, ("new.example",))
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(context, client, "new.example")
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    assert _shake(context, client, "new.example")


def test_faults_name_the_file(tmp_path: Path) -> None:
    _make(tmp_path)
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for act in (
        lambda: tls.load_certificate(bad),
        lambda: tls.load_certificate(tmp_path / "absent.crt"),
        lambda: tls.server_context(bad, tmp_path / "server.key"),
        lambda: tls.server_context(tmp_path / "server.crt", tmp_path / "ca.key"),
        lambda: tls.server_context(tmp_path / "server.crt", tmp_path / "absent.key"),
    ):
        with pytest.raises(tls.CertificateFault, match=str(tmp_path)):
            act()


@given(st.text(max_size=40))
def test_names_that_pass_can_stand_in_a_certificate(name: str) -> None:
    if not tls.check_name(name):
        assert name.isascii()
        assert name
