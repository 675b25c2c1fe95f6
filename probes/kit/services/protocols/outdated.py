"""Whether a service that speaks today's TLS agrees to a version that RFC 8996 forbids, for one who knows no better.

One ClientHello of TLS 1.1 (RFC 4346 section 7.4.1.2) and the server's first record; no key is exchanged.
"""

import os

from probes.kit.services.talk import Heard, Receive, Send, Talk

BEST = b"\x03\x02"
NAMES = {b"\x03\x02": "TLSv1.1", b"\x03\x01": "TLSv1", b"\x03\x00": "SSLv3"}
_ALERT, _HANDSHAKE, _SERVER_HELLO, _PROTOCOL_VERSION = 21, 22, 2, 70
_SUITES = (
    0xC014, 0xC00A, 0xC013, 0xC009, 0x0039, 0x0038, 0x0033, 0x0032, 0x0035, 0x002F, 0xC012, 0xC008, 0x0016, 0x0013,
    0x000A, 0x0005, 0x0004, 0x00FF,
)  # fmt: skip
"""Suites with AES, 3DES and RC4 as old servers have them, and the mark of RFC 5746."""


def talk(_host: str, _port: int) -> Talk:
    """Offer no more than TLS 1.1 and leave."""
    yield Send(_hello())
    answer = read((yield Receive(_told, 512)))
    return Heard("ssl", {"tls.outdated": answer}) if answer else None


def read(raw: bytes) -> str:
    """Read the first record: the version that is agreed to, `refused` where the server says it is too old, or empty.

    A server that takes none of the suites has not said anything of versions.
    """
    if len(raw) < 7 or raw[1] != 3:
        return ""
    if raw[0] == _ALERT and raw[6] == _PROTOCOL_VERSION:
        return "refused"
    if raw[0] == _HANDSHAKE and raw[5] == _SERVER_HELLO:
        return NAMES.get(raw[9:11], "")
    return ""


def _hello() -> bytes:
    suites = b"".join(suite.to_bytes(2, "big") for suite in _SUITES)
    groups = b"\x00\x0a\x00\x08\x00\x06\x00\x17\x00\x18\x00\x19"  # secp256r1, 384, 521 (RFC 8422)
    extensions = groups + b"\x00\x0b\x00\x02\x01\x00"
    body = BEST + os.urandom(32) + b"\0" + len(suites).to_bytes(2, "big") + suites + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def _told(raw: bytes) -> bool:
    return len(raw) >= (7 if raw[:1] == bytes([_ALERT]) else 11)
