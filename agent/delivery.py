"""What the uplink asks of a courier, and what the courier brings back."""

from dataclasses import dataclass
from typing import Annotated

from agent.identity import MAX_CA_BYTES
from wire.types import MAX_REPORT_BYTES, Answer, Line, Max, Name, Port, Range, Refusal


@dataclass(frozen=True, slots=True)
class Orders:
    """Where to carry `bytes` of payload, within `seconds`, and the state folder in which to stage a new policy."""

    host: Name
    port: Port
    ca: Annotated[str, Max(MAX_CA_BYTES)]
    credential: Line
    folder: Line
    seconds: Annotated[float, Range(0.1, 600)]
    bytes: Annotated[int, Range(0, MAX_REPORT_BYTES)]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it. `status` is HTTP's, or 0 when there was no usable answer and `error` says why.

    `skew` is the collector's clock minus ours in seconds. `answer` holds the head of a policy, whose whole is staged in
    the state folder; `unstaged` says why it could not be, and then `answer` has none. `foreign_responder` is the host
    of a bandwidth responder that was taken out, because it is not the collector's own: nobody else may draw traffic.
    """

    status: Annotated[int, Range(0, 999)]
    error: Line = ""
    answer: Answer | None = None
    refusal: Refusal | None = None
    retry_after: float | None = None
    skew: float | None = None
    unstaged: Line = ""
    foreign_responder: Name = ""
