"""STARTTLS of mail and file servers (RFC 3207, 2595, 4217): go on in TLS for the sake of the certificate.

Mail servers are first asked what they can do before TLS: EHLO, CAPABILITY (RFC 3501), CAPA (RFC 2449). They say so to
everybody, and it tells whether a login may cross the line in clear text.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace

from probes.kit.services.protocols.certificate import facts_of
from probes.kit.services.talk import Ciphered, Heard, Receive, Secure, Send, Step, line_end, text


@dataclass(frozen=True, slots=True)
class Abilities:
    """How a server is asked what it can do, when its answer is whole, and a login in clear text that is offered there.

    `listed` begins an answer that lists its abilities; any other tells nothing of them.
    """

    request: bytes
    listed: bytes
    whole: Callable[[bytes], bool]
    login: re.Pattern[bytes]
    needed: bool = False
    """Whether there is no TLS without this question."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is said before the handshake: the request, how its answer begins if so, and how if the server will never."""

    request: bytes
    agreed: bytes
    refused: tuple[bytes, ...]
    abilities: Abilities | None = None


def _finished(raw: bytes) -> bool:
    """Tell whether the last line of an answer is there: `250-` goes on, `250 ` ends."""
    if not line_end(raw) or not raw.endswith(b"\n"):
        return False
    last = raw.rstrip(b"\r\n").rpartition(b"\n")[2]
    return not (last[:3].isdigit() and last[3:4] == b"-")


_TAGGED = re.compile(rb"^a0 (?:OK|NO|BAD)[^\n]*\n", re.MULTILINE)
_ANY_CASE = re.MULTILINE | re.IGNORECASE
_SMTP = Abilities(
    b"EHLO edusec.invalid\r\n", b"250", _finished, re.compile(rb"^250[ -]AUTH[ =]", _ANY_CASE), needed=True
)
_IMAP = Abilities(
    b"a0 CAPABILITY\r\n",
    b"* CAPABILITY ",
    lambda raw: _TAGGED.search(raw) is not None,
    re.compile(rb"^\* CAPABILITY (?![^\n]*\bLOGINDISABLED\b)", _ANY_CASE),
)
_POP3 = Abilities(
    b"CAPA\r\n",
    b"+OK",
    lambda raw: raw.endswith(b"\r\n.\r\n") or (line_end(raw) and not raw.startswith(b"+OK")),
    re.compile(rb"^(?:USER\b|SASL [^\n]*\b(?:PLAIN|LOGIN)\b)", _ANY_CASE),
)
UPGRADES: Mapping[str, Upgrade] = {
    "smtp": Upgrade(b"STARTTLS\r\n", b"220", (b"5",), _SMTP),
    "imap": Upgrade(b"a1 STARTTLS\r\n", b"a1 OK", (b"a1 NO", b"a1 BAD"), _IMAP),
    "pop3": Upgrade(b"STLS\r\n", b"+OK", (b"-ERR",), _POP3),
    "ftp": Upgrade(b"AUTH TLS\r\n", b"234", (b"5",)),
}


def go_on(heard: Heard) -> Generator[Step, bytes, Heard]:
    """Ask for TLS; gives what was heard with the certificate, or as it was where the server does not want to."""
    upgrade = UPGRADES.get(heard.service)
    if upgrade is None:
        return heard
    asked = upgrade.abilities
    if asked is not None:
        yield Send(asked.request)
        answer = yield Receive(asked.whole, 4096, 2.0)
        if not asked.whole(answer) or (asked.needed and not answer.startswith(asked.listed)):
            return heard
        if answer.startswith(asked.listed):  # a login that is offered before TLS may be used before TLS
            heard = _told(heard, "mail.login", "offered" if asked.login.search(answer) else "not offered")
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
