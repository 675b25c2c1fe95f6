"""Alerts and the rules that raise them."""

from typing import Annotated, Literal

from litestar import get, post
from litestar.params import JSONBody, Parameter, QueryParameter

from collector.alerts import queries
from collector.answers import views
from collector.api import answers
from collector.api.auth import person
from collector.api.bodies import json_only
from collector.api.context import context_of
from collector.api.routes.asked import PersonRequest, UnitCode
from collector.judging import judge
from collector.memory.people import Role

AlertId = Annotated[str, Parameter(max_length=64, description="Id of an alert.")]
State = Literal["pending", "firing", "acknowledged", "resolved", "all"]


@get("/api/v1/alerts", guards=[person(Role.VIEWER)], operation_id="listAlerts", tags=["alerts"])
async def list_alerts(
    request: PersonRequest,
    under: UnitCode = None,
    wanted: Annotated[State | None, QueryParameter(name="state", description="Without it: those that stand.")] = None,
    rule: Annotated[str | None, Parameter(max_length=128, description="Only alerts of this rule.")] = None,
) -> answers.Alerts:
    """List alerts."""
    context = context_of(request)
    found = await context.people.run(queries.list_alerts, context.core, request.user, under, wanted, rule)
    return answers.Alerts(items=found)


@get("/api/v1/alerts/{alert_id:str}", guards=[person(Role.VIEWER)], operation_id="getAlert", tags=["alerts"])
async def show_alert(request: PersonRequest, alert_id: AlertId) -> views.Alert:
    """Give one alert."""
    context = context_of(request)
    return await context.people.run(queries.show_alert, context.core, request.user, alert_id)


@post(
    "/api/v1/alerts/{alert_id:str}/ack",
    status_code=200,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="acknowledgeAlert",
    tags=["alerts"],
)
async def acknowledge(request: PersonRequest, alert_id: AlertId, data: JSONBody[answers.Note]) -> views.Alert:
    """Say that someone looks after an alert."""
    context = context_of(request)
    return await context.people.run(queries.acknowledge, context.core, request.user, alert_id, data.note)


@post(
    "/api/v1/alerts/{alert_id:str}/resolve",
    status_code=200,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="resolveAlert",
    tags=["alerts"],
)
async def resolve(request: PersonRequest, alert_id: AlertId, data: JSONBody[answers.Note]) -> views.Alert:
    """Close an alert with a reason."""
    context = context_of(request)
    return await context.people.run(queries.resolve, context.core, request.user, alert_id, data.note)


@get("/api/v1/rules", guards=[person(Role.VIEWER)], operation_id="listRules", tags=["alerts"])
async def list_rules(request: PersonRequest) -> answers.Rules:
    """List the loaded rules."""
    context = context_of(request)
    return answers.Rules(items=await context.people.run(judge.list_rules, context.core))


ROUTES = [list_alerts, show_alert, acknowledge, resolve, list_rules]
