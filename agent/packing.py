"""Sections as the spool and the pipes carry them: the head as a Section without body, the body compressed."""

import zlib
from dataclasses import dataclass, replace

from wire.codec import encode, from_plain, parse_json
from wire.errors import DecodeError
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Body, RunStatus, Section, Skipped

ENVELOPE = 512 << 10
"""Plain bytes of a report kept free for what is not a body (heads, and the scope with at most 1,000 entries)."""
MAX_BODY = MAX_PLAIN_BYTES - 2 * ENVELOPE
MAX_PACKED = MAX_REPORT_BYTES * 7 // 8


@dataclass(frozen=True, slots=True)
class Packed:
    """One section: its head, its body as zlib of JSON, the size of that JSON, and how many observations it has."""

    section: Section
    body: bytes
    plain: int
    observations: int


def pack(section: Section) -> Packed:
    """Pack a section; one that no report could carry is cut to what fits, becomes PARTIAL and says what is missing."""
    body = section.body or Body()
    total = keep = len(body.observations)
    while True:
        text = encode(body)
        packed = zlib.compress(text)
        if len(text) <= MAX_BODY and len(packed) <= MAX_PACKED:
            return Packed(replace(section, body=None), packed, len(text), len(body.observations))
        keep //= 2
        # Without coverage: a cut list must not make anything absent.
        missing = Skipped(f"{total - keep} of {total} observations", "too_large: more than one report carries")
        body = Body(body.observations[:keep], (), (*body.skipped[:100], missing))
        section = _as_partial(section, body)


def _as_partial(section: Section, body: Body) -> Section:
    from wire.digest import section_digest  # loads OpenSSL, which the daemon does without

    status = RunStatus.PARTIAL if section.status is RunStatus.DONE else section.status
    return replace(
        section, status=status, digest=section_digest(section.probe, status, section.reason, body), body=body
    )


def unpack(packed: Packed) -> Section:
    """Give the whole section back; raises DecodeError."""
    try:
        text = zlib.decompress(packed.body)
    except zlib.error as error:
        raise DecodeError("body", f"not compressed: {error}") from None
    return replace(packed.section, body=from_plain(Body, parse_json(text)))
