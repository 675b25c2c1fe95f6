"""Servers that lie, hang and never end: bounded, told as they are, and never the end of the probe."""

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from probes.kit.exchange.web import Stage, Url, parse_url
from probes.kit.ipv6.model import Settings, Verdict
from probes.kit.ipv6.names import Names
from probes.kit.ipv6.site.fetch import Page, Wish, fetch
from probes.kit.ipv6.site.journey import MAX_HOPS, Journey, follow
from probes.kit.ipv6.site.judge import loads
from probes.kit.ipv6.site.visit import Visitor, redirected
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from tests.support.addresses import needs_address
from tests.support.patience import given_time

Handler = Callable[[socket.socket, bytes], None]
WISH = Wish(timeout=20.0, body=100_000)
LOOPBACK = ip_address("::1")


@contextmanager
def server(handle: Handler) -> Iterator[int]:
    """Serve each connection in its own thread until the end of the test; gives the port."""
    with socket.create_server((needs_address("::1"), 0), family=socket.AF_INET6) as listener:
        threads: list[threading.Thread] = []

        def one(line: socket.socket) -> None:
            with line:
                line.settimeout(20)
                try:
                    handle(line, line.recv(8192))
                except OSError:
                    return  # the probe has had enough and left

        def accept() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=one, args=(line,)))
                threads[-1].start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for thread in threads:
                thread.join()


def get(handle: Handler, *, scheme: str = "http", wish: Wish = WISH) -> Page:
    """Fetch one page from such a server."""
    with server(handle) as port:
        return fetch(Net(Scope()), parse_url(f"{scheme}://[::1]:{port}/"), LOOPBACK, wish)


def says(*parts: bytes) -> Handler:
    """A server that says something and leaves."""

    def handle(line: socket.socket, _: bytes) -> None:
        for part in parts:
            line.sendall(part)

    return handle


def hangs(first: bytes = b"") -> Handler:
    """A server that says something, and then nothing more until the other side leaves."""

    def handle(line: socket.socket, _: bytes) -> None:
        line.sendall(first)
        line.recv(1)

    return handle


def floods(first: bytes, chunk: bytes) -> Handler:
    """A server that never ends."""

    def handle(line: socket.socket, _: bytes) -> None:
        line.sendall(first)
        while True:
            line.sendall(chunk)

    return handle


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


