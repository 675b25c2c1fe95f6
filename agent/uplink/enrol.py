"""Enrolment: a one-time token becomes this agent's identity. Runs in the command line's process, never in the daemon.

The token says which CA certificate to believe (its SHA-256), so that nothing has to be copied to the gateway by hand:
the certificate is read without trust and compared, and only what that certificate vouches for gets the secret.
"""

import binascii
import hashlib
import hmac
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from agent import state
from agent.errors import EnrolmentError
from agent.uplink import identity
from agent.uplink.https import Reply, Request, Server, exchange, trusting, trusting_anyone
from agent.uplink.identity import MAX_CA_BYTES, Identity
from wire.codec import decode, encode
from wire.errors import WireError
from wire.faults import reason
from wire.types import Enrolment, EnrolmentRequest, Refusal
from wire.version import VERSION

PREFIX = "edt1"
SECONDS = 30.0
_MAX_ANSWER = 65_536


@dataclass(frozen=True, slots=True)
class Token:
    """The parts of `edt1.<secret>.<SHA-256 of the CA certificate, DER, hexadecimal>`."""

    secret: str
    ca_digest: str


def parse_token(text: str) -> Token:
    """Take a token apart; raises EnrolmentError. The text of the error never holds the secret."""
    parts = text.strip().split(".")
    if len(parts) != 3 or parts[0] != PREFIX or not 16 <= len(parts[1]) <= 256 or not parts[1].isascii():
        raise EnrolmentError(
            f"这不是注册令牌；令牌形如 {PREFIX}.<密文>.<64 位十六进制数>",
            f"this is not an enrolment token; one looks like {PREFIX}.<secret>.<64 hexadecimal digits>",
        )
    digest = parts[2].lower()
    try:
        if len(digest) != 64:
            raise ValueError
        binascii.unhexlify(digest)
    except ValueError:
        raise EnrolmentError(
            "令牌不完整：最后一段须为 64 位十六进制数",
            "the token is cut short: its last part must be 64 hexadecimal digits",
        ) from None
    return Token(parts[1], digest)


def enrol(folder: Path, url: str, token_text: str, *, name: str = "", force: bool = False) -> Identity:
    """Spend a token and keep what it gave, durably. Raises EnrolmentError, StateError or Unreachable.

    Nothing is sent before the state folder is known to take the answer: a token works once.
    """
    token = parse_token(token_text)
    host, port = identity.parse_url(url)
    state.prepare(folder)
    with state.held(folder):
        if (folder / state.IDENTITY).exists() and not force:
            known = identity.load(folder)
            raise EnrolmentError(
                f"{folder}：已注册为单位 {known.unit} 的代理 {known.agent}；如要替换请加 --force",
                f"{folder}: enrolled already, as {known.agent} of unit {known.unit}; add --force to replace that",
            )
        _require_room(folder)
        ca = _read_ca(host, port, token.ca_digest)
        wanted = EnrolmentRequest(token.secret, name or socket.gethostname(), f"edusec/{VERSION}")
        given = _spend(Server(host, port, trusting(ca)), wanted)
        made = Identity(host, port, ca, given.agent, given.unit, given.unit_name, given.credential, time.time())
        identity.save(folder, made)
        # It was handed to whoever this agent was before.
        (folder / state.POLICY).unlink(missing_ok=True)
    return made


def _require_room(folder: Path) -> None:
    trial = folder / ".trial"
    try:
        state.replace_file(trial, bytes(MAX_CA_BYTES))
        trial.unlink()
    except OSError as error:
        raise EnrolmentError(
            f"{folder}：无法写入（{reason(error).zh}）；令牌未使用",
            f"{folder}: nothing can be written there ({error.strerror}); the token is not spent",
        ) from None


def _read_ca(host: str, port: int, digest: str) -> str:
    server = Server(host, port, trusting_anyone())
    reply = exchange(server, Request("GET", "/api/v1/ca"), limit=MAX_CA_BYTES, seconds=SECONDS)
    if reply.status != 200:
        raise EnrolmentError(
            f"{host} 端口 {port} 没有给出 CA 证书（HTTP {reply.status}）",
            f"what answers at {host} port {port} gives no CA certificate (HTTP {reply.status})",
        )
    try:
        pem = reply.body.decode("ascii").strip() + "\n"
        der = ssl.PEM_cert_to_DER_cert(pem)
    except ValueError:
        raise EnrolmentError(
            f"{host} 端口 {port} 不是采集中心：它给出的不是证书",
            f"what answers at {host} port {port} is no collector: its CA certificate is none",
        ) from None
    if not hmac.compare_digest(hashlib.sha256(der).hexdigest(), digest):
        raise EnrolmentError(
            f"{host} 端口 {port} 的 CA 证书与令牌不符：令牌属于另一个采集中心，或有人在中间。令牌未发送",
            f"the CA certificate of {host} port {port} is not the one that the token names: the token is another"
            " collector's, or someone stands in between. The token was not sent",
        )
    return ssl.DER_cert_to_PEM_cert(der)  # exactly the certificate that was compared, and nothing beside it


def _spend(server: Server, wanted: EnrolmentRequest) -> Enrolment:
    request = Request("POST", "/api/v1/enrol", {"Content-Type": "application/json"}, encode(wanted))
    reply = exchange(server, request, limit=_MAX_ANSWER, seconds=SECONDS)
    if reply.status != 200:
        raise _refused(reply)
    try:
        given = decode(Enrolment, reply.body)
    except WireError as error:
        raise EnrolmentError(
            f"采集中心的应答无法使用：{error.text.zh}", f"the collector's answer cannot be used: {error}"
        ) from None
    if given.kind != "bearer" or not given.credential or not given.agent or not given.unit:
        raise EnrolmentError(
            f"采集中心给出的凭据类型是 {given.kind!r}；本版本只支持 'bearer'",
            f"the collector gave a credential of kind {given.kind!r}; this release knows 'bearer' only",
        )
    return given


def _refused(reply: Reply) -> EnrolmentError:
    try:
        refusal = decode(Refusal, reply.body)
    except WireError:
        return EnrolmentError(f"采集中心应答 HTTP {reply.status}", f"the collector answers HTTP {reply.status}")
    if reply.status in (401, 403):
        return EnrolmentError(
            f"令牌未被接受：{refusal.message}。每个令牌只能用一次，且有期限；请重新取得",
            f"the token is not accepted: {refusal.message}."
            " Each token works once and for a limited time; get a new one",
        )
    return EnrolmentError(
        f"采集中心拒绝（{refusal.code}）：{refusal.message}",
        f"the collector refuses ({refusal.code}): {refusal.message}",
    )
