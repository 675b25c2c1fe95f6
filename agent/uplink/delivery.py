"""What the daemon asks of the processes that speak TLS for it, and what they bring back."""

from dataclasses import dataclass
from typing import Annotated

from agent.uplink.identity import MAX_CA_BYTES
from wire.types import MAX_REPORT_BYTES, Answer, Code, Line, Max, Name, Port, Range, Refusal

MAX_TOLD_BYTES = 4 << 20


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


@dataclass(frozen=True, slots=True)
class Opening:
    """With whom a caller speaks; `socket` is the descriptor of a connection that it is given, -1 for none."""

    host: Name
    port: Port
    ca: Annotated[str, Max(MAX_CA_BYTES)]
    credential: Line
    socket: Annotated[int, Range(-1, 1 << 20)] = -1


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, to be answered within `seconds`. `hold`: over the given connection, which may be left waiting."""

    method: Code
    path: Line
    seconds: Annotated[float, Range(0.1, 600)]
    body: Annotated[str, Max(65_536)] = ""
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it: HTTP's status, or 0 with an error. `held`: the collector waits with its answer."""

    status: Annotated[int, Range(0, 999)]
    body: Annotated[str, Max(MAX_TOLD_BYTES)] = ""
    error: Line = ""
    retry_after: float | None = None
    held: bool = False
