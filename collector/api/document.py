"""The OpenAPI 3.1 description: Litestar's for what people ask, ours for the wire types, refusals and statuses."""

from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag

from collector.api.auth import agent_only, scraper_only
from collector.api.bodies import MAX_IMPORT_BYTES
from collector.api.routes.table import ROUTES
from collector.api.wire_schema import REF, components
from collector.metrics.exposition import software_version
from collector.scans.requests import ScanRequest
from wire.orders import OrderProgress, OrderReply, Orders
from wire.types import Answer, Enrolment, EnrolmentRequest, Refusal, Report, Section

_PEOPLE, _AGENT, _SCRAPER = "person", "agent", "scraper"
_SCHEMES = {
    _AGENT: "The credential that an agent was given at enrolment.",
    _PEOPLE: "The token of a person; roles viewer, operator and admin, each bound to a subtree of units.",
    _SCRAPER: "The scrape token, from scrape.token in the collector's data folder.",
}
_REASONS = {
    "400": "Malformed, out of bounds, or of a schema that this release does not read; nothing was changed.",
    "401": "No valid credential; nothing was changed.",
    "403": "The role does not allow this; nothing was changed.",
    "404": "Nothing of that name within the person's units; nothing was changed.",
    "408": "The request did not arrive in time; nothing was changed.",
    "409": "Contradicts what is stored (`conflict`), or names digests that are not held (`unknown_digest`).",
    "413": "Larger than its bound; nothing was changed.",
    "415": "Not a type that is taken here; nothing was changed.",
    "422": "The file has faults, all of them in `problems` as file:line:field: what (`bad_file`), or the agent or its "
    "unit holds all that it may (`full`); nothing was changed.",
    "429": "Too many failed attempts; Retry-After says when to try again.",
    "500": "A fault of the collector; its log says more.",
    "503": "Cannot take more work now; Retry-After says when to try again. Nothing was changed.",
}
_CONFLICTING = ("report", "acknowledgeAlert", "resolveAlert", "mergeAsset", "splitAsset", "createScan")
_WIRE_ANSWERS = {
    "report": "Answer",
    "enrol": "Enrolment",
    "getOrders": "Orders",
    "reportProgress": "OrderReply",
    "getScanResult": "Section",
}
_WIRE_BODIES = {"enrol": "EnrolmentRequest", "createScan": "ScanRequest", "reportProgress": "OrderProgress"}
_MESSAGES = (
    Report,
    Answer,
    EnrolmentRequest,
    Enrolment,
    Orders,
    OrderProgress,
    OrderReply,
    ScanRequest,
    Section,
    Refusal,
)
_TAGS = (
    "reports",
    "enrolment",
    "agents",
    "units",
    "whitelist",
    "register",
    "inventory",
    "ipv6",
    "alerts",
    "scans",
    "orders",
    "prometheus",
)
_FILES = ("importUnits", "importWhitelist", "importRegister", "importScan")


def document() -> dict[str, Any]:
    """Give the description as plain data."""
    config = OpenAPIConfig(
        title="edusec collector",
        version=software_version(),
        description="Campus network security monitor: agents report, people read and decide, Prometheus scrapes.",
        path="/unused",  # Litestar wants to serve its own document somewhere
        use_handler_docstrings=True,
        tags=[Tag(name=name) for name in _TAGS],
        components=Components(
            security_schemes={
                name: SecurityScheme(type="http", scheme="bearer", description=text) for name, text in _SCHEMES.items()
            }
        ),
    )
    schemaless = Litestar(route_handlers=ROUTES, openapi_config=config, logging_config=None)
    plain = schemaless.openapi_schema.to_schema()
    plain["components"]["schemas"].update(components(_MESSAGES))
    schemes = _schemes()
    for path, operation in _operations(plain):
        name = operation["operationId"]
        scheme = schemes[name]
        if scheme:
            operation["security"] = [{scheme: []}]
        _describe(path, operation, name, scheme)
    return plain


def _operations(plain: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in plain["paths"].items():
        for operation in item.values():
            yield path, operation


def _schemes() -> dict[str, str]:
    """Read from the guards who may ask, so that the description cannot say otherwise."""
    schemes = {}
    for route in ROUTES:
        guards = route.guards or ()
        name = str(route.operation_id)
        if agent_only in guards:
            schemes[name] = _AGENT
        elif scraper_only in guards:
            schemes[name] = _SCRAPER
        else:
            schemes[name] = _PEOPLE if guards else ""
    return schemes


def _describe(path: str, operation: dict[str, Any], name: str, scheme: str) -> None:
    statuses = {"500", "503"}
    if scheme or name == "enrol":
        statuses |= {"401", "429"}
    if scheme == _PEOPLE or name == "report":
        statuses.add("403")
    if operation.get("parameters") or operation.get("requestBody"):
        statuses.add("400")
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "{" in path or names & {"under", "unit"} or name in ("createEnrolmentToken", "createScan"):
        statuses.add("404")
    if name in _CONFLICTING:
        statuses.add("409")
    body = _body(name)
    if name == "report":
        operation["parameters"] = [
            {"name": "Content-Encoding", "in": "header", "required": True, "schema": {"const": "gzip"}}
        ]
    if body is not None:
        operation["requestBody"] = body
        statuses.add("408")
    if "requestBody" in operation:
        statuses |= {"400", "413", "415"}
    if name in _FILES or name == "report":
        statuses.add("422")
    operation["summary"] = operation.pop("description")
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    for answer in answers.values():
        answer["description"] = "It was done."
        if name in _WIRE_ANSWERS:
            answer["content"] = _json(_WIRE_ANSWERS[name])
    _special_answers(name, answers)
    operation["responses"] = answers | {status: _refusal(status) for status in sorted(statuses)}


def _special_answers(name: str, answers: dict[str, Any]) -> None:
    text = {"type": "string"}
    if name in ("exportWhitelist", "exportIpv6Failures"):
        answers["200"]["content"] = {
            "text/csv": {"schema": text},
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {"schema": {"type": "string"}},
        }
    elif name == "metrics":
        answers["200"]["content"] = {"text/plain": {"schema": text}, "application/openmetrics-text": {"schema": text}}
    elif name == "getCa":
        answers["200"]["content"] = {"application/x-pem-file": {"schema": text}}
    elif name == "serviceDiscovery":
        group = {
            "type": "object",
            "properties": {
                "targets": {"type": "array", "items": text},
                "labels": {"type": "object", "additionalProperties": text},
            },
            "required": ["targets", "labels"],
        }
        answers["200"]["content"] = {"application/json": {"schema": {"type": "array", "items": group}}}


def _body(name: str) -> dict[str, Any] | None:
    if name in _WIRE_BODIES:
        return {"required": True, "content": _json(_WIRE_BODIES[name])}
    if name == "report":
        return {
            "required": True,
            "description": "Compressed: `Content-Encoding: gzip` is required.",
            "content": _json("Report"),
        }
    if name in _FILES:
        return {
            "required": True,
            "description": f"The bytes of the file, at most {MAX_IMPORT_BYTES}.",
            "content": {"application/octet-stream": {}, "text/csv": {}},
        }
    return None


def _refusal(status: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _REASONS[status], "content": _json("Refusal")}
    if status in ("429", "503"):
        answer["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    return answer


def _json(kind: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF + kind}}}
