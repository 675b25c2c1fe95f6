"""AMQP 0-9-1: the broker's first frame (Connection.Start), which names it before anybody logs in."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (5672,)
HEADER = b"AMQP\0\0\x09\x01"
MAX_FRAME = 8192
_START = b"\0\x0a\0\x0a"
_FIELD = re.compile(rb"\x07(product|version)S\0\0([\x00-\xff])([\x00-\xff])")
_PRODUCTS = {"RabbitMQ": ("VMware", "cpe:/a:vmware:rabbitmq"), "ActiveMQ": ("Apache", "cpe:/a:apache:activemq")}


def talk(_host: str, _port: int) -> Talk:
    """Open the protocol and read; no mechanism is chosen."""
    yield Send(HEADER)
    return read((yield Receive(_whole, MAX_FRAME)))


def read(raw: bytes) -> Heard | None:
    """Read the frame, or the header of the version that is spoken instead."""
    if raw[:4] == b"AMQP" and len(raw) >= 8:
        return Heard("amqp", {"protocol": f"AMQP {raw[5]}.{raw[6]}.{raw[7]}"})
    if raw[:3] != b"\x01\0\0" or raw[7:11] != _START:
        return None
    facts = {"protocol": "AMQP 0.9.1"}
    for found in list(_FIELD.finditer(raw[:MAX_FRAME]))[:4]:
        size = found[2][0] << 8 | found[3][0]
        facts.setdefault(f"service.{found[1].decode()}", text(raw[found.end() : found.end() + size]))
    vendor, cpe = _PRODUCTS.get(facts.get("service.product", ""), ("", ""))
    if cpe and re.fullmatch(r"\d[\w.]*", facts.get("service.version", "")):
        facts |= {"service.vendor": vendor, "service.cpe23": f"{cpe}:{facts['service.version']}"}
    return Heard("amqp", facts)


def _whole(raw: bytes) -> bool:
    if raw[:4] == b"AMQP":
        return len(raw) >= 8
    return len(raw) >= 7 and len(raw) >= 8 + min(int.from_bytes(raw[3:7], "big"), MAX_FRAME - 8)
