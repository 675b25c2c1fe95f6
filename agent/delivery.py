"""What the uplink asks of a courier, and what the courier brings back."""

from dataclasses import dataclass
from typing import Annotated

from agent.identity import MAX_CA_BYTES
from wire.codec import decode
from wire.errors import DecodeError
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Answer, Line, Max, Name, Port, Range, Refusal


@dataclass(frozen=True, slots=True)
class Orders:
    """Where to carry `bytes` of payload, within `seconds`."""

    host: Name
    port: Port
    ca: Annotated[str, Max(MAX_CA_BYTES)]
    credential: Line
    seconds: Annotated[float, Range(0.1, 600)]
    bytes: Annotated[int, Range(0, MAX_REPORT_BYTES)]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it. `status` is HTTP's, or 0 when there was no usable answer and `error` says why.

    `skew` is the collector's clock minus ours in seconds. `answer` holds the head of a policy, whose whole follows in
    `policy_bytes`; `foreign_responder` is the host of a bandwidth responder that was taken out, because it is not the
    collector's own: nobody but this agent's collector may draw its traffic.
    """

    status: Annotated[int, Range(0, 999)]
    error: Line = ""
    answer: Answer | None = None
    refusal: Refusal | None = None
    retry_after: float | None = None
    skew: float | None = None
    policy_bytes: Annotated[int, Range(0, MAX_PLAIN_BYTES)] = 0
    foreign_responder: Name = ""


def read_delivery(raw: bytes) -> tuple[Delivery, bytes]:
    """Read what `main` wrote; raises DecodeError."""
    line, _, whole = raw.partition(b"\n")
    delivery = decode(Delivery, line)
    if len(whole) != delivery.policy_bytes:
        raise DecodeError("policy_bytes", f"{len(whole)} bytes came")
    return delivery, whole
