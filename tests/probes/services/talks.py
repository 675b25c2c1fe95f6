"""The other side of a conversation, played from a list of answers, and packets as servers frame them."""

import struct
from collections.abc import Iterable

from probes.kit.services.talk import MAX_ANSWER, Ciphered, Heard, Receive, Secure, Send, Talk

MOST_STEPS = 12


def converse(talk: Talk, answers: Iterable[bytes]) -> Heard | None:
    """Play the other side: give each Receive the next answer (cut to its limit), and nothing once they are used up."""
    left = iter(answers)
    reply: bytes | None = None
    for _ in range(MOST_STEPS):
        try:
            step = talk.send(reply)  # type: ignore[arg-type]  # the first send of a generator is None
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        reply = b""
        if isinstance(step, Receive):
            assert 0 < step.limit <= MAX_ANSWER
            assert 0 < step.seconds <= 10
            reply = next(left, b"")[: step.limit]
            step.enough(reply)
        else:
            assert isinstance(step, Send | Secure | Ciphered)
            reply = b"TLSv1.2 ADH-AES256-GCM-SHA384" if isinstance(step, Ciphered) else reply
    raise AssertionError("the conversation does not end")


def mysql_packet(payload: bytes) -> bytes:
    """Frame a first packet."""
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def tns(kind: int, rest: bytes) -> bytes:
    """Frame a packet of Oracle's listener."""
    return struct.pack(">HHBBH", len(rest) + 8, 0, kind, 0, 0) + rest


def cql(body: bytes) -> bytes:
    """Frame a list of options in version 4 of Cassandra's protocol."""
    return struct.pack(">BBHBI", 0x84, 0, 0, 6, len(body)) + body
