"""A very small HTTP server for `/metrics` and `/healthz`: one thread, few clients, nobody can hold it up."""

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_CLIENTS = 16
MAX_REQUEST = 8192
CLIENT_SECONDS = 5.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    deadline: float
    request: bytes = b""
    answer: memoryview = field(default_factory=lambda: memoryview(b""))


class Listener:
    """Serves until closed. `pages` gives for each path the function that writes its text."""

    def __init__(self, host: str, port: int, pages: dict[str, Callable[[], str]]) -> None:
        """Listen at once; raises OSError when the address cannot be had."""
        self._pages = pages
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, port), family=family, backlog=64)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self._clients: dict[int, _Client] = {}
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and give up the port."""
        os.write(self._waker, b"x")
        self._thread.join()
        for handle in (self._wake, self._waker):
            os.close(handle)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._listening:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(self._listening, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                nearest = min((client.deadline for client in self._clients.values()), default=None)
                ready = selector.select(None if nearest is None else max(0.0, nearest - now))
                for key, _ in ready:
                    if key.fd == self._wake:
                        for client in list(self._clients.values()):
                            self._drop(selector, client)
                        return
                    if key.fileobj is self._listening:
                        self._accept(selector)
                    elif key.fd in self._clients:
                        self._go_on(selector, self._clients[key.fd])
                now = time.monotonic()
                for client in [client for client in self._clients.values() if client.deadline <= now]:
                    self._drop(selector, client)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            sock, _ = self._listening.accept()
        except OSError:
            return  # it left again, or we are out of descriptors for a moment
        if len(self._clients) >= MAX_CLIENTS:
            # Whoever has been here longest makes room: slow clients cannot lock out the scraper.
            self._drop(selector, min(self._clients.values(), key=lambda client: client.deadline))
        sock.setblocking(False)
        self._clients[sock.fileno()] = _Client(sock, time.monotonic() + CLIENT_SECONDS)
        selector.register(sock, selectors.EVENT_READ)

    def _drop(self, selector: selectors.BaseSelector, client: _Client) -> None:
        handle = client.sock.fileno()
        selector.unregister(client.sock)
        del self._clients[handle]
        client.sock.close()

    def _go_on(self, selector: selectors.BaseSelector, client: _Client) -> None:
        try:
            if client.answer:
                client.answer = client.answer[client.sock.send(client.answer) :]
                if client.answer:
                    return
                with contextlib.suppress(OSError):
                    client.sock.shutdown(socket.SHUT_WR)
            else:
                data = client.sock.recv(MAX_REQUEST)
                client.request += data
                whole = b"\r\n\r\n" in client.request or b"\n\n" in client.request
                if data and not whole and len(client.request) <= MAX_REQUEST:
                    return
                if data:
                    client.answer = memoryview(self._answer(client.request, whole=whole))
                    selector.modify(client.sock, selectors.EVENT_WRITE)
                    return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset by the client
        self._drop(selector, client)

    def _answer(self, request: bytes, *, whole: bool) -> bytes:
        words = request.split(b"\n", 1)[0].decode("latin-1").split()
        if not whole:
            return _response("431 Request Header Fields Too Large", "too large\n")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response("400 Bad Request", "not HTTP/1\n")
        method, target = words[0], words[1].partition("?")[0]
        if target not in self._pages:
            return _response("404 Not Found", f"there are {', '.join(sorted(self._pages))}\n")
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "GET only\n", "Allow: GET, HEAD\r\n")
        return _response("200 OK", self._pages[target](), body=method == "GET")


def _response(status: str, text: str, more: str = "", *, body: bool = True) -> bytes:
    content = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(content)}\r\n"
        f"Connection: close\r\nX-Content-Type-Options: nosniff\r\n{more}\r\n"
    )
    return head.encode() + (content if body else b"")
