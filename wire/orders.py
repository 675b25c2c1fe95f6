"""Orders: what a person asks a unit's agents to run now, and what an agent says on the way (docs/design/005).

An agent asks for its `Orders`, claims one with an `OrderProgress`, and is told by each `OrderReply` whether to go on.
The result is a `wire.types.Section` that carries the order's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from wire.types import Code, Count, Line, Max, Name, Range, Seconds, Time, Value

ORDERS_SCHEMA = "edusec.orders/1"
PROGRESS_SCHEMA = "edusec.progress/1"


class OrderState(StrEnum):
    """How far an order is; docs/design/005 draws the ways between these. A state from CANCELLED on is final."""

    WAITING = "waiting"
    TAKEN = "taken"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ENDED = "ended"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Order:
    """One run of a probe that a person asked for, for one agent; its section comes back with this id.

    It never widens the agent's scope. `time_limit` bounds the run; it must not start after `expires`, which is on the
    collector's clock.
    """

    id: Code
    unit: Code
    agent: Code
    probe: Code
    time_limit: Annotated[float, Range(1, 86_400)]
    expires: Time
    asked_by: Name
    reason: Line = ""
    options: Annotated[Mapping[str, Value], Max(64)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Orders:
    """What waits for one agent: orders that it has not claimed, and the ids of those that it should end.

    `time` is the collector's clock, against which `expires` is read. `revision` names this answer: who asks with it
    again is answered when there is another. `again` asks the agent not to come back for so many seconds, when the
    collector can hold no more connections.
    """

    time: Time
    revision: Code = ""
    orders: Annotated[tuple[Order, ...], Max(16)] = ()
    cancelled: Annotated[tuple[Code, ...], Max(64)] = ()
    again: Seconds = 0.0
    schema: Code = ORDERS_SCHEMA


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """What an agent says of an order: TAKEN claims it, RUNNING says how far it is, in items of the probe's choosing.

    `rate` is what it sends a second just now, `lost` the share (0-1) of its questions that get lost on the way.
    """

    state: OrderState
    done: Count = 0
    total: Count = 0
    note: Line = ""
    rate: Annotated[float, Range(0, 1e12)] = 0.0
    lost: Annotated[float, Range(0, 1)] = 0.0
    schema: Code = PROGRESS_SCHEMA


@dataclass(frozen=True, slots=True)
class OrderReply:
    """Whether to go on with an order; False: it was cancelled, has expired, or is known no more."""

    go: bool
    schema: Code = PROGRESS_SCHEMA
