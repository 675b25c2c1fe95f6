"""Listening sockets: bound before anything else starts, so that a taken port stops nothing half-way."""

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from collector.process import journal
from wire.endpoint import Endpoint
from wire.errors import EdusecError
from wire.faults import reason
from wire.text import Text, within

BACKLOG = 1024


class CannotListen(EdusecError):
    """An address cannot be listened on; the text names it and says why."""


def bind(endpoints: Sequence[Endpoint], key: str = "listen") -> list[socket.socket]:
    """Bind all endpoints of a key of the configuration; those with port 0 share one that the system chose.

    Raises CannotListen, which names the key.
    """
    for attempt in range(20):
        try:
            return _bind_once(endpoints, key)
        except CannotListen:
            # The port that was free on the first address may be taken on the second.
            if attempt == 19 or all(endpoint.port for endpoint in endpoints):
                raise
    raise AssertionError("unreachable")


def _bind_once(endpoints: Sequence[Endpoint], key: str) -> list[socket.socket]:
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
                raise CannotListen(within(f"{key}: {endpoint}", _why(error))) from None
            door.setblocking(False)
            chosen = chosen or door.getsockname()[1]
        if not bound:
            raise CannotListen(
                Text(f"{key}：这些地址本机都没有", f"{key}: none of the addresses exists on this machine")
            )
    except CannotListen:
        close_all(bound)
        raise
    return bound


def _why(error: OSError) -> Text:
    said = reason(error)
    if error.errno == errno.EADDRINUSE:
        return Text(
            f"{said.zh}；另一个程序（也许是另一个采集中心）正在监听",
            f"{said.en}; another program (perhaps another collector) listens there",
        )
    if error.errno == errno.EACCES:
        return Text(
            f"{said.zh}；监听 1024 以下的端口需要授权", f"{said.en}; ports below 1024 need the right to bind them"
        )
    return said


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Let go of sockets."""
    for door in sockets:
        door.close()
