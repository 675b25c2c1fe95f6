"""SANE's network protocol (SANE standard 5.2.1): SANE_NET_INIT, which opens no scanner."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (6566,)
_INIT = 0
_VERSION = struct.pack(">BBH", 1, 0, 3)
_NAME = b"edusec\0"
_DENIED = 11
"""The last of the states that it may tell; each scanner may still have a login of its own."""


def talk(_host: str, _port: int) -> Talk:
    """Introduce ourselves; the answer holds a status and the version of the protocol."""
    yield Send(struct.pack(">I", _INIT) + _VERSION + struct.pack(">I", len(_NAME)) + _NAME)
    raw = yield Receive(at_least(8), 9)
    status = int.from_bytes(raw[:4], "big")
    if len(raw) != 8 or status > _DENIED or raw[4] != 1:
        return None
    return Heard("sane-port")
