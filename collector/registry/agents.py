"""Agents: one-time enrolment tokens, credentials, and how each agent fares."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, select

from collector import views
from collector.clock import moment, new_id
from collector.errors import BadInput, NotFound, Unauthorised
from collector.inventory.picture import values_of
from collector.judge import mark_dirty
from collector.registry import audit
from collector.registry.directory import AgentIdentity, AgentRecord, require, secret_hash
from collector.registry.people import Person, Role
from collector.store import tables
from wire.types import Enrolment, EnrolmentRequest, Value

if TYPE_CHECKING:
    from collector.core import Core
    from collector.store.contract import Turn

__all__ = [
    "AGENT_STATES",
    "AgentIdentity",
    "authenticate",
    "create_token",
    "enrol",
    "list_agents",
    "revoke",
    "scrape_targets",
    "state_of",
]

MAX_TTL = 30 * 86_400.0
AGENT_STATES = ("new", "active", "silent", "revoked")


def create_token(core: "Core", person: Person, unit: str, ttl_seconds: float) -> views.TokenSecret:
    """Make a one-time token for enrolling an agent in a unit; raises NotFound, Forbidden, BadInput."""
    require(person, Role.OPERATOR)
    node = core.directory.node(person, unit)
    if not 1 <= ttl_seconds <= MAX_TTL:
        raise BadInput(f"ttl_seconds: must be from 1 to {MAX_TTL:.0f}")
    now, secret = core.clock(), secrets.token_urlsafe(32)
    expires = now + ttl_seconds

    def work(turn: "Turn") -> None:
        turn.run(
            "INSERT INTO enrolment_token (hash, unit, made_by, made, expires) VALUES (?, ?, ?, ?, ?)",
            (secret_hash(secret), unit, person.id, now, expires),
        )
        audit.record(turn, now, person.name, "token.create", unit, {"expires": expires})

    core.store.write(work)
    return views.TokenSecret(secret=secret, unit=unit, unit_name=node.name, expires=moment(expires))


def enrol(core: "Core", request: EnrolmentRequest, now: float) -> Enrolment:
    """Spend a token (its secret part) for a credential, both in one transaction; raises Unauthorised, BadInput."""
    if not request.name.strip() or not request.name.isprintable():
        raise BadInput("name: must be printable and not empty")
    credential, ident, token = secrets.token_urlsafe(32), new_id(now), secret_hash(request.token)

    def work(turn: "Turn") -> AgentIdentity:
        found = turn.rows(
            "SELECT unit, made_by FROM enrolment_token WHERE hash = ? AND spent IS NULL AND expires > ?", (token, now)
        )
        if not found:
            raise Unauthorised("the enrolment token is unknown, spent or expired; ask for a new one")
        ((unit, made_by),) = found
        identity = AgentIdentity(ident, request.name, unit, core.directory.units[unit].county)
        turn.run("UPDATE enrolment_token SET spent = ?, agent = ? WHERE hash = ?", (now, ident, token))
        turn.run(
            "INSERT INTO agent (id, county, unit, name, credential_hash, enrolled) VALUES (?, ?, ?, ?, ?, ?)",
            (ident, identity.county, unit, request.name, secret_hash(credential), now),
        )
        audit.record(turn, now, f"token of {made_by}", "agent.enrol", ident, {"unit": unit, "name": request.name})
        record = AgentRecord(identity, secret_hash(credential), now)
        turn.after_commit(lambda: core.directory.put_agent(record))
        return identity

    identity = core.store.write(work)
    return Enrolment(identity.id, identity.unit, core.directory.units[identity.unit].name, "bearer", credential)


def authenticate(core: "Core", credential: str) -> AgentIdentity | None:
    """Give the agent behind a credential, None for an unknown or revoked one."""
    return core.directory.agent(credential)


def revoke(core: "Core", person: Person, agent_id: str) -> None:
    """End an agent's credential; what it vouched for is unknown from now on. Raises NotFound, Forbidden."""
    require(person, Role.ADMIN)
    record = _within(core, person, agent_id)
    now = core.clock()

    def work(turn: "Turn") -> None:
        if not turn.run("UPDATE agent SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, agent_id)):
            return
        core.sections.retire(agent_id, now)
        audit.record(turn, now, person.name, "agent.revoke", agent_id, {"unit": record.identity.unit})
        mark_dirty(core, turn, (record.identity.unit,), now)
        turn.after_commit(lambda: core.directory.put_agent(replace(record, revoked=now)))

    core.store.write(work)
    core.schedule.wake()


def list_agents(core: "Core", person: Person) -> list[views.Agent]:
    """Give every agent of the person's subtree, by unit and name."""
    with core.store.reader() as connection:
        known = connection.execute(
            select(tables.agent.c.id, tables.agent_state)
            .join(tables.unit, tables.unit.c.code == tables.agent.c.unit)
            .outerjoin(
                tables.agent_state,
                (tables.agent_state.c.county == tables.agent.c.county)
                & (tables.agent_state.c.agent == tables.agent.c.id),
            )
            .where(tables.under(person.path))
            .order_by(tables.unit.c.path, tables.agent.c.name, tables.agent.c.id)
        ).all()
        sections: dict[str, list[views.SectionState]] = {}
        for row in connection.execute(
            select(tables.section, tables.section_detail.c.skipped)
            .join(tables.agent, tables.agent.c.id == tables.section.c.agent)
            .join(tables.unit, tables.unit.c.code == tables.agent.c.unit)
            .outerjoin(
                tables.section_detail,
                (tables.section_detail.c.county == tables.section.c.county)
                & (tables.section_detail.c.section == tables.section.c.id),
            )
            .where(tables.under(person.path))
            .order_by(tables.section.c.name)
        ):
            sections.setdefault(row.agent, []).append(_section(row))
        ipv6 = dict(_ipv6(connection, person, core.clock()))
    return [
        _agent(core, row, tuple(sections.get(row.id, ())), ipv6.get(row.id, {}))
        for row in known
        if row.id in core.directory.agents
    ]


def scrape_targets(core: "Core") -> list[views.ScrapeTarget]:
    """Give the agents whose own metrics can be scraped, with the labels that only the collector knows."""
    with core.store.reader() as connection:
        urls = connection.execute(
            select(tables.agent_state.c.agent, tables.agent_state.c.metrics_url)
            .where(tables.agent_state.c.metrics_url != "")
            .order_by(tables.agent_state.c.agent)
        )
        return list(_targets(core, urls))


def state_of(core: "Core", record: AgentRecord, received: float | None, now: float) -> str:
    """Tell whether an agent is new, active, silent or revoked."""
    if record.revoked is not None:
        return "revoked"
    if received is None:
        return "new"
    return "silent" if now - received > core.settings.silent_after * core.settings.report_interval else "active"


def _targets(core: "Core", urls: Iterable[tuple[str, str]]) -> Iterator[views.ScrapeTarget]:
    for agent, url in urls:
        record = core.directory.agents.get(agent)
        if record is None or record.revoked is not None or not _scrapable(url):
            continue
        node = core.directory.units[record.identity.unit]
        county = core.directory.units[node.county]
        yield views.ScrapeTarget(
            metrics_url=url,
            agent=agent,
            unit=node.code,
            unit_name=node.name,
            county=county.code,
            county_name=county.name,
        )


def _scrapable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def _within(core: "Core", person: Person, agent_id: str) -> AgentRecord:
    record = core.directory.agents.get(agent_id)
    if record is None or not core.directory.units[record.identity.unit].path.startswith(person.path):
        raise NotFound(f"no agent {agent_id!r} within reach of {person.name}")
    return record


def _ipv6(connection: Connection, person: Person, now: float) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Give what each agent's fresh picture says of the gateway's own IPv6."""
    for row in connection.execute(
        select(tables.sighting.c.subject, tables.sighting.c.detail)
        .join(
            tables.agent,
            (tables.agent.c.county == tables.sighting.c.county) & (tables.agent.c.id == tables.sighting.c.subject),
        )
        .join(tables.unit, tables.unit.c.code == tables.agent.c.unit)
        .join(
            tables.section,
            (tables.section.c.county == tables.sighting.c.county) & (tables.section.c.id == tables.sighting.c.section),
        )
        .where(tables.under(person.path), tables.sighting.c.detail != "", tables.section.c.stale_at >= now)
    ):
        values = values_of(row.detail)
        if "ipv6" in values:
            yield row.subject, values


def _agent(
    core: "Core",
    row: "Row[tuple[object, ...]]",
    sections: tuple[views.SectionState, ...],
    ipv6: Mapping[str, Value],
) -> views.Agent:
    record = core.directory.agents[row.id]
    state = state_of(core, record, row.received, core.clock())
    # A gateway that says nothing any more vouches for nothing.
    heard = ipv6 if state == "active" else {}
    return views.Agent(
        id=row.id,
        unit=record.identity.unit,
        unit_name=core.directory.units[record.identity.unit].name,
        name=record.identity.name,
        software=row.software or "",
        enrolled=moment(record.enrolled),
        last_report=moment(row.received),
        state=state,
        sequence=row.sequence or 0,
        dropped=row.dropped or 0,
        clock_skew_seconds=row.skew,
        metrics_url=row.metrics_url or "",
        ipv6=str(heard.get("ipv6") or "unknown"),
        ipv6_reason=str(heard.get("reason") or ""),
        sections=sections,
    )


def _section(row: "Row[tuple[object, ...]]") -> views.SectionState:
    return views.SectionState(
        name=row.name,
        probe=row.probe,
        kind=row.kind,
        status=row.status,
        reason=row.reason,
        started=moment(row.started),
        finished=moment(row.finished),
        confirmed=moment(row.confirmed),
        skipped=tuple(views.Skip(what=what, reason=why) for what, why in json.loads(row.skipped or "[]")),
    )
