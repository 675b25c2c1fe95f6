"""Servers that are badly looked after, each in ways that rules judge, and the same ones well kept.

They are no part of SERVERS: who identifies every server has no use for them.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.servers.data import redis
from tests.support.servers.files import samba, vsftpd
from tests.support.servers.mail import dovecot, exim
from tests.support.servers.model import Command, Place, Server, server

WEAK: dict[str, Server] = {}
PAGES = {80: "default page", 8081: "login in clear text", 8082: "login behind TLS"}
CERTIFICATES = {
    443: ("old TLS, expired, short key", -3, 1024, False),
    8443: ("about to expire", 10, 2048, False),
    9443: ("self-signed, old TLS too", 400, 2048, True),
    10443: ("well kept", 400, 2048, False),
}
"""Ports of the web server: what is wrong there, days until the end, bits of the key, whether it signs itself."""


def _certificate(place: Place, port: int) -> str:
    """Make a certificate, by an authority of its own unless it signs itself, and give the lines that configure it."""
    _, days, bits, self_signed = CERTIFICATES[port]
    key = rsa.generate_private_key(65537, bits)
    name, issuer = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (f"www{port}.example", "An issuer")
    )
    start = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name if self_signed else issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start - timedelta(days=500))
        .not_valid_after(start + timedelta(days=days, hours=1))
        .sign(key if self_signed else rsa.generate_private_key(65537, 2048), hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place.write(f"{port}.key", secret.decode())
    place.write(f"{port}.pem", made.public_bytes(serialization.Encoding.PEM).decode())
    return f"ssl_certificate {place.folder}/{port}.pem; ssl_certificate_key {place.folder}/{port}.key;"


def _speaking(versions: str) -> str:
    return f"ssl_protocols {versions}; ssl_ciphers ALL:@SECLEVEL=0;" if versions else ""


@server("nginx", "nginx", 443, "https", more_ports=(*PAGES, 8443, 9443, 10443), among=WEAK)
def nginx_weak(place: Place) -> Command:
    """Pages in clear text and in TLS, one of each kind."""
    (place.make("site") / "index.html").write_text("<title>示例小学</title>", encoding="utf-8")
    (place.folder / "users").write_text("nobody:{PLAIN}none of all\n", encoding="ascii")
    protected = f"root {place.folder}/site; auth_basic x; auth_basic_user_file {place.folder}/users;"
    temporary = " ".join(
        f"{name}_temp_path {place.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    old = {443: "TLSv1", 9443: "TLSv1 TLSv1.2"}
    blocks = [
        f"listen {place.address}:80; root /usr/share/nginx/html;",
        f"listen {place.address}:8081; {protected}",
        f"listen {place.address}:8082; return 301 https://{place.address}:10443/;",
        *(
            f"listen {place.address}:{port} ssl; {_speaking(old.get(port, ''))} {_certificate(place, port)} {protected}"
            for port in CERTIFICATES
        ),
    ]
    config = place.write(
        "conf",
        f"daemon off; pid {place.folder}/pid; error_log {place.folder}/error; worker_processes 1; events {{}} "
        f"http {{ access_log off; {temporary} " + " ".join(f"server {{ {block} }}" for block in blocks) + " }",
    )
    return ["nginx", "-c", config, "-e", place.folder / "error"]


@server("Redis", "redis-server", 6379, "redis", among=WEAK)
def redis_kept(place: Place) -> Command:
    """With a password."""
    return [*redis(place), "--requirepass", "none of all"]


@server("Samba", "samba", 445, "microsoft-ds", tells=False, among=WEAK)
def samba_kept(place: Place) -> Command:
    """That takes signed messages only."""
    command = samba(place)
    with Path(command[-1]).open("a", encoding="utf-8") as config:
        config.write("\nserver signing = mandatory\n")
    return command


@server("Samba", "samba", 445, "microsoft-ds", tells=False, among=WEAK)
def samba_smb1(place: Place) -> Command:
    """That still speaks version 1 to whoever knows no other."""
    command = samba(place)
    with Path(command[-1]).open("a", encoding="utf-8") as config:
        config.write("\nserver min protocol = NT1\n")
    return command


@server("vsftpd", "vsftpd", 2121, "ftp", among=WEAK)
def vsftpd_moved(place: Place) -> Command:
    """On a port where nobody looks for it."""
    return vsftpd(place)


@server("Dovecot", "dovecot-imapd", 143, "imap", tells=False, more_ports=(110,), among=WEAK)
def dovecot_weak(place: Place) -> Command:
    """That lets people log in without TLS."""
    command = dovecot(place)
    with Path(command[-1]).open("a", encoding="utf-8") as config:
        config.write("disable_plaintext_auth = no\n")
    return command


@server("Exim", "exim4-daemon-light", 25, "smtp", among=WEAK)
def exim_weak(place: Place) -> Command:
    """That takes passwords without TLS, as it says itself."""
    command = exim(place)
    with Path(command[-1]).open("a", encoding="utf-8") as config:
        config.write(
            "begin authenticators\nplain:\n driver = plaintext\n public_name = PLAIN\n server_condition = no\n"
        )
    return command
