"""Runs a collector: sockets, TLS, the application, the responder beside it, and an end in good order."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

import uvicorn

from collector import journal, setup, tls
from collector.api.app import make_app
from collector.api.context import Context
from collector.api.failures import Failures
from collector.config import Config, Endpoint
from collector.connections import Admission, BoundedProtocol, Listener
from collector.core import open_core
from collector.discovery import Endpoint as ScrapeEndpoint
from collector.lock import DataLock
from collector.metrics import Metrics
from collector.notify import notify, watchdog_seconds
from collector.responder import Orders
from wire.bandwidth import make_ticket
from wire.codec import encode
from wire.errors import EdusecError
from wire.types import Responder

ADDRESSES_NAME = "addresses"
"""File of the data folder that lists the URLs of a running collector, one a line; gone when it has ended."""
TICKET_SECONDS = 43_200.0
BACKLOG = 1024
MAX_FILES = 65_536
RESTART_SECONDS = 5.0
DAY_SECONDS = 86_400.0


class CannotListen(EdusecError):
    """An address cannot be listened on; the text names it and says why."""


def run(config: Config) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; what was acknowledged is committed when this returns.

    Raises CannotListen, CertificateFault, DataInUse, SetupFault, StoreError or a fault of the rule packs.
    """
    journal.set_up(config.log_level)
    _raise_file_limit()
    with DataLock(config.data), contextlib.ExitStack() as stack:
        for path in setup.ensure_keys(config):
            journal.info("made", path=path)
        context = tls.server_context(config.certificate, config.key)
        sockets = bind(config.listen)
        stack.callback(_close, sockets)
        port = sockets[0].getsockname()[1]
        responder = stack.enter_context(_responder(config))
        core = open_core(
            config.store, config.settings, config.rule_packs, responder=responder.offer if responder else _nobody
        )
        stack.callback(core.close)
        place = ScrapeEndpoint(config.advertised, port)
        application = Context(
            core=core,
            limits=config.limits,
            ca_pem=config.ca.read_bytes(),
            ca_digest=tls.digest_of(config.ca),
            scrape_token=setup.read_secret(config.data / setup.SCRAPE_TOKEN_NAME),
            metrics=Metrics(core),
            clock=time.time,
            self_target=lambda: place,
            failures=Failures(config.limits.failures_per_minute),
        )
        stack.callback(application.close)
        stack.enter_context(_announced(config, port, sockets))
        Server(config, application, context, responder).run(sockets=sockets)


