"""Runs a collector: sockets, TLS, the application, the responder beside it, and an end in good order."""

import asyncio
import contextlib
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from collector import setup
from collector.api.app import make_app
from collector.api.context import Context
from collector.api.failures import Failures
from collector.errors import Busy
from collector.metrics.exposition import Metrics
from collector.process import journal, tls
from collector.process.config import Config
from collector.process.connections import Admission, BoundedProtocol, Listener
from collector.process.keys import SCRAPE_TOKEN_NAME, ensure_keys, read_secret
from collector.process.lock import DataLock
from collector.process.notify import notify, watchdog_seconds
from collector.process.sockets import bind, close_all
from collector.responder import process as responder_process
from collector.responder.process import ResponderProcess
from collector.running import open_core
from wire.endpoint import Endpoint
from wire.errors import EdusecError

ADDRESSES_NAME = "addresses"
"""File of the data folder that lists the URLs of a running collector, one a line; gone when it has ended."""
MAX_FILES = 65_536
DAY_SECONDS = 86_400.0


def run(config: Config) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; what was acknowledged is committed when this returns.

    Raises CannotListen, CertificateFault, DataFault, DataInUse, StoreError or a fault of the rule packs.
    """
    journal.set_up(config.log_level)
    _raise_file_limit()
    with DataLock(config.data), contextlib.ExitStack() as stack:
        for path in ensure_keys(config):
            journal.info("made", path=path)
        context = tls.server_context(config.certificate, config.key)
        sockets = bind(config.listen)
        stack.callback(close_all, sockets)
        port = sockets[0].getsockname()[1]
        responder = stack.enter_context(responder_process.running(config))
        offer = responder.offer if responder else lambda _: None
        core = open_core(config.store, config.settings, config.rule_packs, responder=offer, makers=config.makers)
        stack.callback(core.close)
        application = Context(
            core=core,
            limits=config.limits,
            ca_pem=config.ca.read_bytes(),
            ca_digest=tls.digest_of(config.ca),
            scrape_token=read_secret(config.data / SCRAPE_TOKEN_NAME),
            metrics=Metrics(core),
            clock=time.time,
            own_target=Endpoint(config.advertised, port),
            failures=Failures(config.limits.failures_per_minute),
        )
        stack.callback(application.close)
        server = Server(config, application, context, responder)
        stack.enter_context(_announced(config, port, sockets))
        server.run(sockets=sockets)


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
        next_word = 0.0
        next_renewal = time.monotonic() + DAY_SECONDS
        while True:
            now = time.monotonic()
            if watchdog is not None and now >= next_word:
                # Any answer will do: a full disk is no reason to be restarted, a store that is stuck is.
                with contextlib.suppress(Busy):  # so much to do is not stuck either, but says nothing of the store
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
            made = ensure_keys(self._settings)
            if made:
                # New handshakes take the new certificate; connections that stand keep theirs.
                self._context.load_cert_chain(self._settings.certificate, self._settings.key)
        except (EdusecError, OSError) as problem:
            journal.error("renewal_failed", problem=problem)
            return
        for path in made:
            journal.info("made", path=path)


@contextlib.contextmanager
def _announced(config: Config, port: int, sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Tell people and other programs where the collector is, for as long as it runs."""
    url = setup.base_url(config, port)
    heard = ", ".join(str(Endpoint(*door.getsockname()[:2])) for door in sockets)
    path = config.data / ADDRESSES_NAME
    tls.write_public(path, f"{url}\n".encode())
    if config.listen[0].port == 0:
        setup.point_operator(config, url)
    print(f"edusec collector: {url} ({heard})", flush=True)
    journal.info("listening", url=url, sockets=heard)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
