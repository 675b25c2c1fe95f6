"""Java's remote method invocation (Java RMI specification, section 10.2): the header of its stream protocol."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (1098, 1099, 1090)
_HEADER = b"JRMI\x00\x02\x4b"
"""Magic, version 2, stream protocol."""
_ACKNOWLEDGED = re.compile(rb"\x4e\x00([\x01-\xff])")


def talk(_host: str, _port: int) -> Talk:
    """Begin, and read our own address as the server sees it; no object is looked up."""
    yield Send(_HEADER)
    raw = yield Receive(_whole, 512)
    found = _ACKNOWLEDGED.match(raw)
    if found is None or not _whole(raw) or not re.fullmatch(r"[0-9A-Za-z.:%-]+", text(raw[3 : 3 + found[1][0]])):
        return None
    return Heard("java-rmi")


def _whole(raw: bytes) -> bool:
    return len(raw) >= 3 and len(raw) >= 3 + raw[2] + 4
