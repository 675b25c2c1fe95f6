"""What machines ask: Prometheus, its service discovery, and health checks."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.enums import MediaType
from litestar.params import Parameter

from collector.api import answers
from collector.api.auth import scraper_only
from collector.api.context import RETRY_SECONDS, context_of
from collector.errors import Busy
from collector.metrics.discovery import Role, targets
from collector.registry import scrapes
from wire.text import Text


@get("/api/v1/sd", guards=[scraper_only], operation_id="serviceDiscovery", tags=["prometheus"])
async def service_discovery(
    request: Request[Any, Any, Any],
    role: Annotated[Role | None, Parameter(description="Only agents, or only the collector.")] = None,
) -> Response[list[dict[str, Any]]]:
    """Give what Prometheus can scrape: always the full list, `[]` when it is empty."""
    context = context_of(request)
    known = await context.people.run(scrapes.scrape_targets, context.core)
    return Response(targets(known, context.own_target, role), media_type=MediaType.JSON)


@get("/metrics", guards=[scraper_only], operation_id="metrics", tags=["prometheus"], media_type=MediaType.TEXT)
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Give the collector's own metrics in the format that the scraper accepts."""
    context = context_of(request)
    content, kind = await context.people.run(context.metrics.exposition, request.headers.get("accept", ""))
    # Litestar puts the charset behind every text type itself.
    return Response(content, media_type=kind.replace("; charset=utf-8", "") if kind.startswith("text/") else kind)


@get("/healthz", operation_id="health", tags=["prometheus"])
async def health(request: Request[Any, Any, Any]) -> answers.Health:
    """Say `ok` once the store takes writes, `disk_low` where it takes no reports for want of room on the disk."""
    context = context_of(request)
    if context.drain.closing or not await context.pulse.well(partial(context.agents.run, context.core.healthy)):
        raise Busy(Text("数据库不接受写入", "the store does not take writes"), RETRY_SECONDS)
    return answers.Health(status="disk_low" if context.core.store.scarce() else "ok")


ROUTES = [service_discovery, metrics, health]
