"""From an IPv6 packet to what it carries, through any extension headers and fragments (RFC 8200 section 4). Pure.

Everything here was written by somebody on the link, who may lie: lengths are checked, chains and memory are bounded.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

UDP, ICMP6, NO_NEXT = 17, 58, 59
FRAGMENT, _AUTHENTICATION = 44, 51
EXTENSIONS: Mapping[int, str] = {
    0: "hop-by-hop", 43: "routing", FRAGMENT: "fragment", _AUTHENTICATION: "authentication", 60: "destination options",
    135: "mobility", 139: "HIP", 140: "shim6", 253: "experimental", 254: "experimental",
}  # fmt: skip
"""Headers that may stand before the upper layer (the registry of RFC 7045)."""

MAX_HEADERS = 64
"""Headers of one chain that are walked; a packet of 64 KiB could hold thousands."""
MAX_FRAGMENTS = 64
MAX_PARTS = 128
"""Fragmented packets that are waited for at a time; the oldest one goes first."""
MAX_BYTES = 65_535


class Fragment(NamedTuple):
    """Where a piece belongs: of which packet, at which byte, and whether more follow."""

    ident: int
    offset: int
    more: bool
    following: int


class Upper(NamedTuple):
    """What a packet carries: `protocol` with its bytes, and the names of the headers before it.

    `protocol` is -1 where the chain breaks off or is too long to be walked.
    """

    source: bytes
    target: bytes
    hops: int
    protocol: int
    payload: bytes
    through: tuple[str, ...]
    fragment: Fragment | None = None


def walk(packet: bytes) -> Upper | None:
    """Walk the headers of a packet; None for what is no IPv6 or is cut short in its first header.

    A piece of a larger packet comes back as its bytes behind the fragment header, with `fragment` set.
    """
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    length = int.from_bytes(packet[4:6], "big")
    payload = packet[40 : 40 + length] if length else packet[40:]
    protocol, rest, through, fragment = chain(packet[6], payload)
    return Upper(packet[8:24], packet[24:40], packet[7], protocol, rest, through, fragment)


def chain(protocol: int, payload: bytes) -> tuple[int, bytes, tuple[str, ...], Fragment | None]:
    """Walk from a header on: the upper protocol (-1 when it is not reached), its bytes, what was passed, the piece."""
    through: list[str] = []
    for _ in range(MAX_HEADERS):
        if protocol not in EXTENSIONS:
            return protocol, payload, tuple(through), None
        if len(payload) < 8:
            break
        through.append(EXTENSIONS[protocol])
        if protocol == FRAGMENT:
            place = int.from_bytes(payload[2:4], "big")
            piece = Fragment(int.from_bytes(payload[4:8], "big"), place & 0xFFF8, bool(place & 1), payload[0])
            if piece.offset or piece.more:
                return FRAGMENT, payload[8:], tuple(through), piece
            size = 8
        elif protocol == _AUTHENTICATION:
            size = (payload[1] + 2) * 4
        else:
            size = (payload[1] + 1) * 8
        if size > len(payload):
            break
        protocol, payload = payload[0], payload[size:]
    return -1, b"", tuple(through), None


class _Part:
    """The pieces of one packet so far."""

    def __init__(self, first: Upper) -> None:
        self.first = first
        self.pieces: list[tuple[Fragment, bytes]] = []
        self.end: int | None = None


class Reassembly:
    """Puts pieces together, in both ways where they overlap: which one counts differs between systems (RFC 5722)."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._parts: dict[tuple[bytes, bytes, int], _Part] = {}

    def add(self, piece: Upper) -> Iterator[Upper]:
        """Take a piece in; gives the whole packet once it is there, twice where overlapping pieces differ."""
        if piece.fragment is None:
            return
        key = piece.source, piece.target, piece.fragment.ident
        part = self._parts.get(key)
        if part is None:
            while len(self._parts) >= MAX_PARTS:
                del self._parts[next(iter(self._parts))]
            part = self._parts[key] = _Part(piece)
        end = piece.fragment.offset + len(piece.payload)
        if end > MAX_BYTES or len(part.pieces) >= MAX_FRAGMENTS:
            return
        part.pieces.append((piece.fragment, piece.payload))
        if not piece.fragment.more:
            part.end = end
        if part.end is None or not _covered(part.pieces, part.end):
            return
        del self._parts[key]
        following = next(found.following for found, _ in part.pieces if found.offset == 0)
        seen: list[bytes] = []
        for pieces in (part.pieces, part.pieces[::-1]):
            whole = bytearray(part.end)
            for found, data in pieces:  # what is laid later wins
                whole[found.offset : found.offset + len(data)] = data[: max(0, part.end - found.offset)]
            if bytes(whole) in seen:
                continue
            seen.append(bytes(whole))
            protocol, payload, through, inner = chain(following, bytes(whole))
            if inner is None:  # a fragment within a fragment is nothing that anyone accepts (RFC 8021)
                yield piece._replace(
                    protocol=protocol, payload=payload, through=(*part.first.through, *through), fragment=None
                )


def _covered(pieces: list[tuple[Fragment, bytes]], end: int) -> bool:
    reached = 0
    for start, stop in sorted((found.offset, found.offset + len(data)) for found, data in pieces):
        if start > reached:
            return False
        reached = max(reached, stop)
    return reached >= end
