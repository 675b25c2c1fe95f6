"""What holds for every request before it reaches the application, and for every answer on its way out."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.api.context import RETRY_SECONDS, Context
from wire.codec import encode
from wire.text import Lang, Text, of_request
from wire.types import Refusal

# What ASGI passes around, in the widest form that both uvicorn and Litestar take.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

PIECE_BYTES = 64 << 10
_TOO_LONG = Text("请求用时过长，请稍后再试", "the request took too long; try again later")

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


class Gate:
    """An ASGI application around another: HEAD answered as GET, a time limit, and the headers of every answer."""

    def __init__(self, app: App, context: Context) -> None:
        """Put the gate before an application."""
        self._app, self._context = app, context
        limits = context.limits
        self._seconds = limits.body_seconds + limits.answer_seconds + 5.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is not one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        awaits_go_ahead = any(name == b"expect" for name, _ in scope["headers"])
        started = heard = False
        timeout = asyncio.timeout(self._seconds)

        async def hear() -> Message:
            nonlocal heard
            heard = True
            return await receive()

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                timeout.reschedule(None)  # from here on the connection watches that the answer is read
                message["headers"] = [*message["headers"], *_HEADERS]
                if awaits_go_ahead and not heard:
                    # The client will not send the body it announced: what comes next must not be taken for it.
                    message["headers"].append((b"connection", b"close"))
            body = message.get("body", b"")
            # In pieces, so that a large answer waits for who reads it here and not in a buffer.
            for start in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
                await send({"type": message["type"], "body": body[start : start + PIECE_BYTES], "more_body": True})
                message["body"] = body[start + PIECE_BYTES :]
            await send(message)

        if scope["method"] == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        try:
            async with timeout:
                await self._app(scope, hear, answer)
        except TimeoutError:
            self._context.once.warning("request_timed_out", "server", path=scope["path"])
            if not started:
                await _refuse(send, of_request(dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")))


async def _refuse(send: Send, lang: Lang) -> None:
    body = encode(Refusal("busy", _TOO_LONG(lang)))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(round(RETRY_SECONDS)).encode()),
        (b"connection", b"close"),
        *_HEADERS,
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
