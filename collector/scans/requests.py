"""Scans as people ask for them: made, watched, cancelled, and their results."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from sqlalchemy import ColumnElement, Row, select

from collector.answers import views
from collector.answers.said import out_of_reach
from collector.clock import moment, new_id
from collector.core import Core
from collector.errors import BadInput, Conflict, NotFound
from collector.memory.board import MAX_OFFERED, Open
from collector.memory.directory import AgentRecord, Node, require
from collector.memory.orders import CLAIMED, Event
from collector.memory.people import Person, Role
from collector.registry.agents import state_of
from collector.scans.orders import move, unpack_section
from collector.scans.targets import takes_targets, targets_for
from collector.store import audit, tables
from collector.store.contract import Turn
from collector.store.tables import scan, scan_order, scan_result
from wire.codec import encode, from_plain
from wire.orders import Order, OrderState
from wire.text import Text
from wire.types import Code, Line, Max, Name, Range, Section, Value

MAX_LISTED = 100
MAX_AGENTS = 64


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a person asks for. Without targets each agent looks at its own scope, or at what is known of its unit.

    `request` is the client's own name for this wish: the same one again gives the same scan. No agent starts it later
    than `valid` seconds from now; each run may take `time_limit` seconds.
    """

    unit: Annotated[str, Max(64)]
    probe: Code = "open_ports"
    options: Annotated[Mapping[str, Value], Max(63)] = field(default_factory=dict)
    targets: Annotated[tuple[Name, ...], Max(1_000)] = ()
    time_limit: Annotated[float, Range(1, 86_400)] = 3_600.0
    valid: Annotated[float, Range(1, 604_800)] = 900.0
    reason: Line = ""
    request: Code = ""


def create(core: Core, person: Person, wanted: ScanRequest) -> views.Scan:
    """Make a scan, with one order for each agent of the unit; raises NotFound, Forbidden, Conflict, BadInput."""
    require(person, Role.OPERATOR)
    node = core.directory.node(person, wanted.unit)
    if "targets" in wanted.options:
        raise BadInput(Text("options：目标另有字段 targets", "options: targets have a field of their own"))
    if not wanted.probe.isidentifier():
        raise BadInput(
            Text("probe：须为探测名称，如 open_ports", "probe: must be the name of a probe, such as open_ports")
        )
    now = core.clock()
    ident, request = new_id(now), wanted.request or new_id(now)
    digest = hashlib.sha256(encode(wanted)).hexdigest()
    records = _agents(core, node)
    orders = [_order(core, person, wanted, record, now) for record in records]

    def work(turn: Turn) -> str:
        known = turn.rows(
            "SELECT id, digest FROM scan WHERE county = ? AND person = ? AND request = ?",
            (node.county, person.id, request),
        )
        if known:
            if known[0][1] != digest:
                raise Conflict(
                    Text(
                        f"request {request!r} 已用于另一次扫描，请各用各的名称",
                        f"request {request!r} was used for another scan; give each wish a name of its own",
                    )
                )
            return str(known[0][0])
        _require_room(core, node, records)
        expires = now + wanted.valid
        turn.run(
            "INSERT INTO scan (county, id, unit, probe, person, asked_by, request, digest, reason, created, expires) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                node.county, ident, node.code, wanted.probe, person.id, person.name, request, digest, wanted.reason,
                now, expires,
            ),
        )  # fmt: skip
        for order in orders:
            turn.run(
                "INSERT INTO scan_order (county, id, scan, agent, state, message, changed, status, reason, "
                "observations) VALUES (?, ?, ?, ?, ?, ?, ?, '', '', 0)",
                (node.county, order.id, ident, order.agent, OrderState.WAITING.value, encode(order).decode(), now),
            )
            entry = Open(order, node.county, ident, OrderState.WAITING, now)
            turn.after_commit(lambda entry=entry: _announce(core, entry))  # type: ignore[misc]
        detail = {"unit": node.code, "probe": wanted.probe, "agents": [order.agent for order in orders]}
        audit.record(turn, now, person.name, "scan.create", ident, {**detail, "reason": wanted.reason})
        return ident

    return show(core, person, core.store.write(work))


def _require_room(core: Core, node: Node, records: Sequence[AgentRecord]) -> None:
    if not records:
        raise Conflict(
            Text(
                f"{node.name}（{node.code}）没有代理；请先注册，或指定有代理的单位",
                f"{node.name} ({node.code}) has no agent; enrol one, or name a unit that has one",
            )
        )
    for record in records:
        if len(core.scans.of_agent(record.identity.id)) >= MAX_OFFERED:
            name = record.identity.name
            raise Conflict(
                Text(
                    f"代理 {name} 已有 {MAX_OFFERED} 个任务在等待；请取消一些，或稍后再试",
                    f"{MAX_OFFERED} orders wait for agent {name} already; cancel some or wait",
                )
            )


def show(core: Core, person: Person, ident: str) -> views.Scan:
    """Give a scan with its orders; raises NotFound."""
    found = _scans(core, person, scan.c.id == ident)
    if not found:
        raise NotFound(out_of_reach(Text("扫描", "scan"), ident, person.name))
    return found[0]


def list_scans(core: Core, person: Person, under: str | None) -> list[views.Scan]:
    """Give the newest scans of a subtree; raises NotFound."""
    return _scans(core, person, tables.under(core.directory.reach(person, under)))


