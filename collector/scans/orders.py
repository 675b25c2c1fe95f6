"""Orders as agents meet them: claimed, followed, and ended by the section that carries their id."""

import base64
import zlib
from concurrent.futures import Future
from functools import partial

from sqlalchemy import select

from collector.core import Core
from collector.errors import NotFound
from collector.memory.board import Board, Open
from collector.memory.directory import AgentIdentity
from collector.memory.orders import CLAIMED, Event, after
from collector.store.contract import Turn
from collector.store.tables import scan_order
from wire.codec import decode, encode
from wire.orders import OrderProgress, OrderReply, OrderState
from wire.types import Section

SILENT_SECONDS = 86_400.0
"""An order that was claimed, and of which nothing was heard for so long after its time limit, counts as lost."""
MAX_UNPACKED = 32 << 20

_EVENTS = {OrderState.TAKEN: Event.CLAIM, OrderState.RUNNING: Event.PROGRESS}


def progress(core: Core, agent: AgentIdentity, ident: str, said: OrderProgress, now: float) -> Future[OrderReply]:
    """Take an agent's word on its order; the reply comes once what it changes is durable. Raises NotFound."""
    entry = core.scans.get(ident)
    event = _EVENTS.get(said.state)
    if entry is None or entry.order.agent != agent.id:
        if _belongs(core, agent, ident):
            return _done(OrderReply(go=False))
        raise NotFound(f"no order {ident!r} for this agent")
    if event is None:
        return _done(OrderReply(go=False))
    if event is Event.CLAIM or entry.state is OrderState.TAKEN:
        return core.store.submit(lambda turn: _step(core, turn, ident, event, said, now))
    if entry.state is OrderState.RUNNING:
        core.scans.heard(ident, said, now)
        core.scans.ring(entry.scan)
    return _done(OrderReply(go=entry.state is OrderState.RUNNING))


def ended(board: Board, turn: Turn, agent: AgentIdentity, section: Section, now: float) -> None:
    """End the order that a section carries, in the transaction that takes the section; a stranger's id does nothing."""
    changed = turn.run(
        "UPDATE scan_order SET state = ?, changed = ?, status = ?, reason = ?, observations = ?, started = ?, "
        "finished = ? WHERE county = ? AND id = ? AND agent = ? AND state <> ?",
        (
            OrderState.ENDED.value, now, section.status.value, section.reason,
            len(section.body.observations) if section.body else 0, section.started, section.finished,
            agent.county, section.order, agent.id, OrderState.ENDED.value,
        ),
    )  # fmt: skip
    if not changed:
        return
    turn.run(
        "INSERT INTO scan_result (county, scan_order, section) VALUES (?, ?, ?) ON CONFLICT (county, scan_order) "
        "DO UPDATE SET section = excluded.section",
        (agent.county, section.order, pack_section(section)),
    )
    ((scan,),) = turn.rows("SELECT scan FROM scan_order WHERE county = ? AND id = ?", (agent.county, section.order))
    turn.after_commit(lambda: board.moved(section.order, OrderState.ENDED, now))
    turn.after_commit(lambda: board.ring(scan))  # one that counted as lost is on no board any more


def look_at_the_clock(core: Core, now: float) -> None:
    """Let orders expire that no agent claimed in time, and count as lost what nothing was heard of for too long."""
    for entry in core.scans.all():
        record = core.directory.agents.get(entry.order.agent)
        gone = record is None or record.revoked is not None
        if entry.state is OrderState.WAITING and (gone or entry.order.expires <= now):
            core.store.write(partial(_move, core, entry, Event.EXPIRE, now))
        elif entry.state in CLAIMED:
            word = core.scans.word(entry.order.id)
            heard = max(entry.changed, word.heard if word else 0.0)
            if gone or heard + entry.order.time_limit + SILENT_SECONDS <= now:
                core.store.write(partial(_move, core, entry, Event.LOSE, now))


def move(core: Core, turn: Turn, entry: Open, event: Event, now: float) -> OrderState | None:
    """Take an order one step on, if that step exists from where the store has it; gives the state that it is in."""
    order = entry.order
    rows = turn.rows("SELECT state FROM scan_order WHERE county = ? AND id = ?", (entry.county, order.id))
    if not rows:
        return None
    state = OrderState(rows[0][0])
    new = after(state, event)
    if new is None or new is state:
        return state
    turn.run(
        "UPDATE scan_order SET state = ?, changed = ? WHERE county = ? AND id = ?",
        (new.value, now, entry.county, order.id),
    )
    turn.after_commit(lambda: core.scans.moved(order.id, new, now))
    return new


def _move(core: Core, entry: Open, event: Event, now: float, turn: Turn) -> None:
    move(core, turn, entry, event, now)


def pack_section(section: Section) -> str:
    """Write a section for the store: a large one is ten times smaller so."""
    return base64.b64encode(zlib.compress(encode(section))).decode("ascii")


def unpack_section(text: str) -> Section:
    """Read it back."""
    return decode(Section, zlib.decompressobj().decompress(base64.b64decode(text), MAX_UNPACKED), MAX_UNPACKED)


def _step(core: Core, turn: Turn, ident: str, event: Event, said: OrderProgress, now: float) -> OrderReply:
    entry = core.scans.get(ident)
    if entry is None:
        return OrderReply(go=False)
    if event is Event.CLAIM and entry.state is not OrderState.CANCELLING and entry.order.expires <= now:
        event = Event.EXPIRE
    state = move(core, turn, entry, event, now)
    # Who claims what runs already is another machine with the same identity: one of them is enough.
    go = state is OrderState.TAKEN or (state is OrderState.RUNNING and event is Event.PROGRESS)
    if go:
        turn.after_commit(lambda: core.scans.heard(ident, said, now))
    return OrderReply(go=go)


def _belongs(core: Core, agent: AgentIdentity, ident: str) -> bool:
    """Tell whether an order that is over was this agent's."""
    query = select(scan_order.c.id).where(
        scan_order.c.county == agent.county, scan_order.c.id == ident, scan_order.c.agent == agent.id
    )
    with core.store.reader() as connection:
        return connection.execute(query).first() is not None


def _done(reply: OrderReply) -> "Future[OrderReply]":
    future: Future[OrderReply] = Future()
    future.set_result(reply)
    return future
