"""Agents: the CA, enrolment, reports, and what people do with agents."""

import asyncio
import time
from concurrent.futures import Future
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.enums import MediaType
from litestar.params import JSONBody, Parameter

from collector.api import answers
from collector.api.auth import Throttled, agent_only, failed, peer_of, person
from collector.api.bodies import json_only, read_message, read_packed_report
from collector.api.context import RETRY_SECONDS, Context, context_of
from collector.api.routes.asked import AgentRequest, PersonRequest
from collector.errors import UNCOMMITTED, Busy, Forbidden, Unauthorised
from collector.ingest import reports
from collector.memory.directory import AgentIdentity
from collector.memory.people import Role
from collector.registry import agents, scrapes
from wire.codec import decode, decompress, encode
from wire.types import Answer, EnrolmentRequest, Report

TOKEN_PREFIX = "edt1"  # noqa: S105 (public part of every enrolment token)

AgentId = Annotated[str, Parameter(description="Id of an agent, as the list of agents gives it.", max_length=64)]


@get("/api/v1/ca", media_type="application/x-pem-file", operation_id="getCa", tags=["enrolment"], sync_to_thread=False)
def read_ca(request: Request[Any, Any, Any]) -> bytes:
    """Give the CA certificate, PEM. Its SHA-256 (of the DER form) is part of every enrolment token."""
    return context_of(request).ca_pem


@post("/api/v1/enrol", status_code=200, operation_id="enrol", tags=["enrolment"])
async def enrol(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Spend a one-time token for a credential of the agent's own."""
    context = context_of(request)
    wanted = await read_message(request, context, EnrolmentRequest)
    if wait := context.failures.wait(wanted.token):
        raise Throttled(wait)
    try:
        enrolment = await context.agents.run(agents.enrol, context.core, wanted, context.clock())
    except Unauthorised as refused:
        raise failed(request, str(refused), wanted.token) from None
    return _json(encode(enrolment))


@post("/api/v1/reports", status_code=200, guards=[agent_only], operation_id="report", tags=["reports"])
async def report(request: AgentRequest) -> Response[bytes]:
    """Take a report; the answer is sent after the commit."""
    context, agent = context_of(request), request.user
    packed = await read_packed_report(request, context)
    started = time.perf_counter()
    # In a thread whatever its size: little gzip may hold much to read, and collector.api.express takes the small ones.
    future = await context.agents.run(_submit, context, agent, packed, peer_of(request))
    try:
        async with asyncio.timeout(context.limits.answer_seconds):
            # Shielded: whoever gives up waiting must not cancel what the writer is about to commit.
            answer = await asyncio.shield(asyncio.wrap_future(future))
    except TimeoutError:
        raise Busy(UNCOMMITTED, RETRY_SECONDS) from None
    context.metrics.answered(duplicate=answer.duplicate, seconds=time.perf_counter() - started)
    return _json(await context.agents.run(encode, answer) if _large(answer) else encode(answer))


@post(
    "/api/v1/enrolment-tokens",
    guards=[person(Role.OPERATOR), json_only],
    operation_id="createEnrolmentToken",
    tags=["enrolment"],
)
async def create_token(request: PersonRequest, data: JSONBody[answers.TokenRequest]) -> answers.EnrolmentToken:
    """Make a one-time enrolment token for a unit."""
    context = context_of(request)
    made = await context.people.run(
        agents.create_token, context.core, request.user, data.unit, data.ttl_seconds, data.vantage
    )
    return answers.EnrolmentToken(
        token=f"{TOKEN_PREFIX}.{made.secret}.{context.ca_digest}",
        unit=made.unit,
        unit_name=made.unit_name,
        expires=made.expires,
        vantage=made.vantage,
    )


@get("/api/v1/agents", guards=[person(Role.VIEWER)], operation_id="listAgents", tags=["agents"])
async def list_agents(request: PersonRequest) -> answers.Agents:
    """List the agents of the person's units, each with the last run of its tasks."""
    context = context_of(request)
    return answers.Agents(items=await context.people.run(agents.list_agents, context.core, request.user))


@post(
    "/api/v1/agents/{agent_id:str}/revoke",
    status_code=204,
    guards=[person(Role.ADMIN)],
    operation_id="revokeAgent",
    tags=["agents"],
)
async def revoke(request: PersonRequest, agent_id: AgentId) -> None:
    """End an agent's credential; what it reported stays."""
    context = context_of(request)
    await context.people.run(agents.revoke, context.core, request.user, agent_id)


@post(
    "/api/v1/agents/{agent_id:str}/metrics",
    status_code=204,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="approveMetrics",
    tags=["agents"],
)
async def approve_metrics(request: PersonRequest, agent_id: AgentId, data: JSONBody[answers.MetricsApproval]) -> None:
    """Let Prometheus scrape an agent at an address that the rule leaves out; an empty one takes that back."""
    context = context_of(request)
    await context.people.run(scrapes.approve, context.core, request.user, agent_id, data.url)


@post(
    "/api/v1/agents/{agent_id:str}/vantage",
    status_code=204,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="setVantage",
    tags=["agents"],
)
async def set_vantage(request: PersonRequest, agent_id: AgentId, data: JSONBody[answers.VantageRequest]) -> None:
    """Declare from where an agent looks; what it sees is judged anew."""
    context = context_of(request)
    await context.people.run(agents.set_vantage, context.core, request.user, agent_id, data.vantage)


ROUTES = [read_ca, enrol, report, create_token, list_agents, revoke, approve_metrics, set_vantage]


def _submit(context: Context, agent: AgentIdentity, packed: bytes, source: str) -> "Future[Answer]":
    message = decode(Report, decompress(packed))
    if message.agent != agent.id:
        raise Forbidden("the report names another agent than the credential's")
    return reports.submit(context.core, agent, message, context.clock(), source)


def _large(answer: Answer) -> bool:
    return answer.policy is not None and len(answer.policy.whitelist) > 100


def _json(content: bytes) -> Response[bytes]:
    return Response(content, media_type=MediaType.JSON)
