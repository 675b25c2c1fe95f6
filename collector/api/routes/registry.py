"""Units, whitelists and the register: imports, lists, exports, reviews."""

from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.params import Parameter, QueryParameter

from collector.answers import views
from collector.api import answers
from collector.api.auth import person
from collector.api.context import context_of
from collector.api.routes.asked import Cursor, Filename, PageLimit, PersonRequest, UnitCode, hand_out, read_file
from collector.memory.people import Role
from collector.registry import register, units, whitelist


@post("/api/v1/units/import", status_code=200, guards=[person(Role.ADMIN)], operation_id="importUnits", tags=["units"])
async def import_units(request: PersonRequest, filename: Filename) -> views.ImportResult:
    """Import the unit tree from CSV, TSV or XLSX: all of the file or, with one fault, nothing."""
    context = context_of(request)
    content = await read_file(request)
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
    content = await read_file(request)
    return await context.people.run(whitelist.import_entries, context.core, request.user, content, filename, unit)


@get("/api/v1/whitelist", guards=[person(Role.VIEWER)], operation_id="listWhitelist", tags=["whitelist"])
async def list_whitelist(request: PersonRequest, unit: UnitCode = None) -> answers.Whitelist:
    """List whitelist entries."""
    context = context_of(request)
    return answers.Whitelist(items=await context.people.run(whitelist.list_entries, context.core, request.user, unit))


@get("/api/v1/whitelist/holding", guards=[person(Role.VIEWER)], operation_id="holdingWhitelist", tags=["whitelist"])
async def holding_whitelist(
    request: PersonRequest, unit: Annotated[str, Parameter(max_length=64, description="The unit's code.")]
) -> answers.Whitelist:
    """List what holds for a unit: its own entries and those of all above it, as its agents get them."""
    context = context_of(request)
    return answers.Whitelist(items=await context.people.run(whitelist.holding, context.core, request.user, unit))


@get("/api/v1/whitelist/export", guards=[person(Role.VIEWER)], operation_id="exportWhitelist", tags=["whitelist"])
async def export_whitelist(
    request: PersonRequest,
    unit: UnitCode = None,
    form: Annotated[Literal["csv", "xlsx"], QueryParameter(name="format", description="Which kind of file.")] = "csv",
) -> Response[bytes]:
    """Give the whitelist as a file; importing it again changes nothing."""
    context = context_of(request)
    content = await context.people.run(whitelist.export, context.core, request.user, unit, form)
    return hand_out(content, "whitelist", form)


@get("/api/v1/whitelist/review", guards=[person(Role.VIEWER)], operation_id="reviewWhitelist", tags=["whitelist"])
async def review_whitelist(
    request: PersonRequest,
    unit: UnitCode = None,
    days: Annotated[int, Parameter(ge=0, le=3660, description="How far ahead an expiry counts as near.")] = 30,
) -> views.WhitelistReview:
    """Give what needs a look: expired yet open, expiring soon, never seen, found unlisted."""
    context = context_of(request)
    return await context.people.run(whitelist.review, context.core, request.user, unit, days)


@post(
    "/api/v1/register/import",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="importRegister",
    tags=["register"],
)
async def import_register(request: PersonRequest, filename: Filename, unit: UnitCode = None) -> views.ImportResult:
    """Import registered websites, systems and networks: all of the file or, with one fault, nothing."""
    context = context_of(request)
    content = await read_file(request)
    return await context.people.run(register.import_entries, context.core, request.user, content, filename, unit)


@post(
    "/api/v1/register/seed",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="seedRegister",
    tags=["register"],
)
async def seed_register(request: PersonRequest, unit: UnitCode = None) -> views.ImportResult:
    """Register the approved domains of the whitelist that nobody registered yet; the warnings name each."""
    context = context_of(request)
    return await context.people.run(register.seed, context.core, request.user, unit)


@get("/api/v1/register", guards=[person(Role.VIEWER)], operation_id="listRegister", tags=["register"])
async def list_register(
    request: PersonRequest,
    under: UnitCode = None,
    kind: Annotated[str, Parameter(max_length=16, description="Only website, system or network.")] = "",
    limit: PageLimit = 100,
    cursor: Cursor = None,
) -> views.RegisteredPage:
    """List registered websites, systems and networks, a page at a time."""
    context = context_of(request)
    return await context.people.run(register.list_entries, context.core, request.user, under, kind, limit, cursor)


@post(
    "/api/v1/register/{entry_id:str}/remove",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="removeRegistered",
    tags=["register"],
)
async def remove_registered(
    request: PersonRequest, entry_id: Annotated[str, Parameter(max_length=64, description="Id of an entry.")]
) -> views.Registered:
    """Take an entry out of the register; what was seen of it stays."""
    context = context_of(request)
    return await context.people.run(register.remove, context.core, request.user, entry_id)


ROUTES = [
    import_units,
    list_units,
    import_whitelist,
    list_whitelist,
    holding_whitelist,
    export_whitelist,
    review_whitelist,
    import_register,
    seed_register,
    list_register,
    remove_registered,
]
