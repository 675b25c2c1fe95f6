"""STARTTLS of mail and file servers (RFC 3207, 2595, 4217): go on in TLS for the sake of the certificate."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from probes.kit.services.certificate import facts_of
from probes.kit.services.talk import Ciphered, Heard, Receive, Secure, Send, Step, line_end, text


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is said before the handshake: each request, and what its answer must begin with."""

    steps: tuple[tuple[bytes, bytes], ...]


UPGRADES: Mapping[str, Upgrade] = {
    "smtp": Upgrade(((b"EHLO edusec.invalid\r\n", b"250"), (b"STARTTLS\r\n", b"220"))),
    "imap": Upgrade(((b"a1 STARTTLS\r\n", b"a1 OK"),)),
    "pop3": Upgrade(((b"STLS\r\n", b"+OK"),)),
    "ftp": Upgrade(((b"AUTH TLS\r\n", b"234"),)),
}


def go_on(heard: Heard) -> Generator[Step, bytes, Heard]:
    """Ask for TLS; gives what was heard with the certificate, or as it was where the server does not want to."""
    if heard.service not in UPGRADES:
        return heard
    for request, wanted in UPGRADES[heard.service].steps:
        yield Send(request)
        answer = yield Receive(_finished, 4096, 2.0)
        if not answer.startswith(wanted):
            return heard
    certificate = yield Secure()
    if not certificate:
        return heard
    version, _, cipher = text((yield Ciphered())).partition(" ")
    facts = {"tls.version": version, "tls.cipher": cipher, **facts_of(certificate)}
    answers = (("x509.subject", facts["tls.subject"]),) if "tls.subject" in facts else ()
    return replace(heard, facts={**facts, **heard.facts}, answers=(*heard.answers, *answers))


def _finished(raw: bytes) -> bool:
    """Tell whether the last line of an answer is there: `250-` goes on, `250 ` ends."""
    if not line_end(raw) or not raw.endswith(b"\n"):
        return False
    last = raw.rstrip(b"\r\n").rpartition(b"\n")[2]
    return not (last[:3].isdigit() and last[3:4] == b"-")
