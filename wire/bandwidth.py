"""How bandwidth is measured between an agent and the responder of a collector: messages, framing and tickets.

One TCP connection is one test in one direction. A frame is two bytes of length (big-endian) and so many bytes of JSON.

1. The responder sends `Hello` with a fresh nonce.
2. The agent sends `Request`. Its proof shows that it holds the ticket, whose key never crosses the line.
3. The responder sends `Reply`, and closes when it refused.
4. Download: the responder sends at most `Reply.bytes` raw bytes for at most `Reply.seconds`, then ends its direction.
   The agent counts. Upload: the agent sends raw bytes within the same limits and ends its direction; the responder
   counts and sends `Result` at the end or at a limit, then discards what still comes (at most a few seconds), because
   closing with unread bytes would reset the connection and lose the `Result`.
5. Both close. Raw bytes should be random, so that nothing on the way can compress them.

The rate is that of the receiver, over what came after the first `Request.skip` seconds (the start-up of TCP).

Tickets are made by the collector and handed down in `Policy.responder`: `edb1.<claims>.<key>`, where claims is
base64url of JSON and key is HMAC-SHA256 (RFC 2104) over the claims with a secret that only the collector holds.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeVar

from wire.codec import decode, encode
from wire.errors import DecodeError, TooLarge, WireError
from wire.types import Code, Line, Range, Time

T = TypeVar("T")

BANDWIDTH_SCHEMA = "edusec.bandwidth/1"
MAX_FRAME = 4096
"""Longest frame in bytes, without its header."""
HEADER_BYTES = 2
MAX_TEST_SECONDS = 60.0
MAX_TEST_BYTES = 1 << 36

_TICKET = "edb1"
_TICKET_DOMAIN = b"edusec bandwidth ticket 1\n"
_PROOF_DOMAIN = b"edusec bandwidth proof 1\n"

SEND_BYTES = 512 << 10
"""What one call sends: small enough for the processor's cache, from which copying costs less than lending pages."""
RECEIVE_BYTES = 2 << 20
"""Most bytes that one call throws away."""
_WAKE_SECONDS = 0.002
_WAKE_BYTES = 1 << 20
_LOOK_SECONDS = 0.1

Bytes = Annotated[int, Range(0, MAX_TEST_BYTES)]
TestSeconds = Annotated[float, Range(0, MAX_TEST_SECONDS)]


class Direction(StrEnum):
    """As the agent sees it."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Hello:
    """What the responder says first. `nonce` is at least 16 random bytes in hexadecimal, new for each connection."""

    nonce: Code
    schema: Code = BANDWIDTH_SCHEMA


@dataclass(frozen=True, slots=True)
class Request:
    """What the agent asks for. `claims` is the middle part of its ticket, `proof` comes from `prove`."""

    claims: Line
    proof: Code
    direction: Direction
    bytes: Bytes
    seconds: TestSeconds
    skip: TestSeconds = 0.0
    schema: Code = BANDWIDTH_SCHEMA


@dataclass(frozen=True, slots=True)
class Reply:
    """Granted limits (never above those asked for), or a refusal with `code` ticket, expired, busy or quota."""

    accepted: bool
    bytes: Bytes = 0
    seconds: TestSeconds = 0.0
    code: Code = ""
    message: Line = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What the responder received in an upload.

    `seconds` is from the first byte to the last; the `steady_` figures leave out the first `Request.skip` seconds and
    are zero when the test ended before. `cpu_seconds` is the processor time that the responder spent on receiving.
    """

    bytes: Bytes
    seconds: TestSeconds
    steady_bytes: Bytes = 0
    steady_seconds: TestSeconds = 0.0
    cpu_seconds: TestSeconds = 0.0


@dataclass(frozen=True, slots=True)
class Claims:
    """What a ticket says: whose it is, until when it holds, and how many bytes one test may move."""

    agent: Code
    expires: Time
    max_bytes: Bytes