def bind(endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    """Bind all endpoints; those with port 0 share one port that the system chose. Raises CannotListen."""
    for attempt in range(20):
        try:
            return _bind_once(endpoints)
        except CannotListen:
            # The port that was free on the first address may be taken on the second.
            if attempt == 19 or all(endpoint.port for endpoint in endpoints):
                raise
    raise AssertionError("unreachable")


def _bind_once(endpoints: Sequence[Endpoint]) -> list[socket.socket]:
    bound: list[socket.socket] = []
    chosen = 0
    try:
        for endpoint in endpoints:
            family = socket.AF_INET6 if ip_address(endpoint.host).version == 6 else socket.AF_INET
            try:
                door = socket.socket(family, socket.SOCK_STREAM)
                bound.append(door)
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                door.bind((endpoint.host, endpoint.port or chosen))
                door.listen(BACKLOG)
            except OSError as error:
                if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and endpoint.host == "::":
                    journal.warning("no_ipv6", listen=endpoint, problem="this machine has no IPv6; serving without")
                    if bound and bound[-1].family == socket.AF_INET6:
                        bound.pop().close()
                    continue
                raise CannotListen(f"listen: {endpoint}: {error.strerror}{_advice(error)}") from None
            door.setblocking(False)
            chosen = chosen or door.getsockname()[1]
        if not bound:
            raise CannotListen("listen: none of the addresses exists on this machine")
    except CannotListen:
        _close(bound)
        raise
    return bound


class Server(uvicorn.Server):
    """uvicorn with bounded connections, an orderly end, and word to the service manager."""

    def __init__(
        self, config: Config, application: Context, context: ssl.SSLContext, responder: "ResponderProcess | None"
    ) -> None:
        """Prepare; nothing is accepted before `run`."""
        super().__init__(
            uvicorn.Config(
                make_app(application),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=config.limits.idle_seconds,
                timeout_graceful_shutdown=config.limits.shutdown_seconds,
            )
        )
        self._settings, self._application, self._context, self._responder = config, application, context, responder
        self._watcher: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on bound sockets."""
        await self.lifespan.startup()
        limits = self._settings.limits
        admission = Admission(limits)

        def protocol(lost: Callable[[], None]) -> BoundedProtocol:
            return BoundedProtocol(self.config, self.server_state, self.lifespan.state, limits, lost)

        # uvicorn closes and waits for what is in this list; a Listener offers both.
        self.servers = [
            Listener(door, self._context, limits, admission, protocol, self._application.once)  # type: ignore[misc]
            for door in sockets or ()
        ]
        self.started = True
        self._watcher = asyncio.create_task(self._watch())
        notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what is still arriving, finish what has arrived, within the bound of the configuration."""
        notify("STOPPING=1")
        journal.info("stopping")
        if self._watcher is not None:
            self._watcher.cancel()
        self._application.drain.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal, and do not raise it again afterwards: an asked-for end is not a failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _watch(self) -> None:
        watchdog = watchdog_seconds()
        next_word = next_renewal = 0.0
        while True:
            now = time.monotonic()
            if watchdog is not None and now >= next_word:
                # Any answer will do: a full disk is no reason to be restarted, a store that is stuck is.
                await self._application.agents.run(self._application.core.healthy)
                notify("WATCHDOG=1")
                next_word = now + watchdog
            if self._responder is not None:
                self._responder.look_after(now)
            if now >= next_renewal:
                self._renew()
                next_renewal = now + DAY_SECONDS
            await asyncio.sleep(min(1.0, watchdog or 1.0))

    def _renew(self) -> None:
        try:
            made = setup.ensure_keys(self._settings)
            if made:
                # New handshakes take the new certificate; connections that stand keep theirs.
                self._context.load_cert_chain(self._settings.certificate, self._settings.key)
        except (EdusecError, OSError) as problem:
            journal.error("renewal_failed", problem=problem)
            return
        for path in made:
            journal.info("made", path=path)


class ResponderProcess:
    """The bandwidth responder as a child process, started again when it ends."""

    def __init__(self, config: Config, sockets: list[socket.socket], secret: str) -> None:
        """Start it on bound sockets."""
        self._config, self._sockets, self._secret = config, sockets, secret
        self._host = config.responder.host or config.advertised
        self._port: int = sockets[0].getsockname()[1]
        self._again = 0.0
        self._child = self._start()

    def offer(self, agent: str) -> Responder | None:
        """Give what an agent is told: where to measure, with a ticket that stays the same for half a day."""
        if self._child.poll() is not None:
            return None
        expires = (time.time() // TICKET_SECONDS + 2) * TICKET_SECONDS
        ticket = make_ticket(bytes.fromhex(self._secret), agent, expires, self._config.responder.max_bytes)
        return Responder(self._host, self._port, ticket)

    def look_after(self, now: float) -> None:
        """Start it again when it has ended, not more often than every few seconds."""
        status = self._child.poll()
        if status is not None and now >= self._again:
            journal.error("responder_ended", status=status)
            self._child = self._start()

    def close(self) -> None:
        """End it; its tests are cut off."""
        self._child.terminate()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._again = time.monotonic() + RESTART_SECONDS
        handles = [door.fileno() for door in self._sockets]
        limits = self._config.responder
        orders = Orders(
            parent=os.getpid(),
            sockets=tuple(map(str, handles)),
            secret=self._secret,
            seconds=limits.max_seconds,
            tests=limits.tests,
            bytes_per_day=limits.bytes_per_day,
            log_level=self._config.log_level,
        )
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "collector.responder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=handles,
        )
        if child.stdin is None:
            raise AssertionError("a pipe was asked for")
        with contextlib.suppress(BrokenPipeError), child.stdin as orders_in:
            orders_in.write(encode(orders) + b"\n")
        return child


@contextlib.contextmanager
def _responder(config: Config) -> Iterator[ResponderProcess | None]:
    if not config.responder.enabled:
        yield None
        return
    sockets = bind(config.responder.listen)
    try:
        process = ResponderProcess(config, sockets, setup.read_secret(config.data / setup.TICKET_SECRET_NAME))
        try:
            yield process
        finally:
            process.close()
    finally:
        _close(sockets)


@contextlib.contextmanager
def _announced(config: Config, port: int, sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Tell people and other programs where the collector is, for as long as it runs."""
    url = setup.base_url(config, port)
    heard = ", ".join(str(Endpoint(*door.getsockname()[:2])) for door in sockets)
    path = config.data / ADDRESSES_NAME
    tls.write_public(path, f"{url}\n".encode())
    print(f"edusec collector: {url} ({heard})", flush=True)
    journal.info("listening", url=url, sockets=heard)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _nobody(_: str) -> None:
    return None


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "; another program (perhaps another collector) listens there"
    if error.errno == errno.EACCES:
        return "; ports below 1024 need the right to bind them"
    return ""


def _close(sockets: Sequence[socket.socket]) -> None:
    for door in sockets:
        door.close()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
