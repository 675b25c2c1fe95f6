"""A first look at a datagram's BER (X.690), so that what a library decodes afterwards is bounded in depth and count."""

MAX_DEPTH = 12
MAX_ELEMENTS = 4096
MAX_OID = 128
"""Sub-identifiers of an object identifier (RFC 3416 section 4.1)."""
MAX_INTEGER = 9
"""Bytes of a number: a Counter64 with its sign."""

_BOOLEAN, _INTEGER, _OID = 1, 2, 6
_CONSTRUCTED = 0x20
_NUMBERS = frozenset({_INTEGER, 0x41, 0x42, 0x43, 0x46, 0x47})
"""INTEGER, Counter32, Gauge32, TimeTicks, Counter64 and UInteger32 (RFC 2578 section 7.1)."""


def acceptable(datagram: bytes) -> bool:
    """Tell whether a datagram is one SEQUENCE of known length, its parts within each other and within the bounds.

    What an OCTET STRING holds is not looked at. Bytes behind the message are refused too: no agent sends any.
    """
    if datagram[:1] != b"\x30":
        return False
    ends: list[int] = []
    at = elements = 0
    while at < len(datagram):
        if ends and at == ends[-1]:
            ends.pop()
            continue
        if not ends and elements:
            return False
        elements += 1
        head = _head(datagram, at)
        if head is None or elements > MAX_ELEMENTS:
            return False
        tag, start, end = head
        if end > (ends[-1] if ends else len(datagram)):
            return False
        if tag & _CONSTRUCTED:
            if len(ends) >= MAX_DEPTH:
                return False
            ends.append(end)
            at = start
            continue
        if not _fits(tag, datagram, start, end):
            return False
        at = end
    return all(end == len(datagram) for end in ends)


def _head(datagram: bytes, at: int) -> tuple[int, int, int] | None:
    """Read tag and length; None for tags of several bytes, an indefinite length, or one that runs out."""
    tag = datagram[at]
    if tag & 0x1F == 0x1F or at + 2 > len(datagram):
        return None
    size, start = datagram[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or start + count > len(datagram):
            return None
        size, start = int.from_bytes(datagram[start : start + count], "big"), start + count
    return (tag, start, start + size) if start + size <= len(datagram) else None


def _fits(tag: int, datagram: bytes, start: int, end: int) -> bool:
    if tag in _NUMBERS:
        return 1 <= end - start <= MAX_INTEGER
    if tag == _BOOLEAN:
        return end - start == 1
    if tag != _OID:
        return True
    body = datagram[start:end]
    if not body or body[-1] & 0x80 or len(body) > 5 * MAX_OID:
        return False
    # A sub-identifier is a number of 32 bits: at most five bytes of seven.
    pieces = run = 0
    for octet in body:
        run += 1
        if run > 5:
            return False
        if not octet & 0x80:
            pieces += 1
            run = 0
    return pieces < MAX_OID