@pytest.mark.parametrize(
    ("handle", "stage", "status", "complete"),
    [
        (says(HEAD + b"Content-Length: 5\r\n\r\nhello"), Stage.DONE, 200, True),
        (says(HEAD + b"Content-Length: 500\r\n\r\nhello"), Stage.DONE, 200, False),
        (says(HEAD + b"Content-Length: 2\r\n\r\nhello"), Stage.DONE, 200, True),
        (says(HEAD + b"Content-Length: -7\r\n\r\nhello"), Stage.DONE, 200, True),
        (says(HEAD + b"Content-Length: 99999999999999999999\r\n\r\nhello"), Stage.DONE, 200, True),
        (says(HEAD + b"\r\nhello"), Stage.DONE, 200, True),
        (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), Stage.DONE, 200, True),
        (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), Stage.DONE, 200, False),
        (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello"), Stage.BODY, 200, False),
        (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\nhello"), Stage.DONE, 200, False),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Stage.HEAD, None, False),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 50), Stage.HEAD, None, False),
        (says(), Stage.HEAD, None, False),
        (hangs(), Stage.HEAD, None, False),
        (hangs(HEAD), Stage.HEAD, None, False),
        (hangs(HEAD + b"Content-Length: 500\r\n\r\nhello"), Stage.BODY, 200, False),
        (floods(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"), Stage.HEAD, None, False),
        (floods(HEAD + b"\r\n", b"<p>more</p>" * 1000), Stage.DONE, 200, True),
        (floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nmore\r\n" * 1000), Stage.DONE, 200, True),
        (floods(b"", b"\x00" * 1000), Stage.HEAD, None, False),
    ],
)
def test_whatever_a_server_says_is_bounded_and_told(
    handle: Handler, stage: Stage, status: int | None, complete: bool
) -> None:
    page = given_time(
        lambda seconds: get(handle, wish=replace(WISH, timeout=seconds)),
        lambda page: (page.stage, page.status, page.complete) == (stage, status, complete),
        first=1,
    )
    assert (page.stage, page.status, page.complete) == (stage, status, complete), page
    assert len(page.body) <= WISH.body
    assert page.received <= WISH.body + 200_000
    assert page.told


def test_a_hanging_server_stalls_and_a_refusing_one_does_not() -> None:
    soon = replace(WISH, timeout=1.0)
    assert get(hangs(), wish=soon).stalled
    assert get(hangs(HEAD + b"Content-Length: 9\r\n\r\n"), wish=soon).stalled
    assert get(hangs(), scheme="https", wish=soon).stalled
    assert not get(says(b"nonsense\r\n\r\n")).stalled
    assert not get(says(b"not TLS at all"), scheme="https").stalled


def test_a_server_that_drips_is_too_slow_not_stalled() -> None:
    def drip(line: socket.socket, _: bytes) -> None:
        line.sendall(HEAD + b"\r\n")
        done = threading.Event()
        while not done.wait(0.1):
            line.sendall(b".")

    page = given_time(
        lambda seconds: get(drip, wish=Wish(timeout=seconds, body=1000)), lambda page: not page.stalled, first=0.5
    )
    assert (page.stage, page.problem, page.stalled) == (Stage.BODY, "too slow", False)


@pytest.mark.parametrize("window", [31, 15, -15])
def test_compressed_pages_are_read(window: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    packed = packer.compress("学校".encode() * 100) + packer.flush()
    kind = b"gzip" if window == 31 else b"deflate"
    head = HEAD + b"Content-Encoding: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert get(says(head, packed)).body.decode() == "学校" * 100


def test_a_bomb_is_cut_off() -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packed.compress(bytes(1 << 20)) for _ in range(64)) + packed.flush()
    page = get(says(HEAD + b"Content-Encoding: gzip\r\n\r\n", bomb))
    assert page.stage is Stage.DONE
    assert len(page.body) <= WISH.body


def test_broken_compression_is_only_a_broken_page() -> None:
    page = get(says(HEAD + b"Content-Encoding: gzip\r\n\r\nthis is no gzip"))
    assert (page.stage, page.body) == (Stage.DONE, b"this is no gzip")


def journey(handle: Handler) -> Journey:
    """Follow the redirects of such a server."""
    net = Net(Scope())
    with server(handle) as port:
        return follow(
            lambda url, address, cookies: fetch(net, url, address, Wish(20.0, 10_000, cookies=cookies)),
            parse_url(f"http://[::1]:{port}/"),
            lambda host: (LOOPBACK, "") if host == "::1" else (None, "redirect_v4_only"),
            redirected,
        )


def redirect(place: bytes, *more: bytes) -> bytes:
    """A redirect with more fields."""
    fields = b"".join(field + b"\r\n" for field in more)
    return b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("place", "end"),
    [
        (b"/", "redirect_loop"),
        (b"http://old.school.test/", "redirect_v4_only"),
        (b"http://198.18.0.1/", "redirect_v4_only"),
        (b"ftp://[::1]/", "redirect_bad"),
        (b"http://[::1", "redirect_bad"),
        (b"http://user:word@[::1]/", "redirect_bad"),
        (b"http://a..b/", "redirect_bad"),
        (b"http://[::1]:99999/", "redirect_bad"),
        (b"\xe5\xad\xa6" * 400, "redirect_bad"),
    ],
)
def test_redirects_that_lead_nowhere(place: bytes, end: str) -> None:
    went = journey(says(redirect(place)))
    assert went.end == end
    assert loads(went) is Verdict.FAIL


def test_redirects_without_end_are_cut_off() -> None:
    def onward(line: socket.socket, request: bytes) -> None:
        line.sendall(redirect(request.split(b" ")[1] + b"x"))

    went = journey(onward)
    assert (went.end, len(went.pages)) == ("redirect_loop", MAX_HOPS)


def test_a_redirect_that_waits_for_its_cookie_gets_it() -> None:
    def wall(line: socket.socket, request: bytes) -> None:
        if b"Cookie: seen=abc123; odd=1" in request:
            line.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")
        else:
            line.sendall(redirect(b"/", b"Set-Cookie: seen=abc123; Path=/; HttpOnly", b"Set-Cookie: odd=1"))

    went = journey(wall)
    assert (went.end, went.last.body if went.last else b"") == ("", b"ok")


def test_a_cookie_cannot_smuggle_a_header() -> None:
    asked: list[bytes] = []

    def wall(line: socket.socket, request: bytes) -> None:
        asked.append(request)
        line.sendall(
            redirect(b"/next" if len(asked) == 1 else b"/", b"Set-Cookie: a=b\x0bX-Evil: 1", b"Set-Cookie: c=d")
        )

    journey(wall)
    assert b"Cookie: c=d\r\n" in asked[1]
    assert all(b"Evil" not in request for request in asked)


def test_a_server_that_hangs_on_every_size_of_segment_is_no_black_hole() -> None:
    net = Net(Scope())
    with server(hangs()) as port:
        visitor = Visitor(net, Names(net, (), timeout=1, port=53), Settings(), Wish(0.3, 1000), float("inf"))
        page = visitor.page(parse_url(f"http://[::1]:{port}/"), LOOPBACK)
    assert page.stalled
    assert visitor.proof is None


def test_a_server_that_is_slow_once_is_no_black_hole() -> None:
    asked: list[int] = []

    def slow_once(line: socket.socket, _: bytes) -> None:
        asked.append(1)
        if len(asked) == 1:
            line.recv(1)
        else:
            line.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")

    net = Net(Scope())

    def visited(seconds: float) -> tuple[int | None, bool, int]:
        asked.clear()
        with server(slow_once) as port:
            visitor = Visitor(net, Names(net, (), timeout=1, port=53), Settings(), Wish(seconds, 1000), float("inf"))
            page = visitor.page(parse_url(f"http://[::1]:{port}/"), LOOPBACK)
        return page.status, visitor.proof is None, len(asked)

    told = 200, True, 3
    assert given_time(visited, lambda found: found == told, first=0.3, enough=5) == told


def test_what_the_scope_refuses_is_unknown() -> None:
    net = Net(Scope())
    visitor = Visitor(net, Names(net, (), timeout=1, port=53), Settings(), Wish(0.3, 1000), float("inf"))
    url = Url("http", "www.school.test", 80, "/", "http://www.school.test/")
    page = visitor.page(url, ip_address("3000::80"))
    assert loads(Journey((page,))) is Verdict.UNKNOWN
    assert net.sent == 0


def test_a_site_is_asked_no_faster_than_it_was_agreed() -> None:
    asked: list[float] = []

    def note(line: socket.socket, _: bytes) -> None:
        asked.append(time.monotonic())
        line.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")

    net = Net(Scope())
    with server(note) as port:
        polite = Settings(page_rate=20)
        visitor = Visitor(net, Names(net, (), timeout=1, port=53), polite, Wish(1, 1000), float("inf"))
        for _ in range(9):
            visitor.page(parse_url(f"http://[::1]:{port}/"), LOOPBACK)
    # Sleeping may last longer than asked, never less: eight pauses of 50 ms lie between the first and the last.
    assert asked[-1] - asked[0] >= 8 / 20 - 0.05
