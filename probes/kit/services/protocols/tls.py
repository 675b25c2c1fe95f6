"""TLS (RFC 8446): version, cipher and certificate of a service, and what it speaks inside."""

from collections.abc import Generator

from probes.kit.services.protocols import greeting, http, ldap, outdated
from probes.kit.services.protocols.certificate import facts_of
from probes.kit.services.talk import Ciphered, Heard, Secure, Step, Talk, text

SPEAK_FIRST_INSIDE = frozenset({465, 563, 853, 990, 992, 993, 994, 995})
TODAYS = frozenset({"TLSv1.2", "TLSv1.3"})
LDAPS = frozenset({636, 3269})


def talk(host: str, port: int) -> Talk:
    """Shake hands, then listen or ask for a page inside; no certificate is trusted or refused by this."""
    facts = yield from shake(host)
    if facts is None:
        return None
    inner = yield from _inside(host, port)
    service = inner.service if inner and inner.service != "unknown" else "ssl"
    answers = (*(inner.answers if inner else ()), *answers_of(facts))
    later = (outdated.talk,) if facts.get("tls.version") in TODAYS else ()
    then = (*(inner.then if inner else ()), *later)
    return Heard(service, facts | dict(inner.facts if inner else {}), answers, then)


def shake(host: str) -> Generator[Step, bytes, dict[str, str] | None]:
    """Go on in TLS; gives what the handshake told, None when there was none."""
    certificate = yield Secure(host)
    if not certificate:
        return None
    version, _, cipher = text((yield Ciphered())).partition(" ")
    facts = {"tls.version": version, "tls.cipher": cipher} if version else {}
    return facts | facts_of(certificate)


def answers_of(facts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Give the names of a certificate for fingerprints to look at."""
    if "tls.subject" not in facts:
        return ()
    return (("x509.subject", facts["tls.subject"]), ("x509.issuer", facts.get("tls.issuer", "")))


def _inside(host: str, port: int) -> Talk:
    if port in SPEAK_FIRST_INSIDE:
        heard = yield from greeting.talk(host, port, inside_tls=True)
    elif port in LDAPS:
        heard = yield from ldap.talk(host, port)
    else:
        heard = yield from http.talk(host, port, "https")
    return heard
