"""Scans that people ask for, and the orders that agents fetch, claim and follow."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from litestar import Response, get, post, route
from litestar.enums import HttpMethod, MediaType
from litestar.params import Parameter
from litestar.response import Stream

from collector.answers import views
from collector.api import answers
from collector.api.auth import agent_only, person
from collector.api.bodies import read_message
from collector.api.context import RETRY_SECONDS, Context, context_of
from collector.api.routes.asked import AgentRequest, PersonRequest, UnitCode
from collector.errors import UNCOMMITTED, Busy
from collector.memory.people import Role
from collector.scans import orders, requests
from collector.scans.requests import ScanRequest
from wire.codec import encode
from wire.orders import OrderProgress, OrderReply
from wire.text import Text

LONGEST_HOLD = 300.0
LONGEST_LOOK = 25.0
"""A person's request is answered within half a minute, as all of theirs are."""
COALESCE = 0.2
"""Progress of many agents is told together."""
FULL_SECONDS = 300.0
CLOSING_SECONDS = 10.0

ScanId = Annotated[str, Parameter(max_length=64, description="Id of a scan.")]
OrderId = Annotated[str, Parameter(max_length=64, description="Id of an order.")]
Since = Annotated[
    str, Parameter(max_length=64, description="The revision that is known; answered when there is another.")
]


@post("/api/v1/scans", guards=[person(Role.OPERATOR)], operation_id="createScan", tags=["scans"])
async def create_scan(request: PersonRequest) -> views.Scan:
    """Ask the agents of a unit for a scan; the same `request` again gives the same scan."""
    context = context_of(request)
    wanted = await read_message(request, context, ScanRequest)
    return await context.people.run(requests.create, context.core, request.user, wanted)


@get("/api/v1/scans", guards=[person(Role.VIEWER)], operation_id="listScans", tags=["scans"])
async def list_scans(request: PersonRequest, under: UnitCode = None) -> answers.Scans:
    """List the newest scans, at most 100."""
    context = context_of(request)
    return answers.Scans(items=await context.people.run(requests.list_scans, context.core, request.user, under))


@get("/api/v1/scans/{scan_id:str}", guards=[person(Role.VIEWER)], operation_id="getScan", tags=["scans"])
async def show_scan(request: PersonRequest, scan_id: ScanId) -> views.Scan:
    """Give one scan: each agent's order and how far it is."""
    context = context_of(request)
    return await context.people.run(requests.show, context.core, request.user, scan_id)


@get("/api/v1/scans/{scan_id:str}/progress", guards=[person(Role.VIEWER)], operation_id="followScan", tags=["scans"])
async def follow_scan(
    request: PersonRequest,
    scan_id: ScanId,
    since: Since = "",
    wait: Annotated[float, Parameter(ge=0, le=LONGEST_LOOK, description="Seconds to wait for news.")] = 0.0,
) -> views.Scan:
    """Give one scan as soon as it is no more as `since` says, or when the time is over."""
    context, loop = context_of(request), asyncio.get_running_loop()
    end = loop.time() + wait
    while True:
        found = await context.people.run(requests.show, context.core, request.user, scan_id)
        left = end - loop.time()
        if found.revision != since or left <= 0 or context.drain.closing:
            return found
        if context.held_people.full():
            raise Busy(Text("等待消息的人过多", "too many people wait for news"), RETRY_SECONDS)
        await context.held_people.wait(
            object(), context.core.scans, scan_id, context.drain, min(left, 5.0), unless=lambda: False
        )
        await asyncio.sleep(min(COALESCE, max(0.0, left)))


@post(
    "/api/v1/scans/{scan_id:str}/cancel",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="cancelScan",
    tags=["scans"],
)
async def cancel_scan(request: PersonRequest, scan_id: ScanId) -> views.Scan:
    """Withdraw the orders that wait and end those that run; what was found stays."""
    context = context_of(request)
    return await context.people.run(requests.cancel, context.core, request.user, scan_id)


@get(
    "/api/v1/scans/{scan_id:str}/results/{order_id:str}",
    guards=[person(Role.VIEWER)],
    operation_id="getScanResult",
    tags=["scans"],
)
async def scan_result(request: PersonRequest, scan_id: ScanId, order_id: OrderId) -> Response[bytes]:
    """Give the section that ended an order, with all that was observed."""
    context = context_of(request)
    section = await context.people.run(requests.result, context.core, request.user, scan_id, order_id)
    return _json(await context.people.run(encode, section))


@get("/api/v1/orders", guards=[agent_only], operation_id="getOrders", tags=["orders"])
async def wait_for_orders(
    request: AgentRequest,
    since: Since = "",
    wait: Annotated[float, Parameter(ge=0, le=LONGEST_HOLD, description="Seconds to wait for an order.")] = 0.0,
) -> Response[Any]:
    """Give the agent's orders as soon as they are no more as `since` says; the head of the answer comes at once."""
    context, agent = context_of(request), request.user.id
    found = context.core.scans.offer(agent, context.clock())
    if wait <= 0 or found.revision != since:
        return _json(encode(found))
    if context.drain.closing:
        return _json(encode(replace(found, again=CLOSING_SECONDS)))
    if context.held_agents.full():
        return _json(encode(replace(found, again=FULL_SECONDS)))
    return Stream(_held(context, agent, since, wait), media_type=MediaType.JSON)


@post(
    "/api/v1/orders/{order_id:str}/progress",
    status_code=200,
    guards=[agent_only],
    operation_id="reportProgress",
    tags=["orders"],
)
async def report_progress(request: AgentRequest, order_id: OrderId) -> Response[bytes]:
    """Claim an order, or say how far it is; the reply tells whether to go on."""
    context = context_of(request)
    said = await read_message(request, context, OrderProgress)
    future = await context.agents.run(orders.progress, context.core, request.user, order_id, said, context.clock())
    try:
        async with asyncio.timeout(context.limits.answer_seconds):
            reply: OrderReply = await asyncio.shield(asyncio.wrap_future(future))
            return _json(encode(reply))
    except TimeoutError:
        raise Busy(UNCOMMITTED, RETRY_SECONDS) from None


@route("/api/v1/scans", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False, sync_to_thread=False)
def scan_methods() -> Response[None]:
    """Say what is possible here; Litestar's own answer names the methods of one handler only."""
    return Response(None, headers={"Allow": "GET, OPTIONS, POST"})


ROUTES = [
    scan_methods,
    create_scan,
    list_scans,
    show_scan,
    follow_scan,
    cancel_scan,
    scan_result,
    wait_for_orders,
    report_progress,
]


async def _held(context: Context, agent: str, since: str, seconds: float) -> AsyncIterator[bytes]:
    scans = context.core.scans

    def moved() -> bool:
        return scans.offer(agent, context.clock()).revision != since

    await context.held_agents.wait(agent, scans, agent, context.drain, seconds, unless=moved)
    found = scans.offer(agent, context.clock())
    yield encode(replace(found, again=CLOSING_SECONDS) if context.drain.closing else found)


def _json(content: bytes) -> Response[bytes]:
    return Response(content, media_type=MediaType.JSON)
