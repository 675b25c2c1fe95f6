"""Who may hold a connection and for how long, before any of the application sees a byte.

uvicorn bounds neither the TLS handshake, nor the time or size of a request's head, nor connections of one address;
a stranger who dials and says nothing would hold a connection for ever. Here each of these has a bound.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from collector.process.config import Limits
from collector.process.journal import Once
from wire.codec import encode
from wire.types import Refusal

TLS_GOODBYE_SECONDS = 30.0
"""For what is still to be written when a connection is closed; a peer that says no goodbye costs as much."""
END_SECONDS = 1.0
"""The same when the whole collector ends, once all that was answered is written."""
LINGER_SECONDS = 5.0
"""For how long the rest of a request is read away after its answer, so that closing does not destroy the answer."""
MAX_REQUEST_BYTES = 24 << 20
"""Bytes of one request on the wire, framing and trailers included; well above the largest import."""

MAX_PIPELINED = 32
"""Requests that wait on one connection; uvicorn would take in as many as a client can send."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Admission:
    """Counts connections, in all and by source; an IPv6 source is its /64, which one machine owns as a whole."""

    def __init__(self, limits: Limits) -> None:
        """Allow what the limits say."""
        self._limits = limits
        self._all = 0
        self._by_source: Counter[str] = Counter()

    def enter(self, address: str) -> Callable[[], None] | None:
        """Count a connection in and give what counts it out again; None when it is one too many."""
        source = source_of(address)
        if self._all >= self._limits.connections or self._by_source[source] >= self._limits.connections_per_address:
            if not self._by_source[source]:
                del self._by_source[source]
            return None
        self._all += 1
        self._by_source[source] += 1
        inside = True

        def leave() -> None:
            nonlocal inside
            if inside:
                inside = False
                self._all -= 1
                self._by_source[source] -= 1
                if not self._by_source[source]:
                    del self._by_source[source]

        return leave


def source_of(address: str) -> str:
    """Give what stands for one machine: an IPv4 address, or the /64 of an IPv6 address."""
    bare = address.partition("%")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return bare
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a time and a size for the head of each request, and a size for all of it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        limits: Limits,
        lost: Callable[[], None],
    ) -> None:
        """Serve one connection; `lost` is called when it is over."""
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self._limits, self._lost = limits, lost
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._ending = False
        self._parting: asyncio.TimerHandle | None = None
        self._in_head = True
        self._in_message = False
        self._head_bytes = 0
        self._message_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(self._limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._no_stall()
        if self._parting is not None:
            self._parting.cancel()
        super().connection_lost(exc)
        self._lost()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None and self._idle():
                self._arm(self._limits.header_seconds)
        else:
            self._message_bytes += len(data)
            if self._message_bytes > MAX_REQUEST_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.header_bytes and not self.transport.is_closing():
            words = f"the head of a request may have {self._limits.header_bytes} bytes"
            self._refuse("431 Request Header Fields Too Large", Refusal("too_large", words))

    def on_message_begin(self) -> None:
        self._in_message = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes later is a trailer, and nothing here reads trailers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._disarm()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._limits.header_bytes:
            raise ValueError("the head came in one piece and is too large")  # uvicorn answers 400 and hangs up
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests in one go")
        self._in_head = False
        self._head_bytes = self._message_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._in_message = True, False
        self._disarm()
        super().on_message_complete()
        if self._idle():  # answered before its end: uvicorn's own timer was stopped by the rest of the request
            self._arm(self._limits.idle_seconds)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ending:
            self._part()
        if self._in_message and not self._in_head:  # answered early: the request is still arriving
            self._arm(LINGER_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self._limits.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._no_stall()

    def shutdown(self) -> None:
        super().shutdown()
        self._ending = True
        if self._idle():
            self._part()

    def _part(self) -> None:
        self._parting = self.loop.call_later(END_SECONDS, self._leave)

    def _leave(self) -> None:
        if self.transport.get_write_buffer_size():  # a slow line gets its answer, for as long as the end may take
            self._part()
        else:
            self.transport.abort()

    def _no_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is None or cycle.response_complete

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self._refuse("400 Bad Request", Refusal("bad_request", msg))

    def _refuse(self, status: str, refusal: Refusal) -> None:
        body = encode(refusal)
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()


class Listener:
    """Accepts connections on one socket: counted before the handshake, the handshake within its time."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        limits: Limits,
        admission: Admission,
        protocol: Callable[[Callable[[], None]], asyncio.Protocol],
        once: Once,
    ) -> None:
        """Start to accept; `protocol` makes the protocol of a connection and is given what to call at its end."""
        self._socket, self._context, self._limits = listening, context, limits
        self._admission, self._protocol, self._once = admission, protocol, once
        self._handshakes: set[asyncio.Task[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Stop to accept; connections that stand are not touched."""
        self._task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is being accepted any more."""
        await asyncio.gather(self._task, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._once.warning("out_of_resources", "accept", problem=error.strerror)
                    await asyncio.sleep(0.5)
                elif error.errno == errno.EBADF:
                    return
                await asyncio.sleep(0)
                continue
            leave = self._admission.enter(peer[0])
            if leave is None:
                connection.close()
                self._once.warning("too_many_connections", source_of(peer[0]))
                await asyncio.sleep(0)  # a flood must not keep the loop from those inside
                continue
            task = loop.create_task(self._welcome(connection, peer[0], leave))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _welcome(self, connection: socket.socket, address: str, leave: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(leave),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=TLS_GOODBYE_SECONDS,
            )
        except OSError as error:  # TLS faults and time-outs are OSErrors too
            leave()
            connection.close()
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            self._once.warning("handshake_failed", source_of(address), problem=reason or type(error).__name__)
