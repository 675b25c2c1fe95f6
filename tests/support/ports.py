"""Ports for servers that tests start, and a look at who listens, without sending a packet."""

import itertools
import random
import socket
from pathlib import Path
from typing import Literal

from tests.support.addresses import needs_address

_LISTEN = "0A"  # TCP_LISTEN in the kernel's state column; an unconnected UDP socket shows 07 (TCP_CLOSE)
_UNCONNECTED = "07"


_PORTS = range(20_000, 25_000, 2)
"""Below what the kernel gives to connections that leave, and no well-known service's; even ones, as some servers take
the port above theirs too.
"""
_order = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free for TCP and UDP on a local address a moment ago, as the one above it; each time another."""
    family = socket.AF_INET6 if ":" in needs_address(host) else socket.AF_INET
    for port in itertools.islice(_order, 100):
        if _is_free(family, host, port) and _is_free(family, host, port + 1):
            return port
    raise RuntimeError(f"no port is free for both TCP and UDP on {host}")


def _is_free(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind((host, port))
            udp.bind((host, port))
        except OSError:
            return False
    return True


def listens(pid: int, port: int, transport: Literal["tcp", "udp"] = "tcp") -> bool:
    """Whether something in the network namespace of a process holds a listening (or unconnected UDP) port."""
    state = _LISTEN if transport == "tcp" else _UNCONNECTED
    for table in (transport, f"{transport}6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:  # the process ended, or the kernel has no IPv6
            continue
        for line in lines:
            _, local, _, shown, *_ = line.split()
            if shown == state and int(local.rpartition(":")[2], 16) == port:
                return True
    return False
