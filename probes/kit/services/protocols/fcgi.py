"""FastCGI (specification 1.0, section 4.1): what a server can do. Who reaches PHP-FPM may run what he likes in it."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk

PORTS = (9000, 9001)
HEAD = 8
_GET_VALUES, _RESULT = 9, 10
_NAMES = (b"FCGI_MAX_CONNS", b"FCGI_MPXS_CONNS")
_PAIRS = b"".join(bytes([len(name), 0]) + name for name in _NAMES)
REQUEST = struct.pack(">BBHHBB", 1, _GET_VALUES, 0, len(_PAIRS), 0, 0) + _PAIRS


def talk(_host: str, _port: int) -> Talk:
    """Ask for the limits, which is a message of management; no script is run."""
    yield Send(REQUEST)
    raw = yield Receive(_whole, 512)
    if len(raw) < HEAD or raw[:4] != bytes([1, _RESULT, 0, 0]) or not any(name in raw for name in _NAMES):
        return None
    return Heard("fastcgi", {"authentication": "none"})


def _whole(raw: bytes) -> bool:
    return len(raw) >= HEAD and len(raw) >= HEAD + int.from_bytes(raw[4:6], "big") + raw[6]
