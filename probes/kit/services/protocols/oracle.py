"""Oracle's TNS: a connection for the listener's version, which today's refuse and tell it all the same."""

import re
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (1521,)
_DATA = b"(CONNECT_DATA=(COMMAND=version))"
_AT = 58
_ACCEPT, _REFUSE, _REDIRECT, _RESEND = 2, 4, 5, 11
MAX_ANSWER = 2048


def _connect() -> bytes:
    """Write CONNECT: lengths, kind 1, versions 310 to 300, sizes of units, byte order, and where the data stands."""
    size = _AT + len(_DATA)
    head = struct.pack(">HHBBH", size, 0, 1, 0, 0)
    body = struct.pack(">HHHHHHHHHH", 310, 300, 0, 2048, 32767, 0x7F08, 0, 1, len(_DATA), _AT)
    return (head + body).ljust(_AT, b"\0") + _DATA


def talk(_host: str, _port: int) -> Talk:
    """Ask the listener; no database is named."""
    yield Send(_connect())
    return read((yield Receive(_whole, MAX_ANSWER)))


def read(raw: bytes) -> Heard | None:
    """Read a packet whose length and kind are right, and what the listener says of itself."""
    if len(raw) < 8 or raw[4] not in (_ACCEPT, _REFUSE, _REDIRECT, _RESEND) or not 8 <= _size(raw) <= MAX_ANSWER:
        return None
    plain = re.search(rb"TNSLSNR[^\0]{0,128}?: Version (\d[\d.]{0,31})", raw)
    packed = re.search(rb"\(VSNNUM=(\d{1,10})\)", raw)
    if plain is None and packed is None and raw[4] != _RESEND:
        return None
    facts = {"service.vendor": "Oracle", "service.product": "TNS listener"}
    version = text(plain[1]) if plain else _version(int(packed[1])) if packed else ""
    if version:
        facts["service.version"] = version
    return Heard("oracle-tns", facts)


def _version(packed: int) -> str:
    """Give a packed version: up to 12 in five parts of 8, 4, 8, 4 and 8 bits; from 18 on only the first is said."""
    major = packed >> 24
    if major == 0 or major > 99:
        return ""
    if major >= 18:
        return str(major)
    parts = (major, packed >> 20 & 15, packed >> 12 & 255, packed >> 8 & 15, packed & 255)
    return ".".join(map(str, parts))


def _size(raw: bytes) -> int:
    return int.from_bytes(raw[:2], "big")


def _whole(raw: bytes) -> bool:
    return len(raw) >= 8 and len(raw) >= _size(raw) + (1 if raw[4] == _ACCEPT else 0)
