"""How ready units are for IPv6: the report, levels and their history, failures, all within the person's subtree."""

from typing import Annotated, Literal

from litestar import Response, get
from litestar.params import Parameter, QueryParameter

from collector.api.auth import person
from collector.api.context import context_of
from collector.api.routes.asked import Cursor, PageLimit, PersonRequest, UnitCode, hand_out
from collector.ipv6.reports import failures, report, sites, views
from collector.memory.people import Role

_Registered = Annotated[bool, Parameter(description="Only websites that are registered.")]


@get("/api/v1/ipv6/report", guards=[person(Role.VIEWER)], operation_id="ipv6Report", tags=["ipv6"])
async def ipv6_report(
    request: PersonRequest,
    unit: UnitCode = None,
    trend: Annotated[bool, Parameter(description="Also the weeks of the last year.")] = False,
) -> views.Ipv6Report:
    """Give the ratios of a unit and those below it against the dated targets of their province."""
    context = context_of(request)
    return await context.people.run(report.report, context.core, request.user, unit, trend=trend)


@get("/api/v1/ipv6/sites", guards=[person(Role.VIEWER)], operation_id="ipv6Sites", tags=["ipv6"])
async def ipv6_sites(
    request: PersonRequest,
    under: UnitCode = None,
    kind: Annotated[str, Parameter(max_length=16, description="Only website, system or network.")] = "",
    below: Annotated[
        int | None, Parameter(ge=0, le=5, description="Only what is not proven to have come so far.")
    ] = None,
    limit: PageLimit = 100,
    cursor: Cursor = None,
) -> views.Ipv6SitePage:
    """List what is registered, with levels, a page at a time."""
    context = context_of(request)
    return await context.people.run(
        sites.list_sites, context.core, request.user, under, kind, limit, cursor, below=below
    )


@get("/api/v1/ipv6/unregistered", guards=[person(Role.VIEWER)], operation_id="ipv6Unregistered", tags=["ipv6"])
async def ipv6_unregistered(
    request: PersonRequest, under: UnitCode = None, limit: PageLimit = 100, cursor: Cursor = None
) -> views.Ipv6SitePage:
    """List websites that were found and that nobody registered; they count nowhere."""
    context = context_of(request)
    return await context.people.run(sites.list_unregistered, context.core, request.user, under, limit, cursor)


@get("/api/v1/ipv6/history", guards=[person(Role.VIEWER)], operation_id="ipv6History", tags=["ipv6"])
async def ipv6_history(
    request: PersonRequest,
    unit: Annotated[str, Parameter(min_length=1, max_length=64, description="Code of a unit.")],
    kind: Annotated[str, Parameter(max_length=16, description="website, system, network or unit.")],
    address: Annotated[str, Parameter(max_length=256, description="Its address, or the name of the system.")] = "",
) -> views.Ipv6History:
    """Give the steps by which a level came about, the newest first."""
    context = context_of(request)
    return await context.people.run(sites.history, context.core, request.user, unit, kind, address)


@get("/api/v1/ipv6/failures", guards=[person(Role.VIEWER)], operation_id="ipv6Failures", tags=["ipv6"])
async def ipv6_failures(
    request: PersonRequest,
    under: UnitCode = None,
    registered: _Registered = False,
    limit: PageLimit = 100,
    cursor: Cursor = None,
) -> views.Ipv6FailurePage:
    """List what fails now, with evidence and mend; `limit` counts checks, of which one of links has many lines."""
    context = context_of(request)
    return await context.people.run(
        failures.list_failures, context.core, request.user, under, limit, cursor, registered=registered
    )


@get("/api/v1/ipv6/failures/export", guards=[person(Role.VIEWER)], operation_id="exportIpv6Failures", tags=["ipv6"])
async def export_failures(
    request: PersonRequest,
    under: UnitCode = None,
    form: Annotated[Literal["csv", "xlsx"], QueryParameter(name="format", description="Which kind of file.")] = "csv",
    lang: Annotated[Literal["zh", "en"], Parameter(description="Language of heads and words.")] = "zh",
    registered: _Registered = False,
) -> Response[bytes]:
    """Give the failures as a file shaped like the link lists of the national platform."""
    context = context_of(request)
    content = await context.people.run(
        failures.export, context.core, request.user, under, form, lang, registered=registered
    )
    return hand_out(content, "ipv6-failures", form)


ROUTES = [ipv6_report, ipv6_sites, ipv6_unregistered, ipv6_history, ipv6_failures, export_failures]
