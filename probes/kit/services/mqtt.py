"""MQTT 3.1.1 (OASIS): CONNECT with a clean session and no name, and the reason in CONNACK."""

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least

_BODY = b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x06edusec"
CONNECT = bytes([0x10, len(_BODY)]) + _BODY
DISCONNECT = b"\xe0\x00"
REASONS = {0: "none", 1: "refused protocol", 2: "refused client id", 3: "unavailable", 4: "required", 5: "required"}


def talk(_host: str, _port: int) -> Talk:
    """Connect as an anonymous client and leave at once; nothing is subscribed or published."""
    yield Send(CONNECT)
    reply = yield Receive(at_least(4), 4)
    if len(reply) < 4 or reply[0] != 0x20 or reply[1] != 2 or reply[3] not in REASONS:
        return None
    yield Send(DISCONNECT)
    return Heard("mqtt", {"authentication": REASONS[reply[3]]})
