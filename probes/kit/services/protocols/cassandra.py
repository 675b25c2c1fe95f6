"""CQL's binary protocol (version 4) of Cassandra and ScyllaDB: OPTIONS, which is answered before anybody logs in."""

import re
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (9042,)
OPTIONS = b"\x04\0\0\0\x05\0\0\0\0"
_SUPPORTED, _ERROR = 6, 0
MAX_FRAME = 4096


def talk(_host: str, _port: int) -> Talk:
    """Ask for the options."""
    yield Send(OPTIONS)
    return read((yield Receive(_whole, MAX_FRAME)))


def read(raw: bytes) -> Heard | None:
    """Read the frame: the version with its direction bit, the kind, and a map from names to lists of texts."""
    if len(raw) < 9 or not 0x81 <= raw[0] <= 0x86 or raw[4] not in (_SUPPORTED, _ERROR):
        return None
    if raw[4] == _ERROR:
        return Heard("cassandra") if b"protocol version" in raw else None
    version = re.search(rb"CQL_VERSION\x00\x01\x00[\x01-\x20](\d[\w.]{0,31})", raw)
    if version is None:
        return None
    facts = {"protocol": f"CQL {text(version[1])}"}
    if b"SCYLLA_" in raw:
        facts |= {"service.vendor": "ScyllaDB", "service.product": "ScyllaDB"}
    return Heard("cassandra", facts)


def _whole(raw: bytes) -> bool:
    return len(raw) >= 9 and len(raw) >= 9 + min(struct.unpack_from(">I", raw, 5)[0], MAX_FRAME - 9)
