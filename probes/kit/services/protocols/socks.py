"""SOCKS 5 (RFC 1928): the method that a proxy chooses. No connection through it is asked for."""

from probes.kit.services.protocols import http
from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (1080, 7891, 9050, 10808)
_GREETING = b"\x05\x01\x00"
"""Version 5, and one way to log in: none."""
_METHODS = {0x00: "none", 0xFF: "required"}


def talk(_host: str, _port: int) -> Talk:
    """Offer to come without a login; a proxy that takes that serves everybody."""
    yield Send(_GREETING)
    raw = yield Receive(at_least(3), 3)
    if len(raw) != 2 or raw[0] != 5 or raw[1] not in _METHODS:
        return None
    # Some answer browsers too, and say to them what they are.
    return Heard("socks5", {"authentication": _METHODS[raw[1]]}, then=(http.talk,))
