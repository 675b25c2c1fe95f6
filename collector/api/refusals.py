"""How every refusal looks: a wire Refusal, the right status, and one line in the log for each kind and source."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from collector import errors
from collector.api.auth import Throttled, address_of
from collector.api.bodies import MAX_MESSAGE_BYTES, ClientGone, TooSlow, WrongType
from collector.api.context import RETRY_SECONDS, context_of
from collector.api.parameters import faults_of
from collector.memory.directory import AgentIdentity
from collector.process import journal
from wire.codec import encode
from wire.errors import EdusecError, TooLarge, UnsupportedSchema, WireError
from wire.text import Lang, Text, as_text, of_request, text_of
from wire.types import Refusal

_BY_TYPE: tuple[tuple[type[EdusecError], int, str], ...] = (
    (Throttled, 429, "busy"),
    (WrongType, 415, "bad_request"),
    (TooSlow, 408, "bad_request"),
    (ClientGone, 400, "bad_request"),
    (errors.Unauthorised, 401, "unauthorised"),
    (errors.Forbidden, 403, "forbidden"),
    (errors.NotFound, 404, "not_found"),
    (errors.Conflict, 409, "conflict"),
    (errors.UnknownDigest, 409, "unknown_digest"),
    (errors.BadInput, 400, "bad_request"),
    (errors.BadFile, 422, "bad_file"),
    (errors.Full, 422, "full"),
    (errors.Busy, 503, "busy"),
    (errors.StoreError, 503, "busy"),
    (TooLarge, 413, "too_large"),
    (UnsupportedSchema, 400, "unsupported_schema"),
    (WireError, 400, "bad_request"),
)
_HTTP_CODES = {401: "unauthorised", 403: "forbidden", 404: "not_found", 413: "too_large", 429: "busy", 503: "busy"}
_FAULT = Text("采集中心内部出错，详见其日志", "the collector has a fault; its log says more")
_NOTHING = Text(
    "这里什么也没有，接口清单见 /schema/openapi.json", "nothing is here; /schema/openapi.json lists what there is"
)

# A person's own slips are shown to the person; these concern whoever runs the collector.
_ALWAYS_LOGGED = {401, 403, 408, 429, 503}


def handle(request: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
    """Turn whatever a handler raised into an answer; clients never see a trace."""
    if isinstance(problem, HTTPException):
        return _http(request, problem)
    for kind, status, code in _BY_TYPE:
        if isinstance(problem, kind):
            return _refuse(request, status, _refusal(code, problem, _lang(request)), _headers(problem))
    source = address_of(request)
    if context_of(request).once.admit(f"crash {type(problem).__name__}", source) is not None:
        journal.crash("internal_error", problem, source=source, method=request.method, path=request.scope["path"])
    return refusal_response(500, Refusal("internal", _FAULT(_lang(request))))


def refusal_response(status: int, refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Give the answer that carries a refusal."""
    return Response(encode(refusal), status_code=status, media_type=MediaType.JSON, headers=dict(headers or {}))


def _http(request: Request[Any, Any, Any], problem: HTTPException) -> Response[bytes]:
    status = problem.status_code
    if status >= 500:
        journal.crash("internal_error", problem, path=request.scope["path"])
        return refusal_response(status, Refusal("internal", _FAULT(_lang(request))))
    said = faults_of(problem) or as_text(problem.detail)
    if status == 404:
        said = _NOTHING
    elif status == 405:
        said = Text(f"这里不能用 {request.method}", f"{request.method} is not possible here")
    elif status == 413:
        said = text_of(TooLarge(Text("请求体", "request body"), MAX_MESSAGE_BYTES))
    allow = {key: value for key, value in (problem.headers or {}).items() if key.lower() == "allow"}
    code = _HTTP_CODES.get(status, "bad_request")
    return _refuse(request, status, Refusal(code, _line(said(_lang(request)))), allow)


def _refuse(
    request: Request[Any, Any, Any], status: int, refusal: Refusal, headers: Mapping[str, str]
) -> Response[bytes]:
    context = context_of(request)
    user = request.scope.get("user")
    path = request.scope["path"]
    from_agent = isinstance(user, AgentIdentity) or path in ("/api/v1/reports", "/api/v1/enrol")
    if path == "/api/v1/reports":
        context.metrics.refused(refusal.code)
    # Unknown digests and a busy moment are the ordinary talk of agents, not problems.
    if status in _ALWAYS_LOGGED or (from_agent and refusal.code != "unknown_digest"):
        source = user.id if isinstance(user, AgentIdentity) else address_of(request)
        context.once.warning(
            f"refused_{refusal.code}",
            source,
            status=status,
            path=path,
            message=refusal.message,
        )
    return refusal_response(status, refusal, headers)


def _lang(request: Request[Any, Any, Any]) -> Lang:
    return of_request(request.headers.get("accept-language", ""))


def _refusal(code: str, problem: EdusecError, lang: Lang) -> Refusal:
    message = _line(text_of(problem)(lang))
    if isinstance(problem, errors.UnknownDigest):
        return Refusal(code, message, sections=problem.sections[:256])
    if isinstance(problem, errors.BadFile):
        return Refusal(code, message, problems=tuple(_line(text(lang)) for text in problem.problems[:1000]))
    return Refusal(code, message)


def _headers(problem: EdusecError) -> dict[str, str]:
    if isinstance(problem, errors.Unauthorised):
        return {"WWW-Authenticate": 'Bearer realm="edusec"'}
    if isinstance(problem, errors.Busy | Throttled):
        return {"Retry-After": str(max(1, round(problem.retry_after)))}
    if isinstance(problem, errors.StoreError):
        return {"Retry-After": str(round(RETRY_SECONDS))}
    if isinstance(problem, TooSlow):
        return {"Connection": "close"}
    return {}


def _line(text: str) -> str:
    """Cut to the wire's bound; a lone surrogate that a stranger sent cannot be encoded."""
    return text[:1024].encode("utf-8", "replace").decode()
