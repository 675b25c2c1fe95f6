"""What a question to a UDP port is, and what questions share."""

from collections.abc import Callable
from dataclasses import dataclass

from probes.kit.services.talk import Heard

MAX_DATAGRAM = 4096
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Question:
    """A protocol's question: `make` writes it, `read` judges an answer to it (None: not this protocol).

    `elsewhere`: the answer comes from another port of the same host (TFTP, RFC 1350 section 4).
    """

    service: str
    ports: tuple[int, ...]
    make: Callable[[], bytes]
    read: Callable[[bytes, bytes], Heard | None]
    elsewhere: bool = False


def ber(tag: int, *parts: bytes) -> bytes:
    """Write a BER element of fewer than 128 bytes (X.690)."""
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body
