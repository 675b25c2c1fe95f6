"""What a certificate says (X.509, RFC 5280): names, validity, key. Its SHA-256 needs nothing, all else cryptography."""

import contextlib
import hashlib
from datetime import UTC, datetime
from typing import Any

from probes.kit.services.talk import text

MAX_NAMES = 16
MAX_CERTIFICATE = 64 << 10


def facts_of(certificate: bytes) -> dict[str, str]:
    """Read a certificate in DER; what cannot be read, or `cryptography` is missing for, is left out."""
    facts = {"cert": hashlib.sha256(certificate).hexdigest()}
    try:
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
    except ImportError:
        return facts
    if len(certificate) > MAX_CERTIFICATE:
        return facts
    try:
        cert = x509.load_der_x509_certificate(certificate)
        facts |= {
            "tls.subject": text(cert.subject.rfc4514_string().encode()),
            "tls.issuer": text(cert.issuer.rfc4514_string().encode()),
            "tls.not_before": cert.not_valid_before_utc.isoformat(),
            "tls.not_after": cert.not_valid_after_utc.isoformat(),
            "tls.expired": "yes" if cert.not_valid_after_utc < datetime.now(UTC) else "no",
            "tls.self_signed": "yes" if cert.subject == cert.issuer else "no",
        }
    except (ValueError, TypeError, OverflowError, x509.InvalidVersion):
        return facts
    with contextlib.suppress(
        x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, TypeError
    ):
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
        facts["tls.names"] = ", ".join(text(name.encode(), 64) for name in found[:MAX_NAMES])[:1000]
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        facts["tls.signature"] = cert.signature_hash_algorithm.name if cert.signature_hash_algorithm else ""
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        facts["tls.key"] = _key(cert.public_key())
    return {name: value for name, value in facts.items() if value}


def _key(public: Any) -> str:
    """Name a key: `RSA 2048`, `EC secp256r1`, `Ed25519`."""
    kind = type(public).__name__.lstrip("_").removesuffix("PublicKey")
    if kind in ("EC", "EllipticCurve"):
        return f"EC {public.curve.name}"
    size = getattr(public, "key_size", None)
    return f"{kind} {size}" if size else kind
