"""Fixtures of the tests of the command line."""

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.addresses import needs_address


@pytest.fixture
def listener() -> Iterator[Callable[..., int]]:
    """`listener()` or `listener("::1")`: a port of this machine that accepts connections."""
    doors: list[socket.socket] = []

    def listen(host: str = "127.0.0.1", port: int = 0) -> int:
        family = socket.AF_INET6 if ":" in needs_address(host) else socket.AF_INET
        door = socket.create_server((host, port), family=family)
        doors.append(door)
        number: int = door.getsockname()[1]
        return number

    yield listen
    for door in doors:
        door.close()
