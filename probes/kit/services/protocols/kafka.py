"""Kafka's protocol: ApiVersions, the one question that every broker answers before anybody logs in."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk

PORTS = (9092,)
_NUMBER = 0x65647573
_NAME = b"edusec"
_HEAD = struct.pack(">hhih", 18, 0, _NUMBER, len(_NAME))


def talk(_host: str, _port: int) -> Talk:
    """Ask which requests are known; no topic is named."""
    yield Send(struct.pack(">i", len(_HEAD) + len(_NAME)) + _HEAD + _NAME)
    return read((yield Receive(_whole, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read size, our number, error 0, and so many triples of a request and its versions."""
    if len(raw) < 14:
        return None
    size, number, error, count = struct.unpack_from(">iihi", raw)
    if number != _NUMBER or error or not 1 <= count <= 500 or size < 10 + 6 * count:
        return None
    return Heard("kafka", {"protocol": "Kafka"})


def _whole(raw: bytes) -> bool:
    return len(raw) >= 14 and len(raw) >= 4 + min(int.from_bytes(raw[:4], "big"), 4092)
