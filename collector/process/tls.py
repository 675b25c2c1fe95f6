"""The collector's own certificate authority: one CA, one server certificate, both EC P-256 (RFC 5480, RFC 5280)."""

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wire.errors import EdusecError
from wire.faults import unreadable
from wire.text import Text, within

CA_DAYS = 3650
SERVER_DAYS = 397
RENEW_BEFORE = timedelta(days=60)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class CertificateFault(EdusecError):
    """A certificate or key cannot be used; the text names the file and says what is wrong."""


def make_ca(certificate: Path, key: Path, now: datetime) -> None:
    """Write a new CA; the key is readable by its owner only."""
    secret = ec.generate_private_key(ec.SECP256R1())
    public = secret.public_key()
    # The serial makes two collectors' CAs differ in name, which chain builders rely on.
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"edusec collector CA {serial:x}"[:40])])
    builder = (
        _builder(name, name, public, now, CA_DAYS)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    write_private(key, _pem_key(secret))
    write_public(certificate, builder.sign(secret, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def make_server_certificate(
    certificate: Path, key: Path, ca_certificate: Path, ca_key: Path, names: Sequence[str], now: datetime
) -> None:
    """Write a server certificate for `names` (host names and addresses), always with the loopback names as well."""
    ca = load_certificate(ca_certificate)
    signer = _load_key(ca_key)
    secret = ec.generate_private_key(ec.SECP256R1())
    public = secret.public_key()
    everything = all_names(names)
    days = min(SERVER_DAYS, max(1, (ca.not_valid_after_utc - now).days))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, everything[0][:64])])
    builder = (
        _builder(subject, ca.subject, public, now, days)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in everything]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    write_private(key, _pem_key(secret))
    write_public(certificate, builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def why_renew(certificate: Path, key: Path, ca_certificate: Path, names: Sequence[str], now: datetime) -> str:
    """Say why our own server certificate must be made anew, or give an empty text when it serves."""
    if not certificate.exists() or not key.exists():
        return "there is none"
    found = load_certificate(certificate)
    if _spki(found.public_key()) != _spki(_load_key(key).public_key()):
        return "it does not belong to its key"  # a renewal that was cut off between the two files
    if found.issuer != load_certificate(ca_certificate).subject:
        return "another CA issued it"
    if found.not_valid_after_utc - now < RENEW_BEFORE:
        return f"it ends on {found.not_valid_after_utc:%Y-%m-%d}"
    held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    missing = [name for name in all_names(names) if _general_name(name) not in held]
    return f"it lacks {', '.join(missing)}" if missing else ""


def all_names(names: Sequence[str]) -> list[str]:
    """List the names of the server certificate: those asked for, then loopback, each once."""
    return list(dict.fromkeys([*(name.lower() for name in names), *LOCAL_NAMES]))


def check_name(name: str) -> Text | None:
    """Say why a text is neither a host name nor an address, or give None."""
    if _address(name) is not None:
        return None
    labels = name.split(".")
    fine = all(
        0 < len(label) <= 63
        and not label.startswith("-")
        and not label.endswith("-")
        and all(char.isascii() and (char.isalnum() or char in "-_") for char in label)
        for label in labels
    )
    if not fine or len(name) > 253:
        return Text(
            f"{name!r} 既不是主机名也不是 IP 地址（中文域名请写成 xn-- 形式）",
            f"{name!r} is neither a host name nor an IP address (write an international name in its xn-- form)",
        )
    return None


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file; raises CertificateFault."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CertificateFault(within(str(path), unreadable(error))) from None
    except ValueError:
        raise CertificateFault(Text(f"{path}：不是 PEM 格式的证书", f"{path}: is not a PEM certificate")) from None


def digest_of(certificate: Path) -> str:
    """Give the SHA-256 of a certificate's DER form in hexadecimal: what an enrolment token carries."""
    return sha256(load_certificate(certificate).public_bytes(serialization.Encoding.DER)).hexdigest()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS context of the server: TLS 1.2 and later, forward secrecy only; raises CertificateFault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (certificate, key):
        if not os.access(path, os.R_OK):
            raise CertificateFault(
                Text(f"{path}：不存在，或当前用户无权读取", f"{path}: is missing or cannot be read by this user")
            )
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise CertificateFault(
            Text(
                f"{certificate} 与 {key}：不能用作证书和私钥（{reason}）",
                f"{certificate} with {key}: cannot be used as certificate and key: {reason}",
            )
        ) from None
    return context


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in one step: after a crash it is the old one or the new one."""
    _write(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that everyone may read, in one step."""
    _write(path, content, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    # An hour back: a gateway whose clock lags a little must not find the certificate "not yet valid".
    start = now.astimezone(UTC).replace(microsecond=0) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CertificateFault(within(str(path), unreadable(error))) from None
    except (ValueError, TypeError):
        raise CertificateFault(
            Text(f"{path}：不是未加密的 PEM 私钥", f"{path}: is not a PEM private key without a password")
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateFault(
            Text(
                f"{path}：不是椭圆曲线（EC）密钥，而采集中心自己的密钥都是",
                f"{path}: is not an EC key, and the collector's own keys are",
            )
        )
    return key


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name.lower()) if address is None else x509.IPAddress(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
