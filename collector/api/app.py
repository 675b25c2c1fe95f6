"""The application: every route, its guards, and one shape of refusal."""

from litestar import Litestar
from litestar.datastructures import State

from collector.api import agents, alerts, inventory, ipv6, refusals, registry, scans, service
from collector.api.bodies import MAX_MESSAGE_BYTES
from collector.api.context import STATE_KEY, Context
from collector.api.express import Express
from collector.api.gate import Gate
from collector.api.parameters import JsonRequest

ROUTES = [
    *agents.ROUTES,
    *registry.ROUTES,
    *inventory.ROUTES,
    *ipv6.ROUTES,
    *alerts.ROUTES,
    *scans.ROUTES,
    *service.ROUTES,
]


def make_app(context: Context) -> Gate:
    """Give the ASGI application of a running collector."""
    app = Litestar(
        route_handlers=ROUTES,
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
