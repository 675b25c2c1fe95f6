"""A short way for the one request that comes a hundred thousand times an hour: a small report in good order.

It spares a quarter of what such a report costs. Whatever is not in good order goes the ordinary way, which alone writes
refusals: with the same bytes where a header or the credential is odd, with the error where the report, the store or the
collector itself is at fault.
"""

import asyncio
import time

from collector.api.auth import BEARER
from collector.api.context import RETRY_SECONDS, Context
from collector.api.gate import App, Message, Receive, Scope, Send
from collector.errors import UNCOMMITTED, Busy
from collector.ingest import reports
from collector.memory.directory import AgentIdentity
from collector.registry import agents
from wire.codec import decode, decompress, encode
from wire.errors import TooLarge
from wire.types import Answer, Report

PATH = "/api/v1/reports"
SMALL_BYTES = 2 << 10
"""Compressed reports up to this size, such as those where nothing changed, are not worth a thread."""
SMALL_PLAIN_BYTES = 64 << 10
"""Unpacked reports up to this size are read at once; two kilobytes of gzip may hold two megabytes to read."""
_SINGLE = (b"authorization", b"content-type", b"content-encoding", b"content-length")


class Express:
    """An ASGI application before another, which gets all that this one does not take."""

    def __init__(self, app: App, context: Context) -> None:
        """Put it before an application."""
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, or pass it on as if nobody had looked at it."""
        found = self._looked_at(scope) if scope["type"] == "http" and scope["path"] == PATH else None
        if found is None:
            await self._app(scope, receive, send)
            return
        agent, size = found
        heard: list[Message] = []
        try:
            heard.append(await self._hear(receive))
            answer = await self._answer(agent, size, heard[0], (scope.get("client") or ("",))[0])
        except Exception as error:  # noqa: BLE001 (the ordinary way tells refusals from faults, and logs these)
            await self._app(scope, _refusing(error), send)
            return
        if answer is None:
            await self._app(scope, _again(heard, receive), send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})

    async def _hear(self, receive: Receive) -> Message:
        async with asyncio.timeout(self._context.limits.body_seconds) as timeout:
            self._context.drain.enter(timeout)
            try:
                return await receive()
            finally:
                self._context.drain.leave(timeout)

    def _looked_at(self, scope: Scope) -> tuple[AgentIdentity, int] | None:
        """Give the agent and the announced size, if every header is as an agent writes it."""
        if scope["method"] != "POST" or scope["query_string"]:
            return None
        given: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _SINGLE:
                if name in given:
                    return None
                given[name] = value
        if given.get(b"content-type") != b"application/json" or given.get(b"content-encoding") != b"gzip":
            return None
        size, bearer = (
            given.get(b"content-length", b""),
            BEARER.fullmatch(given.get(b"authorization", b"").decode("latin-1")),
        )
        if bearer is None or not size.isdigit() or len(size) > 4 or int(size) > SMALL_BYTES:
            return None
        token = bearer.group(1)
        agent = agents.authenticate(self._context.core, token)  # from memory
        if agent is None or self._context.failures.wait(token):
            return None
        return agent, int(size)

    async def _answer(self, agent: AgentIdentity, size: int, message: Message, source: str) -> bytes | None:
        """Give the acknowledgement of a report that is durable now; None for the ordinary way."""
        context = self._context
        packed = message.get("body", b"")
        if message["type"] != "http.request" or message.get("more_body") or len(packed) != size:
            return None
        started = time.perf_counter()
        try:
            plain = decompress(packed, SMALL_BYTES, SMALL_PLAIN_BYTES)
        except TooLarge:
            return None
        report = decode(Report, plain, SMALL_PLAIN_BYTES)
        if report.agent != agent.id:
            return None
        future = reports.submit(context.core, agent, report, context.clock(), source)
        try:
            async with asyncio.timeout(context.limits.answer_seconds):
                # Shielded: whoever gives up waiting must not cancel what the writer is about to commit.
                answer: Answer = await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            raise Busy(UNCOMMITTED, RETRY_SECONDS) from None
        context.metrics.answered(duplicate=answer.duplicate, seconds=time.perf_counter() - started)
        if answer.policy is not None and len(answer.policy.whitelist) > 100:
            return await context.agents.run(encode, answer)
        return encode(answer)


def _again(heard: list[Message], receive: Receive) -> Receive:
    """Give what was heard once more, then what follows."""
    waiting = list(heard)

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refusing(error: Exception) -> Receive:
    """Fail as reading the request failed, so that the ordinary way writes the refusal."""

    async def fail() -> Message:
        raise error

    return fail
