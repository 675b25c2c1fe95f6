"""Ports for servers that tests start, and a look at who listens, without sending a packet."""

import socket
from pathlib import Path
from typing import Literal

_LISTEN = "0A"  # TCP_LISTEN in the kernel's state column; an unconnected UDP socket shows 07 (TCP_CLOSE)
_UNCONNECTED = "07"


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free for both TCP and UDP on a local address a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(50):
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port is free for both TCP and UDP on {host}")


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
