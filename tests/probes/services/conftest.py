"""A namespace for real servers and the way to begin one; and peers on loopback that say whatever a test wants."""

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.probes.services.server_lab import Begin, listens
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

Peer = Callable[[socket.socket], None]


@pytest.fixture
def lab(netns: Namespaces) -> Namespace:
    """A namespace of its own; its loopback belongs to the test."""
    return netns()


@pytest.fixture
def folder(process: Processes) -> Iterator[Path]:
    """A folder that servers under other users can reach; they end before it goes."""
    path = Path("/tmp") / f"edusec-lab-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir(mode=0o755)
    yield path
    process.close()
    shutil.rmtree(path)


@pytest.fixture
def begin(lab: Namespace, process: Processes) -> Begin:
    """`begin(argv, port)`: a server in the lab, ready when its port listens."""
    return lambda argv, port, **more: process(argv, netns=lab, ready=lambda: listens(lab, port), **more)


@pytest.fixture
def serve() -> Iterator[Callable[[Peer], int]]:
    """`serve(peer)`: a loopback port where each connection is handed to `peer` in a thread; all end with the test."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []
    held: list[socket.socket] = []

    def one(sock: socket.socket, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            peer(sock)
        sock.close()

    def accept(listener: socket.socket, peer: Peer) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            held.append(sock)
            thread = threading.Thread(target=one, args=(sock, peer))
            threads.append(thread)
            thread.start()

    def start(peer: Peer) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(listener, peer))
        threads.append(thread)
        thread.start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for sock in held:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for sock in held:
        sock.close()
