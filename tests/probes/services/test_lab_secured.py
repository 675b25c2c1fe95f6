"""Real servers that show a certificate, each in its own way, and those that only an own conversation understands."""

import hashlib
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.kit.services.protocols.murmur import icon_hash
from tests.probes.services.server_lab import Begin, greets, heard, identify
from tests.support.netns import Namespace
from tests.support.processes import wait_until

pytest.importorskip("cryptography")

ICON = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


@pytest.fixture
def pair(folder: Path, needs: Callable[..., str]) -> tuple[Path, Path, str]:
    """A fresh certificate and key, and the SHA-256 of the certificate's DER form."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj"]
    command += ["/CN=mail.school.example", "-addext", "subjectAltName=DNS:mail.school.example,IP:198.18.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest()
    return cert, key, digest


def test_a_page_its_redirect_icon_and_certificate(
    lab: Namespace, begin: Begin, folder: Path, pair: tuple[Path, Path, str], needs: Callable[..., str]
) -> None:
    cert, key, digest = pair
    (folder / "site").mkdir()
    (folder / "site" / "login").write_text(
        "<html><head><title>教务管理</title><link rel='shortcut icon' href='/i.png'>"
        '<meta content="Moodle 4" name="generator"></head>'
    )
    (folder / "site" / "i.png").write_bytes(ICON)
    paths = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error; events {{}} http {{ access_log {folder}/log; {paths} "
        f"charset utf-8; gzip on; gzip_min_length 1; gzip_types *; default_type text/html; server {{ "
        f"listen 127.0.0.1:8443 ssl; ssl_certificate {cert}; ssl_certificate_key {key}; root {folder}/site; "
        f"location = / {{ return 302 /login; }} }} server "
        "{ listen 127.0.0.1:8080; return 302 http://198.18.0.9/; } }"
    )
    server = begin([needs("nginx"), "-c", folder / "nginx.conf", "-e", folder / "error"], 8443)
    found = heard(lab, 8443, 8080)
    server.terminate()  # it writes to its log after it has answered
    facts = found[8443].facts
    assert facts["http.status"] == "302"
    assert facts["http.title"] == "教务管理"
    assert facts["http.generator"] == "Moodle 4"
    assert facts["http.icon"] == str(icon_hash(ICON))
    assert facts["cert"] == digest
    assert facts["tls.version"].startswith("TLSv1.")
    assert facts["tls.key"] == "RSA 2048"
    assert facts["tls.signature"] == "sha256"
    assert facts["tls.names"] == "mail.school.example, 198.18.0.1"
    assert facts["tls.self_signed"] == "yes"
    assert found[8080].facts["http.location"] == "http://198.18.0.9/"
    assert "http.icon" not in found[8080].facts
    asked = [line.split('"')[1] for line in (folder / "log").read_text().splitlines()]
    assert sorted(asked) == sorted(
        ["GET / HTTP/1.1", "GET /login HTTP/1.1", "GET /i.png HTTP/1.1", "GET / HTTP/1.1", "GET /favicon.ico HTTP/1.1"]
    )


def test_postfix_and_its_certificate_behind_starttls(
    lab: Namespace, begin: Begin, folder: Path, pair: tuple[Path, Path, str], needs: Callable[..., str]
) -> None:
    cert, key, digest = pair
    needs("postfix")
    etc, queue, data = folder / "etc", folder / "queue", folder / "data"
    for path in (etc, queue, data):
        path.mkdir()
    subprocess.run(["chown", "postfix", data], check=True)
    (etc / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n"
        "myhostname = mx.school.example\n"
        f"inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nalias_maps =\n"
        f"smtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n"
        "smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\nmaillog_file = /dev/stdout\n"
    )
    services = ("smtp inet n - n - - smtpd", "tlsmgr unix - - n 1000? 1 tlsmgr", "cleanup unix n - n - 0 cleanup")
    services += ("proxymap unix - - n - - proxymap", "error unix - - n - - error")
    services += (
        "anvil unix - - n - 1 anvil",
        "rewrite unix - - n - - trivial-rewrite",
        "postlog unix-dgram n - n - 1 postlogd",
    )
    (etc / "master.cf").write_text("".join(f"{line}\n" for line in services))
    begin(["postfix", "-c", etc, "start-fg"], 25)
    wait_until(lambda: greets(lab, 25), "Postfix greets, whose parts start at the first call")
    found, facts = identify(lab, 25)[25], heard(lab, 25)[25].facts
    assert (found.service, found.product) == ("smtp", "Postfix")
    assert facts["cert"] == digest
    assert facts["tls.subject"] == "CN=mail.school.example"


def test_dovecot_and_its_certificate_behind_starttls_and_at_once(
    lab: Namespace, begin: Begin, folder: Path, pair: tuple[Path, Path, str], needs: Callable[..., str]
) -> None:
    cert, key, digest = pair
    (folder / "dovecot.conf").write_text(
        f"base_dir = {folder}/run\nstate_dir = {folder}/state\nprotocols = imap pop3\nlisten = 127.0.0.1\n"
        f"log_path = /dev/stderr\nssl = yes\nssl_cert = <{cert}\nssl_key = <{key}\n"
        "passdb {\n driver = static\n args = nopassword=n\n}\n"
        "userdb {\n driver = static\n args = uid=65534 gid=65534 home=/\n}\n"
    )
    begin([needs("dovecot", package="dovecot-imapd"), "-F", "-c", folder / "dovecot.conf"], 995)
    wait_until(lambda: greets(lab, 143, 110), "Dovecot greets, whose parts start at the first call")
    found, said = identify(lab, 143, 110, 993, 995), heard(lab, 143, 110, 993, 995)
    for port, service in ((143, "imap"), (110, "pop3"), (993, "imap"), (995, "pop3")):
        assert (found[port].service, found[port].product) == (service, "Dovecot"), port
        assert said[port].facts["cert"] == digest, port


def test_postgresql_in_tls(lab: Namespace, begin: Begin, folder: Path, pair: tuple[Path, Path, str]) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("needs postgres: apt-get install postgresql")
    import pwd

    cert, key, digest = pair
    owner = pwd.getpwnam("postgres").pw_uid
    data = folder / "data"
    data.mkdir()
    for path in (data, key):
        os.chown(path, owner, -1)
    key.chmod(0o600)
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    make = [*user, programs[-1].with_name("initdb"), "-D", data, "-A", "scram-sha-256", "--pwfile=/proc/self/environ"]
    subprocess.run(make, check=True, capture_output=True, timeout=100, env={"PATH": "/usr/bin:/bin"})
    secure = [
        item
        for name, value in (("ssl", "on"), ("ssl_cert_file", cert), ("ssl_key_file", key))
        for item in ("-c", f"{name}={value}")
    ]
    begin([*user, programs[-1], "-D", data, "-h", "127.0.0.1", "-p", "5432", "-k", data, *secure], 5432)
    facts = heard(lab, 5432)[5432].facts
    assert facts["cert"] == digest
    assert facts["service.version"]
