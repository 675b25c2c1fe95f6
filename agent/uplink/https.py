"""HTTPS to the collector: one request a connection, bounded in time and size. Loads OpenSSL, so never in the daemon."""

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.errors import Unreachable
from wire.faults import reason

CONNECT_SECONDS = 15.0
_PIECE = 65_536
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask, and what vouches for it."""

    host: str
    port: int
    context: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask: method, path, and headers beside `Accept: application/json`."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def trusting(ca: str) -> ssl.SSLContext:
    """Make a context that trusts one CA certificate (PEM) and no other, and checks the host's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca)
    return context


def trusting_anyone() -> ssl.SSLContext:
    """Make a context for reading the CA certificate, whose digest the token vouches for; never for a secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def exchange(server: Server, request: Request, *, limit: int, seconds: float) -> Reply:
    """Send one request and read at most `limit` bytes of the answer within `seconds`; raises Unreachable."""
    deadline = time.monotonic() + seconds
    wait = min(CONNECT_SECONDS, seconds)
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=wait, context=server.context)
    headers = {"Accept": "application/json", **request.headers}
    try:
        connection.connect()
        connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
        # A server may refuse a body without reading it; its answer then waits behind the broken pipe.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            connection.request(request.method, request.path, body=request.body, headers=headers)
        response = connection.getresponse()
        received = bytearray()
        while piece := response.read1(_PIECE):
            received += piece
            if len(received) > limit:
                raise Unreachable(f"应答超过 {limit} 字节", f"the answer is larger than {limit} bytes")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if connection.sock is not None:  # http.client lets go of it once the last byte is there
                connection.sock.settimeout(left)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, bytes(received))
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(error, server.host) from None
    finally:
        connection.close()


def _unreachable(error: OSError | http.client.HTTPException, host: str) -> Unreachable:
    """Say in both languages why there was no answer; what is most particular about the error comes first."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error)
    if isinstance(error, ssl.SSLError):
        return Unreachable(f"TLS 失败：{error.reason or error}", f"TLS failed: {error.reason or error}")
    if isinstance(error, socket.gaierror):
        zh = f"无法解析域名 {host}：{reason(error).zh}"
        return Unreachable(zh, f"the name {host} cannot be resolved: {error.strerror}")
    if isinstance(error, TimeoutError):
        return Unreachable("没有按时应答", "no answer in time")
    if isinstance(error, OSError):
        why = reason(error)
        return Unreachable(f"无法连接：{why.zh}", f"no connection: {why.en}")
    kind = type(error).__name__
    return Unreachable(f"对端不是 HTTP 服务：{kind}", f"what answers does not speak HTTP: {kind}")


def _distrust(error: ssl.SSLCertVerificationError) -> Unreachable:
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        early = error.verify_code == _NOT_YET_VALID
        today = time.strftime("%Y-%m-%d", time.gmtime())
        return Unreachable(
            f"采集中心的证书{'尚未生效' if early else '已过期'}；本机时钟是否正确（现为 {today}）？",
            f"the collector's certificate {'is not valid yet' if early else 'has expired'};"
            f" is the clock of this machine right (it says {today})?",
        )
    why = error.verify_message
    return Unreachable(
        f"对端不是本代理注册的采集中心：{why}", f"what answers is not the collector this agent enrolled with: {why}"
    )
