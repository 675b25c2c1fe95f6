"""Units and whitelists: imports, lists, exports, reviews."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, get, post
from litestar.params import Parameter, QueryParameter

from collector import views
from collector.api import answers
from collector.api.auth import person
from collector.api.bodies import MAX_IMPORT_BYTES, WrongType, read_body
from collector.api.context import context_of
from collector.registry import units, whitelist
from collector.registry.people import Person, Role

PersonRequest = Request[Person, Any, Any]

UnitCode = Annotated[
    str | None,
    Parameter(
        description="Code of a unit; only it and what lies below it. Without it: all units of the person.",
        min_length=1,
        max_length=64,
    ),
]
Filename = Annotated[
    str,
    Parameter(
        description="Name of the file, by which its faults are named.",
        min_length=1,
        max_length=255,
    ),
]
_FORMS = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# What a browser form or a JSON client would send by mistake; any other type is read by the file's name.
_NOT_FILES = ("multipart/form-data", "application/x-www-form-urlencoded", "application/json")


@post("/api/v1/units/import", status_code=200, guards=[person(Role.ADMIN)], operation_id="importUnits", tags=["units"])
async def import_units(request: PersonRequest, filename: Filename) -> views.ImportResult:
    """Import the unit tree from CSV, TSV or XLSX: all of the file or, with one fault, nothing."""
    context = context_of(request)
    content = await _file(request)
    return await context.people.run(units.import_units, context.core, request.user, content, filename)


@get("/api/v1/units", guards=[person(Role.VIEWER)], operation_id="listUnits", tags=["units"])
async def list_units(request: PersonRequest, under: UnitCode = None) -> answers.Units:
    """List units, parents before their children."""
    context = context_of(request)
    return answers.Units(items=await context.people.run(units.list_units, context.core, request.user, under))


@post(
    "/api/v1/whitelist/import",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="importWhitelist",
    tags=["whitelist"],
)
async def import_whitelist(request: PersonRequest, filename: Filename, unit: UnitCode = None) -> views.ImportResult:
    """Import whitelist entries from CSV, TSV or XLSX: all of the file or, with one fault, nothing."""
    context = context_of(request)
    content = await _file(request)
    return await context.people.run(whitelist.import_entries, context.core, request.user, content, filename, unit)


@get("/api/v1/whitelist", guards=[person(Role.VIEWER)], operation_id="listWhitelist", tags=["whitelist"])
async def list_whitelist(request: PersonRequest, unit: UnitCode = None) -> answers.Whitelist:
    """List whitelist entries."""
    context = context_of(request)
    return answers.Whitelist(items=await context.people.run(whitelist.list_entries, context.core, request.user, unit))


@get("/api/v1/whitelist/export", guards=[person(Role.VIEWER)], operation_id="exportWhitelist", tags=["whitelist"])
async def export_whitelist(
    request: PersonRequest,
    unit: UnitCode = None,
    form: Annotated[Literal["csv", "xlsx"], QueryParameter(name="format", description="Which kind of file.")] = "csv",
) -> Response[bytes]:
    """Give the whitelist as a file; importing it again changes nothing."""
    context = context_of(request)
    content = await context.people.run(whitelist.export, context.core, request.user, unit, form)
    headers = {"Content-Disposition": f'attachment; filename="whitelist.{form}"'}
    return Response(content, media_type=_FORMS[form], headers=headers)


@get("/api/v1/whitelist/review", guards=[person(Role.VIEWER)], operation_id="reviewWhitelist", tags=["whitelist"])
async def review_whitelist(
    request: PersonRequest,
    unit: UnitCode = None,
    days: Annotated[int, Parameter(ge=0, le=3660, description="How far ahead an expiry counts as near.")] = 30,
) -> views.WhitelistReview:
    """Give what needs a look: expired yet open, expiring soon, never seen, found unlisted."""
    context = context_of(request)
    return await context.people.run(whitelist.review, context.core, request.user, unit, days)


ROUTES = [import_units, list_units, import_whitelist, list_whitelist, export_whitelist, review_whitelist]


async def _file(request: PersonRequest) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _NOT_FILES:
        raise WrongType(f"content-type {kind} is not taken here; send the bytes of the file itself")
    return await read_body(request, context_of(request), MAX_IMPORT_BYTES)
