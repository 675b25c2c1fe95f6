"""Java's debug wire protocol (JDWP): the handshake. Who may shake hands may run any code in the program."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

PORTS = (5005, 8453)
_HANDSHAKE = b"JDWP-Handshake"


def talk(_host: str, _port: int) -> Talk:
    """Shake hands and leave; no command is sent."""
    yield Send(_HANDSHAKE)
    if (yield Receive(at_least(len(_HANDSHAKE) + 1), len(_HANDSHAKE) + 1, 1.0)) != _HANDSHAKE:
        return None
    return Heard("jdwp", {"authentication": "none"})
