"""The hash by which search engines of devices know a site's icon: MurmurHash3 (32 bits) of its Base64 text."""

import base64

_C1, _C2 = 0xCC9E2D51, 0x1B873593
_BITS = 0xFFFFFFFF


def icon_hash(icon: bytes) -> int:
    """Give the signed number that Shodan and FOFA call the hash of an icon: Base64 in lines of 76, then MurmurHash3."""
    number = murmur3(base64.encodebytes(icon))
    return number - (1 << 32) if number & 0x80000000 else number


def murmur3(data: bytes, seed: int = 0) -> int:
    """Hash bytes with MurmurHash3_x86_32 (Austin Appleby, public domain)."""
    value = seed
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        block = int.from_bytes(data[at : at + 4], "little") * _C1 & _BITS
        value ^= _turn(block, 15) * _C2 & _BITS
        value = (_turn(value, 13) * 5 + 0xE6546B64) & _BITS
    if tail := data[whole:]:
        value ^= _turn(int.from_bytes(tail, "little") * _C1 & _BITS, 15) * _C2 & _BITS
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _BITS
    value = (value ^ value >> 13) * 0xC2B2AE35 & _BITS
    return value ^ value >> 16


def _turn(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _BITS