class TicketRefused(WireError):
    """A ticket or its proof does not hold; `code` is `ticket` or `expired`, as in Reply."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def pack(message: object) -> bytes:
    """Write a message as one frame."""
    body = encode(message)
    if len(body) > MAX_FRAME:
        raise TooLarge("bandwidth frame", MAX_FRAME)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def frame_length(header: bytes) -> int:
    """Give the length of the body that follows a header of HEADER_BYTES; raises TooLarge or DecodeError (empty)."""
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME:
        raise TooLarge("bandwidth frame", MAX_FRAME)
    if length == 0:
        raise DecodeError("", "the bandwidth frame is empty")
    return length


def unpack(kind: type[T], body: bytes) -> T:
    """Read the body of one frame; raises DecodeError, TooLarge or UnsupportedSchema."""
    return decode(kind, body, MAX_FRAME)


class Wakes:
    """Says how many bytes should gather before a receiver is woken (SO_RCVLOWAT): two milliseconds' worth.

    On a fast link most of the cost is waking up for each packet; on a slow one every byte is seen as it comes.
    """

    __slots__ = ("_bytes", "_since", "low")

    def __init__(self) -> None:
        """Start with a wake-up for each byte."""
        self.low, self._bytes, self._since = 1, 0, 0.0

    def count(self, moved: int, now: float) -> bool:
        """Take in what arrived by `now` (monotonic seconds); True when `low` has changed. Looks ten times a second."""
        self._bytes += moved
        if now - self._since < _LOOK_SECONDS:
            return False
        wanted = min(int(self._bytes / (now - self._since) * _WAKE_SECONDS), _WAKE_BYTES)
        before, self.low = self.low, 1 << max(wanted.bit_length() - 1, 0)
        self._bytes, self._since = 0, now
        return self.low != before

    def stalled(self) -> bool:
        """Nothing more came for a while: wake up for each byte again; True when that is a change."""
        before, self.low = self.low, 1
        return before != 1


def make_ticket(secret: bytes, agent: str, expires: float, max_bytes: int) -> str:
    """Make the ticket of an agent, at most 1,024 characters, valid until `expires` (seconds since 1970 UTC)."""
    claims = urlsafe_b64encode(encode(Claims(agent, expires, max_bytes))).decode().rstrip("=")
    return f"{_TICKET}.{claims}.{ticket_key(secret, claims)}"


def prove(ticket: str, nonce: str, direction: Direction, wanted: int, seconds: float, skip: float = 0.0) -> Request:
    """Make the request that answers a Hello; raises TicketRefused when the text is no ticket."""
    mark, _, rest = ticket.partition(".")
    claims, _, key = rest.partition(".")
    if mark != _TICKET or not claims or not key:
        raise TicketRefused("ticket", f"this is no bandwidth ticket; one looks like {_TICKET}.<claims>.<key>")
    proof = _proof(key, nonce, direction, wanted, seconds, skip)
    return Request(claims, proof, direction, wanted, float(seconds), float(skip))


def check_ticket(secret: bytes, nonce: str, request: Request, now: float) -> Claims:
    """Check a request against the nonce of its connection and give the claims; raises TicketRefused.

    The caller grants at most `Claims.max_bytes`, and keeps its own count of tests at once and of bytes per day.
    """
    key = ticket_key(secret, request.claims)
    proof = _proof(key, nonce, request.direction, request.bytes, request.seconds, request.skip)
    # Bytes, because compare_digest refuses text that is not ASCII, which a stranger may send.
    if not hmac.compare_digest(proof.encode(), request.proof.encode()):
        raise TicketRefused("ticket", "the ticket is not one of this collector, or its proof is wrong")
    try:
        raw = urlsafe_b64decode(request.claims + "=" * (-len(request.claims) % 4))
        claims = decode(Claims, raw, MAX_FRAME)
    except (binascii.Error, ValueError, WireError):
        raise TicketRefused("ticket", "the ticket's claims cannot be read") from None
    if claims.expires <= now:
        raise TicketRefused("expired", "the ticket has expired; the next report's answer brings a new one")
    return claims


def ticket_key(secret: bytes, claims: str) -> str:
    """Give what makes claims a ticket: HMAC-SHA-256 (RFC 2104) under the collector's secret, in hex."""
    return hmac.digest(secret, _TICKET_DOMAIN + claims.encode(), "sha256").hex()


def _proof(key: str, nonce: str, direction: Direction, wanted: int, seconds: float, skip: float) -> str:
    told = f"{nonce}\n{direction.value}\n{wanted}\n{float(seconds)!r}\n{float(skip)!r}"
    return hmac.digest(key.encode(), _PROOF_DOMAIN + told.encode(), "sha256").hex()
