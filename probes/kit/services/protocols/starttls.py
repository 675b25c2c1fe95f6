"""STARTTLS of mail and file servers (RFC 3207, 2595, 4217): go on in TLS for the sake of the certificate."""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from probes.kit.services.protocols.certificate import facts_of
from probes.kit.services.talk import Ciphered, Heard, Receive, Secure, Send, Step, line_end, text


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is said before the handshake: the request, how its answer begins if so, and how if the server will never.

    `greet` is what has to be said before, and how its answer must begin.
    """

    request: bytes
    agreed: bytes
    refused: tuple[bytes, ...]
    greet: tuple[bytes, bytes] | None = None


UPGRADES: Mapping[str, Upgrade] = {
    "smtp": Upgrade(b"STARTTLS\r\n", b"220", (b"5",), greet=(b"EHLO edusec.invalid\r\n", b"250")),
    "imap": Upgrade(b"a1 STARTTLS\r\n", b"a1 OK", (b"a1 NO", b"a1 BAD")),
    "pop3": Upgrade(b"STLS\r\n", b"+OK", (b"-ERR",)),
    "ftp": Upgrade(b"AUTH TLS\r\n", b"234", (b"5",)),
}
_AUTH = re.compile(rb"^250[ -]AUTH[ =]", re.MULTILINE | re.IGNORECASE)


def go_on(heard: Heard) -> Generator[Step, bytes, Heard]:
    """Ask for TLS; gives what was heard with the certificate, or as it was where the server does not want to."""
    upgrade = UPGRADES.get(heard.service)
    if upgrade is None:
        return heard
    if upgrade.greet is not None:
        yield Send(upgrade.greet[0])
        answer = yield Receive(_finished, 4096, 2.0)
        if not answer.startswith(upgrade.greet[1]):
            return heard
        if _finished(answer):  # a login that is offered before TLS may be used before TLS (RFC 4954)
            heard = _told(heard, "smtp.auth", "offered" if _AUTH.search(answer) else "not offered")
    yield Send(upgrade.request)
    answer = yield Receive(_finished, 4096, 2.0)
    if answer.startswith(upgrade.refused):
        return _told(heard, "starttls", "refused")
    if not answer.startswith(upgrade.agreed):
        return heard  # a passing trouble, or silence, says nothing of the server's ways
    heard = _told(heard, "starttls", "offered")
    certificate = yield Secure()
    if not certificate:
        return heard
    version, _, cipher = text((yield Ciphered())).partition(" ")
    facts = {"tls.version": version, "tls.cipher": cipher, **facts_of(certificate)}
    answers = (("x509.subject", facts["tls.subject"]),) if "tls.subject" in facts else ()
    return replace(heard, facts={**facts, **heard.facts}, answers=(*heard.answers, *answers))


def _told(heard: Heard, name: str, value: str) -> Heard:
    return replace(heard, facts={**heard.facts, name: value})


def _finished(raw: bytes) -> bool:
    """Tell whether the last line of an answer is there: `250-` goes on, `250 ` ends."""
    if not line_end(raw) or not raw.endswith(b"\n"):
        return False
    last = raw.rstrip(b"\r\n").rpartition(b"\n")[2]
    return not (last[:3].isdigit() and last[3:4] == b"-")
