"""TLS (RFC 8446): version, cipher and certificate of a service, and what it speaks inside."""

import hashlib
from collections.abc import Generator
from datetime import UTC, datetime

from probes.kit.services import greeting, http
from probes.kit.services.talk import Heard, Receive, Secure, Send, Talk, text

MAX_NAMES = 16
SPEAK_FIRST_INSIDE = frozenset({465, 563, 853, 990, 992, 993, 994, 995})


def talk(host: str, port: int) -> Talk:
    """Shake hands, then listen or ask for a page inside; no certificate is trusted or refused by this."""
    certificate = yield Secure(host)
    if not certificate:
        return None
    facts = {"tls.certificate.sha256": hashlib.sha256(certificate).hexdigest(), **describe(certificate)}
    inner = yield from _inside(host, port)
    service = inner.service if inner and inner.service != "unknown" else "ssl"
    answers = inner.answers if inner else ()
    if "tls.subject" in facts:
        answers = (*answers, ("x509.subject", facts["tls.subject"]), ("x509.issuer", facts["tls.issuer"]))
    return Heard(service, facts | dict(inner.facts if inner else {}), answers)


def _inside(host: str, port: int) -> Generator[Send | Receive | Secure, bytes, Heard | None]:
    if port in SPEAK_FIRST_INSIDE:
        heard = yield from greeting.talk(host, port)
        return heard
    heard = yield from http.talk(host, port, "https")
    return heard


def describe(certificate: bytes) -> dict[str, str]:
    """Read subject, issuer, names and validity from DER; empty when it cannot be read or `cryptography` is missing."""
    try:
        from cryptography import x509
    except ImportError:
        return {}
    try:
        cert = x509.load_der_x509_certificate(certificate)
        facts = {
            "tls.subject": text(cert.subject.rfc4514_string().encode()),
            "tls.issuer": text(cert.issuer.rfc4514_string().encode()),
            "tls.not_before": cert.not_valid_before_utc.isoformat(),
            "tls.not_after": cert.not_valid_after_utc.isoformat(),
            "tls.expired": "yes" if cert.not_valid_after_utc < datetime.now(UTC) else "no",
        }
    except (ValueError, TypeError, OverflowError):
        return {}
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
        facts["tls.names"] = ", ".join(text(name.encode(), 64) for name in found[:MAX_NAMES])
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        pass
    return facts
