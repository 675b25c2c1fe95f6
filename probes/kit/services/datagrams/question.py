"""What a question to a UDP port is, and what questions share."""

from collections.abc import Callable
from dataclasses import dataclass

from probes.kit.services.talk import Heard

MAX_DATAGRAM = 4096
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Question:
    """A protocol's question: `make` writes it, `read` judges an answer to it (None: not this protocol).

    `elsewhere`: the answer comes from another port of the same host (TFTP, RFC 1350 section 4). `own_address_at`: where
    in the question the asker's own IPv4 address belongs. `answered_at`: the port of ours to which the answer goes,
    where it is not the one that asked, so that only who listens to the link hears it.
    """

    service: str
    ports: tuple[int, ...]
    make: Callable[[], bytes]
    read: Callable[[bytes, bytes], Heard | None]
    elsewhere: bool = False
    own_address_at: int | None = None
    answered_at: int = 0


def ber(tag: int, *parts: bytes) -> bytes:
    """Write a BER element of fewer than 128 bytes (X.690)."""
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body
