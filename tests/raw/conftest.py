"""Targets for the SYN engine: namespaces with servers, filters and limits."""

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.support.netns import Namespace

_BACKLOG = 4096


@pytest.fixture
def listen() -> Iterator[Callable[[Namespace, Iterable[int]], None]]:
    """`listen(space, ports)`: servers on all addresses of both families, as long as the test runs."""
    with contextlib.ExitStack() as servers:

        def start(space: Namespace, ports: Iterable[int]) -> None:
            for port in ports:
                server = space.call(
                    socket.create_server,
                    ("::", port),
                    family=socket.AF_INET6,
                    backlog=_BACKLOG,
                    dualstack_ipv6=True,
                )
                servers.enter_context(server)

        yield start


@pytest.fixture
def rules(needs: Callable[..., str]) -> Callable[[Namespace, str], None]:
    """`rules(space, text)`: put statements into the chain that every incoming packet of a namespace passes first."""
    nft = needs("nft", package="nftables")

    def load(space: Namespace, text: str) -> None:
        space.run([nft, f"table inet lab {{ chain first {{ type filter hook prerouting priority -300; {text}; }}; }}"])

    return load
