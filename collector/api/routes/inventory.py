"""What was found: assets, sites, measurements."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import get, post
from litestar.params import JSONBody, Parameter

from collector.answers import views
from collector.api import answers
from collector.api.auth import person
from collector.api.bodies import json_only
from collector.api.context import context_of
from collector.api.parameters import TIME
from collector.api.routes.asked import Filename, PersonRequest, UnitCode, read_file
from collector.errors import BadInput
from collector.ingest import corrections, imports
from collector.inventory.lists import assets, drift, measurements, sites
from collector.memory.people import Role
from wire.text import Text

AssetId = Annotated[str, Parameter(max_length=64, description="Id of an asset.")]
Since = Annotated[str | None, Parameter(pattern=TIME, max_length=40, description="From then on (ISO 8601 with Z).")]


@get("/api/v1/assets", guards=[person(Role.VIEWER)], operation_id="listAssets", tags=["inventory"])
async def list_assets(
    request: PersonRequest,
    under: UnitCode = None,
    q: Annotated[str, Parameter(max_length=256, description="Words to look for in names, addresses, MACs.")] = "",
    limit: Annotated[int, Parameter(ge=1, le=500, description="Most assets in one answer.")] = 100,
    cursor: Annotated[str | None, Parameter(max_length=512, description="Where the page before ended.")] = None,
) -> views.AssetPage:
    """List assets with their services, a page at a time."""
    context = context_of(request)
    return await context.people.run(assets.list_assets, context.core, request.user, under, q, limit, cursor)


@get("/api/v1/assets/{asset_id:str}", guards=[person(Role.VIEWER)], operation_id="getAsset", tags=["inventory"])
async def show_asset(request: PersonRequest, asset_id: AssetId) -> views.AssetDetail:
    """Give one asset with its history and the evidence of its identity."""
    context = context_of(request)
    return await context.people.run(assets.show_asset, context.core, request.user, asset_id)


@post(
    "/api/v1/assets/import",
    status_code=200,
    guards=[person(Role.OPERATOR)],
    operation_id="importScan",
    tags=["inventory"],
)
async def import_scan(
    request: PersonRequest,
    filename: Filename,
    unit: Annotated[str, Parameter(min_length=1, max_length=64, description="Code of the unit that was scanned.")],
    vantage: Annotated[answers.Vantage, Parameter(description="From where it was scanned.")] = "unknown",
) -> views.ImportResult:
    """Import a scan that nmap wrote as XML (-oX) into the inventory: all of the file or, with one fault, nothing."""
    context = context_of(request)
    content = await read_file(request)
    return await context.people.run(imports.import_scan, context.core, request.user, content, filename, unit, vantage)


@post(
    "/api/v1/assets/{asset_id:str}/merge",
    status_code=200,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="mergeAsset",
    tags=["inventory"],
)
async def merge_asset(
    request: PersonRequest, asset_id: AssetId, data: JSONBody[answers.MergeRequest]
) -> views.AssetDetail:
    """Say that an asset and another one of its unit are one device."""
    context = context_of(request)
    return await context.people.run(
        corrections.merge_assets, context.core, request.user, asset_id, data.into, data.note
    )


@post(
    "/api/v1/assets/{asset_id:str}/split",
    status_code=200,
    guards=[person(Role.OPERATOR), json_only],
    operation_id="splitAsset",
    tags=["inventory"],
)
async def split_asset(request: PersonRequest, asset_id: AssetId, data: JSONBody[answers.Reason]) -> views.AssetDetail:
    """Take a merge back; the two are never joined again by themselves."""
    context = context_of(request)
    return await context.people.run(corrections.split_asset, context.core, request.user, asset_id, data.note)


@get("/api/v1/drift", guards=[person(Role.VIEWER)], operation_id="listDrift", tags=["inventory"])
async def list_drift(
    request: PersonRequest,
    under: UnitCode = None,
    since: Since = None,
    kind: Annotated[
        Literal["new", "changed", "vanished", "returned"] | None, Parameter(description="Only changes of this kind.")
    ] = None,
    limit: Annotated[int, Parameter(ge=1, le=10_000, description="Most changes in one answer.")] = 1000,
) -> answers.Drifts:
    """List what is new, changed, vanished or returned, newest first."""
    context = context_of(request)
    found = await context.people.run(
        drift.list_drift, context.core, request.user, under, _start(since), kind or "", limit
    )
    return answers.Drifts(items=found)


@get("/api/v1/sites", guards=[person(Role.VIEWER)], operation_id="listSites", tags=["inventory"])
async def list_sites(request: PersonRequest, under: UnitCode = None) -> answers.Sites:
    """List sites and how each answers over IPv4 and IPv6."""
    context = context_of(request)
    return answers.Sites(items=await context.people.run(sites.list_sites, context.core, request.user, under))


@get("/api/v1/measurements", guards=[person(Role.VIEWER)], operation_id="listMeasurements", tags=["inventory"])
async def list_measurements(
    request: PersonRequest,
    unit: UnitCode = None,
    probe: Annotated[str, Parameter(max_length=64, description="Only samples of this probe.")] = "",
    since: Since = None,
    limit: Annotated[int, Parameter(ge=1, le=10_000, description="Most samples in one answer.")] = 1000,
) -> answers.Measurements:
    """List samples, newest first."""
    context = context_of(request)
    found = await context.people.run(
        measurements.list_measurements, context.core, request.user, unit, probe, _start(since), limit
    )
    return answers.Measurements(items=found)


def _start(since: str | None) -> float:
    try:
        return 0.0 if since is None else datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(
            Text(
                f"since：{since} 不是 2026-01-31T08:00:00Z 这样的时间",
                f"since: {since} is not a time such as 2026-01-31T08:00:00Z",
            )
        ) from None


ROUTES = [list_assets, show_asset, import_scan, merge_asset, split_asset, list_drift, list_sites, list_measurements]