def cancel(core: Core, person: Person, ident: str) -> views.Scan:
    """End what runs and withdraw what waits; what was found stays. Raises NotFound, Forbidden."""
    require(person, Role.OPERATOR)
    before, now = show(core, person, ident), core.clock()

    def work(turn: Turn) -> None:
        for part in before.orders:
            entry = core.scans.get(part.id)
            if entry is not None:
                move(core, turn, entry, Event.CANCEL, now)
        audit.record(turn, now, person.name, "scan.cancel", ident, {"unit": before.unit})

    core.store.write(work)
    return show(core, person, ident)


def result(core: Core, person: Person, ident: str, order: str) -> Section:
    """Give the section that ended an order, with its body; raises NotFound."""
    show(core, person, ident)
    query = (
        select(scan_result.c.section)
        .join(
            scan_order,
            (scan_order.c.county == scan_result.c.county) & (scan_order.c.id == scan_result.c.scan_order),
        )
        .where(
            scan_result.c.county.in_(core.directory.counties(person.path)),
            scan_result.c.scan_order == order,
            scan_order.c.scan == ident,
        )
    )
    with core.store.reader() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotFound(
            Text(
                f"扫描 {ident!r} 的任务 {order!r} 没有结果，或结果已不再保留",
                f"order {order!r} of scan {ident!r} has no result, or none is kept any more",
            )
        )
    return unpack_section(row.section)


def _announce(core: Core, entry: Open) -> None:
    core.scans.put(entry)
    core.scans.ring(entry.order.agent)


def _agents(core: Core, node: Node) -> list[AgentRecord]:
    found = [
        record
        for record in list(core.directory.agents.values())
        if record.identity.unit == node.code and record.revoked is None
    ]
    if len(found) > MAX_AGENTS:
        raise Conflict(
            Text(
                f"{node.name} 有 {len(found)} 个代理，一次扫描最多 {MAX_AGENTS} 个",
                f"{node.name} has {len(found)} agents, one scan takes {MAX_AGENTS}",
            )
        )
    return found


def _order(core: Core, person: Person, wanted: ScanRequest, record: AgentRecord, now: float) -> Order:
    targets = wanted.targets
    if not targets and takes_targets(wanted.probe):
        targets = targets_for(core, record.identity)
    plain = {
        "id": new_id(now),
        "unit": record.identity.unit,
        "agent": record.identity.id,
        "probe": wanted.probe,
        "time_limit": wanted.time_limit,
        "expires": now + wanted.valid,
        "asked_by": person.name,
        "reason": wanted.reason,
        "options": json.loads(encode_options(wanted.options, targets)),
    }
    return from_plain(Order, plain)


def encode_options(options: Mapping[str, Value], targets: tuple[str, ...]) -> bytes:
    """Write the options of an order, its targets among them."""
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return json.dumps({**given, **({"targets": list(targets)} if targets else {})}).encode()


def _scans(core: Core, person: Person, condition: ColumnElement[bool]) -> list[views.Scan]:
    counties = core.directory.counties(person.path)
    query = (
        select(scan)
        .join(tables.unit, tables.unit.c.code == scan.c.unit)
        .where(scan.c.county.in_(counties), tables.under(person.path), condition)
        .order_by(scan.c.id.desc())
        .limit(MAX_LISTED)
    )
    with core.store.reader() as connection:
        rows = connection.execute(query).all()
        parts: dict[str, list[Row[Any]]] = {}
        chosen = select(scan_order).where(
            scan_order.c.county.in_({row.county for row in rows}), scan_order.c.scan.in_([row.id for row in rows])
        )
        for part in connection.execute(chosen.order_by(scan_order.c.id)):
            parts.setdefault(part.scan, []).append(part)
    return [_scan(core, row, parts.get(row.id, [])) for row in rows]


def _scan(core: Core, row: "Row[Any]", parts: "list[Row[Any]]") -> views.Scan:
    made = views.Scan(
        id=row.id,
        unit=row.unit,
        unit_name=core.directory.units[row.unit].name,
        probe=row.probe,
        asked_by=row.asked_by,
        reason=row.reason,
        created=moment(row.created),
        expires=moment(row.expires),
        orders=tuple(_part(core, part) for part in parts),
    )
    revision = hashlib.blake2b(msgspec.json.encode(made), digest_size=8).hexdigest()
    return msgspec.structs.replace(made, revision=revision)


def _part(core: Core, row: "Row[Any]") -> views.ScanOrder:
    record = core.directory.agents[row.agent]
    last = core.sections.agents().get(row.agent)
    word = core.scans.word(row.id) if OrderState(row.state) in CLAIMED else None
    return views.ScanOrder(
        id=row.id,
        agent=row.agent,
        agent_name=record.identity.name,
        agent_state=state_of(core, record, last.received if last else None, core.clock()),
        state=row.state,
        changed=moment(row.changed),
        heard=moment(word.heard) if word else None,
        done=word.progress.done if word else 0,
        total=word.progress.total if word else 0,
        note=word.progress.note if word else "",
        rate=word.progress.rate if word else 0.0,
        lost=word.progress.lost if word else 0.0,
        status=row.status,
        reason=row.reason,
        observations=row.observations,
        finished=moment(row.finished),
    )
