"""Real servers from Debian on their usual ports, in a namespace: each is named with the version that is installed."""

import base64
import hashlib
import os
import pwd
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


def test_openssh(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    sshd = needs("sshd", package="openssh-server")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"]
    begin([sshd, "-D", "-e", "-f", "/dev/null", "-p", "22", "-h", folder / "key", *options], 22)
    found = identify(lab, 22)[22]
    assert (found.service, found.product) == ("ssh", "OpenSSH")
    assert found.version.startswith(installed("openssh-server"))
    assert found.system
    key = base64.b64decode((folder / "key.pub").read_text().split()[1])
    facts = heard(lab, 22)[22].facts
    assert facts["hostkey"] == hashlib.sha256(key).hexdigest()
    assert facts["hostkey_type"] == "ssh-ed25519"


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("rsa", "diffie-hellman-group14-sha256"),
        ("ecdsa", "curve25519-sha256@libssh.org"),
        ("rsa", "diffie-hellman-group14-sha1"),
        ("rsa", "diffie-hellman-group1-sha1"),
    ],
)
def test_host_keys_of_other_kinds_by_other_exchanges(
    lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str], kind: str, method: str
) -> None:
    pytest.importorskip("cryptography")
    sshd = needs("sshd", package="openssh-server")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", folder / "key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", f"KexAlgorithms={method}"]
    begin([sshd, "-D", "-e", "-f", "/dev/null", "-p", "22", "-h", folder / "key", *options], 22)
    key = base64.b64decode((folder / "key.pub").read_text().split()[1])
    assert heard(lab, 22)[22].facts["hostkey"] == hashlib.sha256(key).hexdigest()


def test_redis_and_memcached(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    redis = needs("redis-server")
    memcached = needs("memcached")
    begin([redis, "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir", folder], 6379)
    begin([memcached, "-u", "nobody", "-l", "127.0.0.1", "-p", "11211"], 11211)
    found = identify(lab, 6379, 11211)
    assert (found[6379].product, found[6379].version) == ("Redis", installed("redis-server"))
    assert (found[11211].product, found[11211].version) == ("Memcached", installed("memcached"))


def test_mosquitto(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    mosquitto = needs("mosquitto")
    (folder / "conf").write_text("listener 1883 127.0.0.1\nallow_anonymous true\n")
    begin([mosquitto, "-c", folder / "conf"], 1883)
    found = identify(lab, 1883)[1883]
    assert (found.product, found.version) == ("Mosquitto", installed("mosquitto"))


def test_mariadb(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    server = needs("mariadbd", package="mariadb-server")
    data = folder / "data"
    data.mkdir()
    os.chown(data, pwd.getpwnam("mysql").pw_uid, -1)
    setup = ["mariadb-install-db", "--user=mysql", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    subprocess.run(setup, check=True, capture_output=True, timeout=100)
    where = [f"--datadir={data}", f"--socket={data}/s", f"--pid-file={data}/p"]
    begin([server, "--no-defaults", "--user=mysql", "--port=3306", "--bind-address=127.0.0.1", *where], 3306)
    found = identify(lab, 3306)[3306]
    assert (found.service, found.product) == ("mysql", "MariaDB")
    assert found.version == installed("mariadb-server")


def test_postgresql(lab: Namespace, begin: Begin, folder: Path) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("needs postgres: apt-get install postgresql")
    data = folder / "data"
    data.mkdir()
    os.chown(data, pwd.getpwnam("postgres").pw_uid, -1)
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    make = [*user, programs[-1].with_name("initdb"), "-D", data, "-A", "scram-sha-256", "--pwfile=/proc/self/environ"]
    subprocess.run(make, check=True, capture_output=True, timeout=100, env={"PATH": "/usr/bin:/bin"})
    begin([*user, programs[-1], "-D", data, "-h", "127.0.0.1", "-p", "5432", "-k", data], 5432)
    found = identify(lab, 5432)[5432]
    assert (found.service, found.product) == ("postgresql", "PostgreSQL")
    low, _, high = found.version.partition("-")
    assert int(low.split()[0]) <= int(installed("postgresql").split(".")[0]) <= int((high or low).split()[0])


def test_vsftpd(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    vsftpd = needs("vsftpd")
    (folder / "empty").mkdir()
    config = folder / "conf"
    config.write_text(f"listen=YES\nlisten_address=127.0.0.1\nbackground=NO\nsecure_chroot_dir={folder}/empty\n")
    begin([vsftpd, config], 21)
    found = identify(lab, 21)[21]
    assert (found.service, found.product, found.version) == ("ftp", "vsftpd", installed("vsftpd"))


def test_apache_and_lighttpd(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    apache, lighttpd = needs("apache2"), needs("lighttpd")
    modules = "/usr/lib/apache2/modules"
    (folder / "apache").write_text(
        f"ServerRoot {folder}\nServerName x\nPidFile {folder}/pid\nErrorLog {folder}/error\nListen 127.0.0.1:8080\n"
        f"LoadModule mpm_event_module {modules}/mod_mpm_event.so\n"
        f"LoadModule authz_core_module {modules}/mod_authz_core.so\nDocumentRoot {folder}\n"
    )
    (folder / "lighttpd").write_text(f'server.document-root="{folder}"\nserver.port=8081\nserver.bind="127.0.0.1"\n')
    begin([apache, "-X", "-f", folder / "apache"], 8080)
    begin([lighttpd, "-D", "-f", folder / "lighttpd"], 8081)
    found = identify(lab, 8080, 8081)
    assert (found[8080].product, found[8080].version) == ("HTTPD", installed("apache2"))
    assert (found[8081].product, found[8081].version) == ("lighttpd", installed("lighttpd"))


def test_samba(lab: Namespace, begin: Begin, folder: Path, needs: Callable[..., str]) -> None:
    smbd = needs("smbd", package="samba")
    places = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
    lines = ["[global]", "smb ports = 445", "interfaces = lo", "bind interfaces only = yes", f"log file = {folder}/log"]
    (folder / "smb.conf").write_text("\n".join([*lines, *(f"{place} = {folder}" for place in places)]))
    begin([smbd, "-F", "--no-process-group", "-s", folder / "smb.conf"], 445)
    found = identify(lab, 445)[445]
    assert (found.service, found.product) == ("microsoft-ds", "Samba")


def test_python_web_server_on_an_unusual_port(lab: Namespace, begin: Begin, folder: Path) -> None:
    begin(["python3", "-m", "http.server", "12345", "--bind", "127.0.0.1", "-d", folder], 12345)
    found = identify(lab, 12345)[12345]
    assert (found.service, found.product) == ("http", "http.server")
