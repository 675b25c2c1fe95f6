"""Agents: one-time enrolment tokens, credentials, and how each agent fares."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sqlalchemy import Connection, Row, select

from collector.answers import views
from collector.answers.said import from_to, one_of
from collector.clock import moment, new_id
from collector.core import Core
from collector.errors import BadInput, Unauthorised
from collector.inventory.room import room_of
from collector.judging.judge import mark_dirty
from collector.memory.directory import AgentIdentity, AgentRecord, require, secret_hash
from collector.memory.people import Person, Role
from collector.registry import scrapes
from collector.sightings.picture import values_of
from collector.store import audit, tables
from collector.store.contract import Turn
from rules.facts import UNKNOWN, VANTAGES
from wire.text import Text
from wire.types import Enrolment, EnrolmentRequest, Value

MAX_TTL = 30 * 86_400.0
_NO_TOKEN = Text(
    "注册令牌无效、已使用或已过期，请索取新令牌",
    "the enrolment token is unknown, spent or expired; ask for a new one",
)
AGENT_STATES = ("new", "active", "silent", "revoked")


def create_token(
    core: Core, person: Person, unit: str, ttl_seconds: float, vantage: str = UNKNOWN
) -> views.TokenSecret:
    """Make a one-time token for enrolling an agent in a unit; raises NotFound, Forbidden, BadInput.

    `vantage` is from where that agent will look.
    """
    require(person, Role.OPERATOR)
    node = core.directory.node(person, unit)
    if not 1 <= ttl_seconds <= MAX_TTL:
        raise BadInput(from_to("ttl_seconds", 1, int(MAX_TTL)))
    known_vantage(vantage)
    now, secret = core.clock(), secrets.token_urlsafe(32)
    expires = now + ttl_seconds

    def work(turn: Turn) -> None:
        turn.run(
            "INSERT INTO enrolment_token (hash, unit, made_by, made, expires, vantage) VALUES (?, ?, ?, ?, ?, ?)",
            (secret_hash(secret), unit, person.id, now, expires, vantage),
        )
        audit.record(turn, now, person.name, "token.create", unit, {"expires": expires, "vantage": vantage})

    core.store.write(work)
    return views.TokenSecret(secret=secret, unit=unit, unit_name=node.name, expires=moment(expires), vantage=vantage)


def known_vantage(vantage: str) -> None:
    """Raise BadInput for a word that is no vantage."""
    if vantage not in (*VANTAGES, UNKNOWN):
        raise BadInput(one_of("vantage", (*VANTAGES, UNKNOWN)))


def set_vantage(core: Core, person: Person, agent_id: str, vantage: str) -> None:
    """Declare from where an agent looks; raises NotFound, Forbidden, BadInput."""
    require(person, Role.OPERATOR)
    known_vantage(vantage)
    record = core.directory.held(person, agent_id)
    now = core.clock()

    def work(turn: Turn) -> None:
        turn.run("UPDATE agent SET vantage = ? WHERE id = ?", (vantage, agent_id))
        detail = {"unit": record.identity.unit, "from": record.vantage, "to": vantage}
        audit.record(turn, now, person.name, "agent.vantage", agent_id, detail)
        mark_dirty(core, turn, (record.identity.unit,), now)
        turn.after_commit(lambda: core.directory.put_agent(replace(record, vantage=vantage)))

    if vantage != record.vantage:
        core.store.write(work)
        core.due.wake()


def enrol(core: Core, request: EnrolmentRequest, now: float) -> Enrolment:
    """Spend a token (its secret part) for a credential, both in one transaction; raises Unauthorised, BadInput."""
    if not request.name.strip() or not request.name.isprintable():
        raise BadInput(Text("name：须为非空的可打印字符", "name: must be printable and not empty"))
    credential, ident, token = secrets.token_urlsafe(32), new_id(now), secret_hash(request.token)
    with core.store.reader() as connection:
        # Before the writer is asked: whoever invents tokens must not keep it from its work.
        if (
            connection.execute(
                select(tables.enrolment_token.c.hash).where(tables.enrolment_token.c.hash == token)
            ).first()
            is None
        ):
            raise Unauthorised(_NO_TOKEN)

    def work(turn: Turn) -> AgentIdentity:
        found = turn.rows(
            "SELECT unit, made_by, vantage FROM enrolment_token WHERE hash = ? AND spent IS NULL AND expires > ?",
            (token, now),
        )
        if not found:
            raise Unauthorised(_NO_TOKEN)
        ((unit, made_by, vantage),) = found
        identity = AgentIdentity(ident, request.name, unit, core.directory.units[unit].county)
        turn.run("UPDATE enrolment_token SET spent = ?, agent = ? WHERE hash = ?", (now, ident, token))
        turn.run(
            "INSERT INTO agent (id, county, unit, name, credential_hash, enrolled, vantage) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (ident, identity.county, unit, request.name, secret_hash(credential), now, vantage),
        )
        audit.record(turn, now, f"token of {made_by}", "agent.enrol", ident, {"unit": unit, "name": request.name})
        record = AgentRecord(identity, secret_hash(credential), now, vantage=vantage)
        turn.after_commit(lambda: core.directory.put_agent(record))
        return identity

    identity = core.store.write(work)
    return Enrolment(identity.id, identity.unit, core.directory.units[identity.unit].name, "bearer", credential)


def authenticate(core: Core, credential: str) -> AgentIdentity | None:
    """Give the agent behind a credential, None for an unknown or revoked one."""
    return core.directory.agent(credential)


def revoke(core: Core, person: Person, agent_id: str) -> None:
    """End an agent's credential; what it vouched for is unknown from now on. Raises NotFound, Forbidden."""
    require(person, Role.ADMIN)
    record = core.directory.held(person, agent_id)
    now = core.clock()

    def work(turn: Turn) -> None:
        if not turn.run("UPDATE agent SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, agent_id)):
            return
        core.sections.retire(agent_id, now)
        audit.record(turn, now, person.name, "agent.revoke", agent_id, {"unit": record.identity.unit})
        mark_dirty(core, turn, (record.identity.unit,), now)
        turn.after_commit(lambda: core.directory.put_agent(replace(record, revoked=now)))

    core.store.write(work)
    core.due.wake()


def list_agents(core: Core, person: Person) -> list[views.Agent]:
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


def state_of(core: Core, record: AgentRecord, received: float | None, now: float) -> str:
    """Tell whether an agent is new, active, silent or revoked."""
    if record.revoked is not None:
        return "revoked"
    if received is None:
        return "new"
    return "silent" if now - received > core.settings.silent_after * core.settings.report_interval else "active"


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
    core: Core,
    row: "Row[tuple[object, ...]]",
    sections: tuple[views.SectionState, ...],
    ipv6: Mapping[str, Value],
) -> views.Agent:
    record = core.directory.agents[row.id]
    state = state_of(core, record, row.received, core.clock())
    scraped = scrapes.verdict(core, record)
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
        next_report=None if row.received is None else moment(row.received + core.settings.report_interval),
        state=state,
        sequence=row.sequence or 0,
        dropped=row.dropped or 0,
        clock_skew_seconds=row.skew,
        metrics_url=row.metrics_url or "",
        scrape=scraped.state,
        scrape_reason=None if scraped.reason is None else views.words_of((scraped.reason,))[0],
        vantage=record.vantage,
        held=core.sections.stored(row.id),
        room=room_of(core.settings, core.sections.agents().get(row.id)),
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
