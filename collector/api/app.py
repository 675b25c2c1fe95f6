"""The application: every route, the description of them, and one shape of refusal."""

import json
from functools import cache
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.enums import MediaType

from collector.api import refusals
from collector.api.bodies import MAX_MESSAGE_BYTES
from collector.api.context import STATE_KEY, Context, context_of
from collector.api.express import Express
from collector.api.gate import Gate
from collector.api.parameters import JsonRequest
from collector.api.routes.table import ROUTES


@get("/schema/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Describe the interface."""
    made = _document.cache_info().currsize  # anybody may ask: only the first one takes a thread of those for people
    content = _document() if made else await context_of(request).people.run(_document)
    return Response(content, media_type=MediaType.JSON)


@cache
def _document() -> bytes:
    # Made at the first request: it costs a moment that a start need not pay.
    from collector.api.document import document

    return json.dumps(document(), ensure_ascii=False).encode()


def make_app(context: Context) -> Gate:
    """Give the ASGI application of a running collector."""
    app = Litestar(
        route_handlers=[*ROUTES, openapi],
        request_class=JsonRequest,
        state=State({STATE_KEY: context}),
        exception_handlers={Exception: refusals.handle, 500: refusals.handle},
        # The bound of small messages; reports and files are read by collector.api.bodies with bounds of their own.
        request_max_body_size=MAX_MESSAGE_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    return Gate(Express(app, context), context)
