"""Speaks TLS with the collector for the daemon: `python -P -m agent.uplink.caller`, started by a line.

The first line of standard input says with whom, each further line is a request, and each gets a line in reply. A
request that the collector holds is left: this process ends without a goodbye, the daemon keeps the connection, and
whatever arrives on it says that there is news.
"""

import http.client
import os
import signal
import socket
import ssl
import sys

from agent.errors import Unreachable
from agent.process import confine
from agent.uplink.courier import retry_after
from agent.uplink.delivery import MAX_TOLD_BYTES, Ask, Opening, Told
from agent.uplink.https import Reply, Request, Server, exchange, trusting
from wire.codec import decode, encode

SOON_SECONDS = 3.0
"""An answer that the collector has at hand comes this soon after its head, whatever the line."""
MAX_LINE = 1 << 18


def main() -> int:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.end_with_parent(os.getppid())
    with open(0, "rb", closefd=False) as stdin, open(1, "wb", closefd=False) as stdout:
        opening = decode(Opening, stdin.readline(MAX_LINE))
        context = trusting(opening.ca)
        while line := stdin.readline(MAX_LINE):
            ask = decode(Ask, line)
            told = _hold(opening, context, ask) if ask.hold else _exchange(opening, context, ask)
            stdout.write(encode(told) + b"\n")
            stdout.flush()
            if told.held:
                os._exit(0)  # no goodbye on the connection, which the daemon keeps
    return 0


def _headers(opening: Opening, ask: Ask) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {opening.credential}", "Accept": "application/json"}
    return {**headers, "Content-Type": "application/json"} if ask.body else headers


def _exchange(opening: Opening, context: ssl.SSLContext, ask: Ask) -> Told:
    try:
        server = Server(opening.host, opening.port, context)
        request = Request(ask.method, ask.path, _headers(opening, ask), ask.body.encode() or None)
        reply = exchange(server, request, limit=MAX_TOLD_BYTES, seconds=ask.seconds)
    except Unreachable as error:
        return Told(0, error=str(error)[:1024])
    return _told(reply)


def _hold(opening: Opening, context: ssl.SSLContext, ask: Ask) -> Told:
    """Ask over the connection that the daemon made."""
    connection = http.client.HTTPConnection(opening.host, opening.port)
    try:
        plain = socket.socket(fileno=opening.socket)
        plain.settimeout(ask.seconds)
        connection.sock = context.wrap_socket(plain, server_hostname=opening.host)
        connection.request(ask.method, ask.path, headers=_headers(opening, ask))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException) as error:
        return Told(0, error=(str(error) or type(error).__name__)[:1024])
    if connection.sock is not None:
        connection.sock.settimeout(SOON_SECONDS)
    try:
        body = response.read(MAX_TOLD_BYTES + 1)
    except TimeoutError:
        return Told(response.status, held=True) if response.status == 200 else Told(0, error="no answer in time")
    except (OSError, http.client.HTTPException) as error:
        return Told(0, error=(str(error) or type(error).__name__)[:1024])
    if len(body) > MAX_TOLD_BYTES:
        return Told(0, error=f"the answer is larger than {MAX_TOLD_BYTES} bytes")
    return _told(Reply(response.status, headers, body))


def _told(reply: Reply) -> Told:
    return Told(reply.status, reply.body.decode("utf-8", "replace"), retry_after=retry_after(reply))


if __name__ == "__main__":
    sys.exit(main())
