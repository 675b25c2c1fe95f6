"""Alerts as people see them, and what people do with them."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, case, select

from collector.alerts.life import ACKNOWLEDGED, RESOLVED, STANDING, STATES
from collector.answers import views
from collector.answers.notes import check_note
from collector.answers.said import from_to, one_of, out_of_reach
from collector.clock import moment
from collector.core import Core
from collector.errors import BadInput, Conflict, NotFound
from collector.inventory.lists.assets import last_confirmed
from collector.memory.directory import require
from collector.memory.people import Person, Role
from collector.store import audit, tables
from collector.store.contract import Turn
from collector.store.tables import alert, unit
from rules.model import Colour
from wire.text import Text

ALL = "all"
MAX_LIMIT = 10_000
BASELINE_NOTE = Text("首次扫描即存在", "there at the first scan")


def list_alerts(
    core: Core,
    person: Person,
    under: str | None = None,
    state: str | None = None,
    rule: str | None = None,
    limit: int = MAX_LIMIT,
) -> list[views.Alert]:
    """Give alerts, the worst colour first, then the newest; raises NotFound, BadInput.

    Without a state those that stand (firing or acknowledged); `all` for every one.
    """
    if state not in (None, "", ALL, *STATES):
        raise BadInput(one_of("state", (*STATES, ALL)))
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInput(from_to("limit", 1, MAX_LIMIT))
    query = _alerts().where(tables.under(core.directory.reach(person, under)))
    if state != ALL:
        query = query.where(alert.c.state.in_((state,) if state else STANDING))
    if rule:
        query = query.where(alert.c.rule == rule)
    order = case({colour.value: rank for rank, colour in enumerate(Colour)}, value=alert.c.colour)
    with core.store.reader() as connection:
        rows = connection.execute(
            query.order_by(order.desc(), alert.c.first_seen.desc(), alert.c.id).limit(limit)
        ).all()
        return _views(core, connection, rows)


def show_alert(core: Core, person: Person, alert_id: str) -> views.Alert:
    """Give one alert; raises NotFound."""
    query = _alerts().where(
        alert.c.county.in_(core.directory.counties(person.path)), alert.c.id == alert_id, tables.under(person.path)
    )
    with core.store.reader() as connection:
        rows = connection.execute(query).all()
        if not rows:
            raise NotFound(out_of_reach(Text("告警", "alert"), alert_id, person.name))
        return _views(core, connection, rows)[0]


def acknowledge(core: Core, person: Person, alert_id: str, note: str) -> views.Alert:
    """Say that someone is at it; the alert stands until it resolves. Raises NotFound, Forbidden, Conflict, BadInput."""
    return _handle(core, person, alert_id, note, ACKNOWLEDGED)


def resolve(core: Core, person: Person, alert_id: str, note: str) -> views.Alert:
    """Close an alert with a reason; it opens again when it still matches after a while (settings.reopen_after).

    Raises NotFound, Forbidden, Conflict, and BadInput without a note.
    """
    if not note.strip():
        raise BadInput(Text("note：须说明为何办结", "note: must say why the alert is closed"))
    return _handle(core, person, alert_id, note, RESOLVED)


def _handle(core: Core, person: Person, alert_id: str, note: str, state: str) -> views.Alert:
    require(person, Role.OPERATOR)
    check_note(note)
    shown = show_alert(core, person, alert_id)
    county, now = core.directory.units[shown.unit].county, core.clock()
    values: tuple[object, ...] = (now, person.name, note)
    if state == ACKNOWLEDGED:
        change = "acknowledged = ?, acknowledged_by = ?, note = ?"
    else:
        change = "resolved = ?, resolved_by = ?, note = ?, cleared = ?, last_seen = ?, due = ?"
        values = (*values, False, now, now + core.settings.reopen_after)

    def work(turn: Turn) -> None:
        if not turn.run(
            f"UPDATE alert SET state = ?, {change} "  # noqa: S608 (our own words)
            "WHERE county = ? AND id = ? AND state IN ('firing', 'acknowledged')",
            (state, *values, county, alert_id),
        ):
            done = {ACKNOWLEDGED: "确认"}.get(state, "办结")
            raise Conflict(
                Text(
                    f"告警 {alert_id} 已不在告警中，只有告警中或已确认的告警才能{done}",
                    f"alert {alert_id} does not stand (any more); only a standing one can be {state}",
                )
            )
        audit.record(turn, now, person.name, f"alert.{state}", alert_id, {"rule": shown.rule, "note": note})

    core.store.write(work)
    return show_alert(core, person, alert_id)


def _alerts() -> Select[Any]:
    return select(alert, unit.c.name.label("unit_name")).join(unit, unit.c.code == alert.c.unit)


def _views(core: Core, connection: Connection, rows: Iterable[Row[Any]]) -> list[views.Alert]:
    found = list(rows)
    standing = [row for row in found if row.state != RESOLVED]
    confirmed = last_confirmed(connection, [row.subject for row in standing], {row.county for row in standing})
    return [_view(core, row, max(row.last_seen, confirmed.get(row.subject, 0.0))) for row in found]


def _view(core: Core, row: Row[Any], last_seen: float) -> views.Alert:
    rule = core.rules.by_id.get(row.rule)
    title, remedy = (rule.title, rule.remedy) if rule else (Text(row.rule, row.rule), Text("", ""))
    if row.baseline:
        title = Text(f"{title.zh}（{BASELINE_NOTE.zh}）", f"{title.en} ({BASELINE_NOTE.en})")
    return views.Alert(
        id=row.id,
        rule=row.rule,
        title=views.Words(zh=title.zh, en=title.en),
        unit=row.unit,
        unit_name=row.unit_name,
        subject=views.SubjectRef(kind=row.kind, id=row.subject, label=row.label),
        state=row.state,
        colour=row.colour,
        severity=row.severity,
        clause=row.clause,
        first_seen=moment(row.first_seen),
        last_seen=moment(last_seen),
        resolved=moment(row.resolved) if row.state == RESOLVED else None,
        baseline=bool(row.baseline),
        evidence=json.loads(row.evidence),
        remedy=views.Words(zh=remedy.zh, en=remedy.en),
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        previous=row.previous,
    )
