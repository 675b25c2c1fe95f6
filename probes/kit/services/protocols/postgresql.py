"""PostgreSQL: the answer to a request for TLS, then the error that a start-up without a user brings."""

import re
from dataclasses import replace

from probes.kit.services.protocols.tls import answers_of, shake
from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least, text

PORTS = (5432, 5433, 26000, 54321)
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
# Protocol 255.255 exists in no server: it refuses politely and says which it speaks, before any user is named.
IMPOSSIBLE_STARTUP = (8).to_bytes(4, "big") + (0x00FF00FF).to_bytes(4, "big")


RANGES = (
    ("V", "3.0 to 3.2", "", "18 or later"),
    ("V", "3.0 to 3.0", "backend_startup.c", "17"),
    ("V", "3.0 to 3.0", "postmaster.c", "14-16"),
    ("V", "", "", "9.6-13"),
    ("", "", "", "9.5 or earlier"),
)
"""Which major versions refuse in which way: with field V or without, naming these protocols, from this source file.

Version 2 of the protocol left with 14, the start-up moved to a file of its own in 17, and 18 speaks 3.2.
"""


def talk(host: str, _port: int) -> Talk:
    """Ask for TLS, which every version answers with one byte; then read the error of an impossible protocol."""
    yield Send(SSL_REQUEST)
    first = yield Receive(at_least(1), 1)
    if first not in (b"S", b"N", b"E"):
        return None
    facts = {"tls.offered": "yes" if first == b"S" else "no"}
    if first == b"S":
        facts |= (yield from shake(host)) or {}
        if "tls.version" not in facts:
            return Heard("postgresql", facts)
    yield Send(IMPOSSIBLE_STARTUP)
    heard = read((yield Receive(_whole, 4096)))
    if heard is None:
        return Heard("postgresql", facts) if first == b"S" else None
    return replace(heard, facts={**heard.facts, **facts}, answers=answers_of(facts))


def read(raw: bytes) -> Heard | None:
    """Read an ErrorResponse: `E`, length, then fields of one letter and a text."""
    if raw[:1] != b"E" or not _whole(raw):
        return None
    fields = {part[:1]: text(part[1:]) for part in raw[5:].split(b"\0") if part}
    if b"C" not in fields or not re.fullmatch(r"[0-9A-Z]{5}", fields[b"C"]):
        return None
    facts = {"refusal": fields.get(b"M", "")}
    if re.search(r"\D3\.5\d$", facts["refusal"]):
        # The minor version of openGauss's protocol (its libpq/pqcomm.h); GaussDB says the same.
        facts |= _product("openGauss", "openGauss", "opengauss:opengauss")
    elif facts["refusal"].startswith("bad packet header:"):
        facts |= _product("PgBouncer", "PgBouncer", "pgbouncer:pgbouncer")  # its client.c
    elif fields.get(b"F", "").endswith(".c"):
        # The place in its own source; what only speaks its protocol names none, or one of another language.
        facts |= _product("PostgreSQL", "PostgreSQL", "postgresql:postgresql")
        facts["service.version"] = _version(fields) if fields[b"C"] == "0A000" else ""
    return Heard("postgresql", {name: value for name, value in facts.items() if value})


def _version(fields: dict[bytes, str]) -> str:
    """Give the range of major versions, as exactly as an error tells it to somebody without a password."""
    spoken = re.search(r"\d\.\d\D{1,12}\d\.\d$", fields.get(b"M", ""))
    protocols = " to ".join(re.findall(r"\d\.\d", spoken[0])) if spoken else ""
    for letter, wanted, file, version in RANGES:
        if letter and letter.encode() not in fields:
            continue
        if (not wanted or protocols == wanted) and fields.get(b"F", "").endswith(file):
            return version if protocols else ""
    return ""


def _product(vendor: str, product: str, cpe: str) -> dict[str, str]:
    return {"service.vendor": vendor, "service.product": product, "service.cpe23": f"cpe:/a:{cpe}"}


def _whole(raw: bytes) -> bool:
    return len(raw) >= 5 and len(raw) >= 1 + min(int.from_bytes(raw[1:5], "big"), 4095)
