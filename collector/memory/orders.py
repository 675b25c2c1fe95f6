"""The states of an order and the ways between them. Pure; docs/design/005 draws it."""

from collections.abc import Mapping
from enum import StrEnum

from wire.orders import OrderState


class Event(StrEnum):
    """What can happen to an order."""

    CLAIM = "claim"
    PROGRESS = "progress"
    CANCEL = "cancel"
    EXPIRE = "expire"
    SECTION = "section"
    LOSE = "lose"


# Who claims once more what it has claimed has not begun: the reply was lost, and no section will come. So what was
# cancelled meanwhile is over, and so is what has expired.
_WAYS: Mapping[tuple[OrderState, Event], OrderState] = {
    (OrderState.WAITING, Event.CLAIM): OrderState.TAKEN,
    (OrderState.WAITING, Event.CANCEL): OrderState.CANCELLED,
    (OrderState.WAITING, Event.EXPIRE): OrderState.EXPIRED,
    (OrderState.TAKEN, Event.CLAIM): OrderState.TAKEN,
    (OrderState.TAKEN, Event.EXPIRE): OrderState.EXPIRED,
    (OrderState.TAKEN, Event.PROGRESS): OrderState.RUNNING,
    (OrderState.TAKEN, Event.CANCEL): OrderState.CANCELLING,
    (OrderState.RUNNING, Event.PROGRESS): OrderState.RUNNING,
    (OrderState.RUNNING, Event.CANCEL): OrderState.CANCELLING,
    (OrderState.CANCELLING, Event.CANCEL): OrderState.CANCELLING,
    (OrderState.CANCELLING, Event.CLAIM): OrderState.CANCELLED,
    **{(state, Event.LOSE): OrderState.LOST for state in (OrderState.TAKEN, OrderState.RUNNING, OrderState.CANCELLING)},
    # A section says what happened, whatever was thought before.
    **{(state, Event.SECTION): OrderState.ENDED for state in OrderState if state is not OrderState.ENDED},
}

FINAL = frozenset({OrderState.CANCELLED, OrderState.EXPIRED, OrderState.ENDED, OrderState.LOST})
CLAIMED = frozenset({OrderState.TAKEN, OrderState.RUNNING, OrderState.CANCELLING})


def after(state: OrderState, event: Event) -> OrderState | None:
    """Give the state that an event leads to; None when it cannot happen in this state, and then nothing changes."""
    return _WAYS.get((state, event))
