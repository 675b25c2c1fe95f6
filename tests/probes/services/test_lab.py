"""What single servers show besides their name: pages in TLS, host keys of every kind, a page where none is expected."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.probes.services.server_lab import Begin, heard, identify, installed
from tests.support.netns import Namespace


def test_nginx_in_clear_and_in_tls(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    key = [needs("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    key += ["-days", "3", "-subj", "/CN=x", "-keyout", str(folder / "k"), "-out", str(folder / "c")]
    subprocess.run(key, check=True, capture_output=True)
    paths = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error; events {{}} http {{ access_log off; {paths} "
        f"server {{ listen 127.0.0.1:80; }} "
        f"server {{ listen 127.0.0.1:443 ssl; ssl_certificate {folder}/c; ssl_certificate_key {folder}/k; }} }}"
    )
    begin([needs("nginx"), "-c", config, "-e", folder / "error"], 443)
    found = identify(lab, 80, 443)
    for port, service in ((80, "http"), (443, "https")):
        assert (found[port].service, found[port].product) == (service, "nginx")
        assert found[port].version == installed("nginx")
        assert found[port].cpe == f"cpe:/a:nginx:nginx:{installed('nginx')}"


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("ed25519", "curve25519-sha256"),
        ("rsa", "diffie-hellman-group14-sha256"),
        ("ecdsa", "curve25519-sha256@libssh.org"),
        ("rsa", "diffie-hellman-group14-sha1"),
        ("rsa", "diffie-hellman-group1-sha1"),
    ],
)
def test_host_keys_of_each_kind_by_each_exchange(
    lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str], kind: str, method: str
) -> None:
    pytest.importorskip("cryptography")
    sshd = needs("sshd", package="openssh-server")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", folder / "key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", f"KexAlgorithms={method}"]
    begin([sshd, "-D", "-e", "-f", "/dev/null", "-p", "22", "-h", folder / "key", *options], 22)
    key = base64.b64decode((folder / "key.pub").read_text().split()[1])
    facts = heard(lab, 22)[22].facts
    assert facts["hostkey"] == hashlib.sha256(key).hexdigest()
    assert kind in facts["hostkey_type"]


def test_python_web_server_on_an_unusual_port(lab: Namespace, begin: Begin, folder: Path) -> None:
    begin(["python3", "-m", "http.server", "12345", "--bind", "127.0.0.1", "-d", folder], 12345)
    found = identify(lab, 12345)[12345]
    assert (found.service, found.product) == ("http", "http.server")
