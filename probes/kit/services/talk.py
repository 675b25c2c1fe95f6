"""The words of a conversation with a service, apart from any socket.

A conversation is a generator: it yields Send, Receive or Secure and is sent back the bytes that arrived (fewer than it
waited for when the other side closed, fell silent or talked past the bound). It ends by returning what it Heard, or
None when the other side does not speak that protocol. The driver owns time, size, encryption and scope; so a
conversation can be tried with any bytes a hostile server may think of.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace

AGENT = "Mozilla/5.0 (compatible; edusec)"
"""How we name ourselves where a protocol has a field for it."""
MAX_ANSWER = 64 << 10
"""Most bytes that one Receive waits for, whatever the other side announces."""
MAX_FACT = 256
MAX_RAW = 4096


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes; the conversation goes on with an empty answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Receive:
    """Receive until `enough` of the bytes so far is true, `limit` bytes are there, or `seconds` are over."""

    enough: Callable[[bytes], bool]
    limit: int = MAX_ANSWER
    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Secure:
    """Go on in TLS; the answer is empty when the handshake failed, else the peer's certificate in DER."""

    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Ciphered:
    """Ask what the encryption is; the answer is `TLSv1.3 TLS_AES_256_GCM_SHA384`, empty when there is none."""


Step = Send | Receive | Secure | Ciphered


@dataclass(frozen=True, slots=True)
class Heard:
    """What a conversation made out.

    `service` is the protocol's name as in IANA's registry where it has one; `facts` are things the protocol itself says
    (`service.version`, `tls.subject`, ...); `answers` are the texts to match against fingerprints, by fingerprint key.
    `then` are further conversations worth having, on connections of their own: what they hear is added.
    """

    service: str
    facts: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[tuple[str, str], ...] = ()
    then: tuple["Start", ...] = ()


Talk = Generator[Step, bytes, Heard | None]
Start = Callable[[str, int], Talk]
"""Begins a conversation with a host (name or address, for headers) and port."""


def text(raw: bytes, limit: int = MAX_FACT) -> str:
    """Read bytes of a stranger as text: UTF-8 if they are, else GB 18030, else Latin-1; control characters removed."""
    clipped = raw[: limit * 4]
    for encoding in ("utf-8", "gb18030"):
        try:
            decoded = clipped.decode(encoding)
            break
        except UnicodeDecodeError as error:
            # A bound that falls inside a character is not a reason to doubt the encoding.
            if len(clipped) < len(raw) and error.start >= len(clipped) - 4:
                decoded = clipped[: error.start].decode(encoding)
                break
    else:
        decoded = clipped.decode("latin-1")
    return "".join(char for char in decoded if char.isprintable())[:limit].strip()


def with_raw(heard: Heard, probe: str, raw: bytes) -> Heard:
    """Add the raw answer for the fingerprints of an imported nmap file, as Latin-1; it is matched and never shown."""
    return replace(heard, answers=(*heard.answers, (f"nmap.{probe}", raw[:MAX_RAW].decode("latin-1"))))


def line_end(raw: bytes) -> bool:
    """Tell whether a whole line is there."""
    return b"\n" in raw


def at_least(size: int) -> Callable[[bytes], bool]:
    """Give a test for so many bytes."""
    return lambda raw: len(raw) >= size
