"""Sections as the spool and the pipes carry them: the head as a Section without body, the body compressed."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wire.codec import encode, from_plain, parse_json
from wire.errors import DecodeError
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Body, Observation, RunStatus, Section, Skipped, TargetKind

ENVELOPE = 512 << 10
"""Plain bytes of a report kept free for what is not a body (heads, and the scope with at most 1,000 entries)."""
MAX_BODY = MAX_PLAIN_BYTES - 2 * ENVELOPE
MAX_PACKED = MAX_REPORT_BYTES * 7 // 8
_MOST_SKIPPED = 900
_TOO_LARGE = "too_large: more than one report carries"


@dataclass(frozen=True, slots=True)
class Packed:
    """One section: its head, its body as zlib of JSON, the size of that JSON, and how many observations it has."""

    section: Section
    body: bytes
    plain: int
    observations: int


def pack(section: Section) -> Packed:
    """Pack a section; what no report could carry is cut to what fits, becomes PARTIAL and says what is missing.

    What services say of themselves goes first, beginning with the most talkative host: a stranger decides how much that
    is, and must not crowd out what was found of others.
    """
    body = section.body or Body()
    packed = _fitting(body)
    if packed is None:
        body, packed = next((shorter, found) for shorter in _shorter(body) if (found := _fitting(shorter)) is not None)
        section = _as_partial(section, body)
    text, plain = packed
    return Packed(replace(section, body=None), text, plain, len(body.observations))


def _fitting(body: Body) -> tuple[bytes, int] | None:
    text = encode(body)
    packed = zlib.compress(text) if len(text) <= MAX_BODY else None
    return None if packed is None or len(packed) > MAX_PACKED else (packed, len(text))


def _shorter(body: Body) -> Iterator[Body]:
    """Give ever shorter bodies: services of more and more hosts without details, then fewer observations."""
    said: Counter[str] = Counter()
    for item in body.observations:
        if item.target.kind is TargetKind.SERVICE:
            said[item.target.name] += len(str(item.values))
    loudest = [name for name, _ in said.most_common()]
    bare, count = body.observations, 1
    while count < 4 * len(loudest):
        muted = frozenset(loudest[:count])
        bare = tuple(
            replace(item, values={}) if item.target.kind is TargetKind.SERVICE and item.target.name in muted else item
            for item in bare
        )
        named = [*loudest[:count][:8], *["..."] * (len(muted) > 8)]
        missing = Skipped(f"service details of {', '.join(named)}"[:1024], _TOO_LARGE)
        yield Body(bare, body.coverage, (*body.skipped[:_MOST_SKIPPED], missing), body.silent)
        count *= 4
    # Each host's first before any host's second. Without coverage: a cut list must not make anything absent.
    turn: Counter[str] = Counter()
    ranked: list[tuple[int, Observation]] = []
    for item in bare:
        turn[item.target.name] += 1
        ranked.append((turn[item.target.name], item))
    ranked.sort(key=lambda pair: pair[0])
    total = keep = len(ranked)
    while True:
        keep //= 2
        missing = Skipped(f"{total - keep} of {total} observations", _TOO_LARGE)
        kept = tuple(item for _, item in ranked[:keep])
        yield Body(kept, (), (*body.skipped[:100], missing))


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
