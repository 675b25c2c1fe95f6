"""A QUIC handshake for HTTP/3 (RFC 9000, RFC 9114) with one address: aioquic speaks it, the sending layer carries it.

aioquic never opens a socket here. It is an optional part (`pip install 'edusec[http3]'`), imported at first use.
"""

import re
import ssl
import time
from dataclasses import dataclass
from typing import Any

from probes.kit.exchange.web import Url
from probes.kit.scope.addresses import Address
from probes.kit.sending.net import Net

MAX_DATAGRAMS = 200
_DATAGRAM = 65_536
_OFFER = re.compile(r'(?:^|,)\s*h3="(?P<host>[^":,;]{0,253}):(?P<port>[0-9]{1,5})"')


@dataclass(frozen=True, slots=True)
class Handshake:
    """How it ended: `done` with HTTP/3 agreed on; else `problem` says why not. None of both: it could not be tried."""

    address: Address
    done: bool
    problem: str = ""
    tried: bool = True

    @property
    def told(self) -> str:
        """One line of evidence."""
        return f"QUIC {self.address}: {'HTTP/3' if self.done else self.problem}"


def offered_port(alt_svc: str) -> int | None:
    """Give the UDP port at which the same host offers HTTP/3 (RFC 7838 section 3); None where it offers none.

    An offer of another host says nothing about this one's addresses.
    """
    for found in _OFFER.finditer(alt_svc[:2048]):
        if not found["host"] and 0 < int(found["port"]) < 65_536:
            return int(found["port"])
    return None


def shake_hands(net: Net, url: Url, address: Address, port: int, *, timeout: float, ca: str = "") -> Handshake:
    """Shake hands as a browser does, with the site's name in TLS and its certificate checked; ends within `timeout`.

    Raises Refused.
    """
    try:
        from aioquic.quic.configuration import QuicConfiguration
        from aioquic.quic.connection import QuicConnection
    except ImportError:
        return Handshake(address, done=False, problem="not installed: edusec[http3]", tried=False)
    config = QuicConfiguration(
        alpn_protocols=["h3"],
        is_client=True,
        server_name=url.host,
        idle_timeout=timeout,
        verify_mode=ssl.CERT_REQUIRED,
        cafile=ssl.get_default_verify_paths().cafile,
        cadata=ca.encode("ascii", "ignore") or None,
    )
    try:
        with net.datagrams(address, port) as line:
            quic = QuicConnection(configuration=config)
            quic.connect((str(address), port), now=time.monotonic())
            return _converse(quic, line, address, time.monotonic() + timeout)
    except ConnectionRefusedError:
        return Handshake(address, done=False, problem="port unreachable")
    except OSError as error:
        return Handshake(address, done=False, problem=(error.strerror or str(error)).lower(), tried=False)


def _converse(quic: Any, line: Any, address: Address, end: float) -> Handshake:
    """Carry datagrams to and fro until the handshake is complete, refused, or out of time."""
    from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted

    sent = 0
    while sent < MAX_DATAGRAMS:
        for data, _ in quic.datagrams_to_send(now=time.monotonic()):
            line.send(data)
            sent += 1
        while (event := quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                agreed = event.alpn_protocol == "h3"
                quic.close()
                for data, _ in quic.datagrams_to_send(now=time.monotonic()):
                    line.send(data)
                return Handshake(address, done=agreed, problem="" if agreed else "no HTTP/3 agreed on")
            if isinstance(event, ConnectionTerminated):
                return Handshake(address, done=False, problem=(event.reason_phrase or "refused")[:200].lower())
        now = time.monotonic()
        if now >= end:
            break
        timer = quic.get_timer()
        try:
            data = line.receive(_DATAGRAM, end if timer is None else max(now + 0.001, min(end, timer)))
        except TimeoutError:
            quic.handle_timer(now=time.monotonic())
            continue
        try:
            quic.receive_datagram(data, (str(address), line.port), now=time.monotonic())
        except Exception as error:  # noqa: BLE001 (three libraries decode a stranger's bytes and certificates in there)
            return Handshake(address, done=False, problem=f"no QUIC ({type(error).__name__})")
    return Handshake(address, done=False, problem="timeout")
