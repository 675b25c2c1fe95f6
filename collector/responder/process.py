"""The bandwidth responder as the collector's child: started, looked after, ended."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from collector.process import journal
from collector.process.config import Config
from collector.process.keys import TICKET_SECRET_NAME, read_secret
from collector.process.sockets import bind, close_all
from collector.responder.serve import Orders
from wire.bandwidth import make_ticket
from wire.codec import encode
from wire.types import Responder

TICKET_SECONDS = 43_200.0
RESTART_SECONDS = 5.0


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
            try:
                self._child = self._start()
            except OSError as error:
                journal.error("responder_not_started", problem=error.strerror)

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
def running(config: Config) -> Iterator[ResponderProcess | None]:
    """Run the responder that the configuration wants, None if it wants none."""
    if not config.responder.enabled:
        yield None
        return
    sockets = bind(config.responder.listen, "responder.listen")
    try:
        process = ResponderProcess(config, sockets, read_secret(config.data / TICKET_SECRET_NAME))
        try:
            yield process
        finally:
            process.close()
    finally:
        close_all(sockets)
