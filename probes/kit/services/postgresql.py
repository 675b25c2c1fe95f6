"""PostgreSQL: the answer to a request for TLS, then the error that a start-up without a user brings."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least, text

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
# Protocol 255.255 exists in no server: it refuses politely and says which it speaks, before any user is named.
IMPOSSIBLE_STARTUP = (8).to_bytes(4, "big") + (0x00FF00FF).to_bytes(4, "big")


def talk(_host: str, _port: int) -> Talk:
    """Ask for TLS, which every version answers with one byte; then read the error of an impossible protocol."""
    yield Send(SSL_REQUEST)
    first = yield Receive(at_least(1), 1)
    if first not in (b"S", b"N", b"E"):
        return None
    if first == b"S":
        return _heard({"tls.offered": "yes"})
    yield Send(IMPOSSIBLE_STARTUP)
    return read((yield Receive(_whole, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read an ErrorResponse: `E`, length, then fields of one letter and a text."""
    if raw[:1] != b"E" or not _whole(raw):
        return None
    fields = {part[:1]: text(part[1:]) for part in raw[5:].split(b"\0") if part}
    if b"C" not in fields or not re.fullmatch(r"[0-9A-Z]{5}", fields[b"C"]):
        return None
    return _heard({"tls.offered": "no", "refusal": fields.get(b"M", "")})


def _heard(facts: dict[str, str]) -> Heard:
    return Heard(
        "postgresql",
        {
            "service.vendor": "PostgreSQL",
            "service.product": "PostgreSQL",
            "service.cpe23": "cpe:/a:postgresql:postgresql",
            **facts,
        },
    )


def _whole(raw: bytes) -> bool:
    return len(raw) >= 5 and len(raw) >= 1 + min(int.from_bytes(raw[1:5], "big"), 4095)
