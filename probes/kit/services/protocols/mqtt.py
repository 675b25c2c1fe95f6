"""MQTT 3.1.1 (OASIS): CONNECT with a clean session, the reason in CONNACK, and the version that brokers retain."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least, text

PORTS = (1883,)
_BODY = b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x06edusec"
CONNECT = bytes([0x10, len(_BODY)]) + _BODY
_TOPIC = b"$SYS/broker/version"
_FILTER = b"\x00\x01" + len(_TOPIC).to_bytes(2, "big") + _TOPIC + b"\x00"
SUBSCRIBE = bytes([0x82, len(_FILTER)]) + _FILTER
DISCONNECT = b"\xe0\x00"
REASONS = {0: "none", 1: "refused protocol", 2: "refused client id", 3: "unavailable", 4: "required", 5: "required"}


def talk(_host: str, _port: int) -> Talk:
    """Connect as an anonymous client, read the broker's own version topic (no other), and leave."""
    yield Send(CONNECT)
    reply = yield Receive(at_least(4), 4)
    if len(reply) < 4 or reply[0] != 0x20 or reply[1] != 2 or reply[3] not in REASONS:
        return None
    facts = {"authentication": REASONS[reply[3]]}
    if reply[3] == 0:
        yield Send(SUBSCRIBE)
        retained = yield Receive(lambda raw: _TOPIC in raw, 512, 0.5)
        found = re.search(re.escape(_TOPIC) + rb"(\w+) version (\d[\w.]{0,31})", retained)
        if found is not None and found[1] == b"mosquitto":
            facts |= {
                "service.vendor": "Eclipse",
                "service.product": "Mosquitto",
                "service.version": text(found[2]),
                "service.cpe23": f"cpe:/a:eclipse:mosquitto:{text(found[2])}",
            }
        yield Send(DISCONNECT)
    return Heard("mqtt", facts)
