"""Request bodies: bounded in size and time while they arrive, before anything reads their meaning."""

import asyncio
from typing import Any, TypeVar

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from collector.api.context import RETRY_SECONDS, Context
from collector.errors import CLOSING, Busy, CollectorError
from wire.codec import decode
from wire.errors import TooLarge
from wire.text import Text
from wire.types import MAX_REPORT_BYTES

T = TypeVar("T")
Connection = ASGIConnection[Any, Any, Any, Any]

MAX_IMPORT_BYTES = 8 << 20
MAX_MESSAGE_BYTES = 64 << 10


class WrongType(CollectorError):
    """The body is not of a type that this address takes."""


class TooSlow(CollectorError):
    """The body did not arrive within its time."""


class ClientGone(CollectorError):
    """Who asked went away before the request was complete; nobody reads this."""


async def read_body(request: Request[Any, Any, Any], context: Context, limit: int) -> bytes:
    """Read a body of at most `limit` bytes within `body_seconds`; raises TooLarge, TooSlow, ClientGone or Busy."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise TooLarge(Text("请求体", "request body"), limit)
    pieces, size = [], 0
    try:
        async with asyncio.timeout(context.limits.body_seconds) as timeout:
            context.drain.enter(timeout)
            try:
                while True:
                    event = await request.receive()
                    if event["type"] != "http.request":
                        raise ClientGone("the client went away")
                    piece = event["body"]
                    size += len(piece)
                    if size > limit:
                        raise TooLarge(Text("请求体", "request body"), limit)
                    pieces.append(piece)
                    if not event.get("more_body", False):
                        return b"".join(pieces)
            finally:
                context.drain.leave(timeout)
    except TimeoutError:
        if context.drain.closing:
            raise Busy(CLOSING, RETRY_SECONDS) from None
        most = f"{context.limits.body_seconds:.0f}"
        raise TooSlow(Text(f"请求未在 {most} 秒内到齐", f"the request did not arrive within {most} s")) from None


def require_type(request: Connection, allowed: tuple[str, ...]) -> None:
    """Hold the content type against those allowed, parameters aside; raises WrongType."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in allowed:
        shown = repr(found[:64])
        raise WrongType(
            Text(
                f"这里不接受 content-type {shown}，请发送 {' 或 '.join(allowed)}",
                f"content-type {shown} is not taken here; send {' or '.join(allowed)}",
            )
        )


async def json_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard of the addresses whose small JSON body Litestar reads: nothing else is taken for JSON."""
    require_type(connection, ("application/json",))


async def read_packed_report(request: Request[Any, Any, Any], context: Context) -> bytes:
    """Read a report as it travels, compressed; raises WrongType and what `read_body` raises."""
    require_type(request, ("application/json",))
    if request.headers.get("content-encoding", "").strip().lower() != "gzip":
        raise WrongType("a report is compressed; send Content-Encoding: gzip")
    return await read_body(request, context, MAX_REPORT_BYTES)


async def read_message(request: Request[Any, Any, Any], context: Context, kind: type[T]) -> T:
    """Read a small message of the wire's own form."""
    require_type(request, ("application/json",))
    return decode(kind, await read_body(request, context, MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES)
