"""Waiting in the helper: for packets, as long as it is worth while, taking in whatever arrives meanwhile."""

import select
import time
from collections.abc import Callable, Iterable
from socket import socket

_LOOK_SECONDS = 0.05


class OutOfTime(Exception):
    """The job's deadline came before everything was asked and waited for."""


class Waiting:
    """The one place where a run sleeps."""

    def __init__(self, sockets: Iterable[socket], receive: Callable[[], None]) -> None:
        """`receive` takes in what has arrived on the sockets; what it raises (OutOfTime) ends the wait."""
        self._receive = receive
        self._poll = select.poll()
        for sock in sockets:
            self._poll.register(sock, select.POLLIN)

    def pause(self, seconds: float) -> None:
        """Take in what arrives for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            self._receive()

    def wait(self, seconds: float, going: Callable[[], bool]) -> None:
        """Take in what arrives for so long at most, while more is to be expected."""
        end = time.monotonic() + seconds
        while going() and (left := end - time.monotonic()) > 0:
            self._poll.poll(min(left, _LOOK_SECONDS) * 1000)
            self._receive()
        self._receive()  # what came while this process did not run was in time

    def sleep(self, seconds: float) -> None:
        """Wait for the next packet, so long at most, and leave it where it is."""
        self._poll.poll(seconds * 1000)
