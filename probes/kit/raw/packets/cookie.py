"""The keyed cookie in the sequence number: a host that never got our SYN cannot answer it.

The sequence number is two 16-bit halves, both secret per host. The lower half is `secret - port` modulo 65535, written
as 1 to 65535, so that port and sequence number together add the same to the Internet checksum (RFC 1071) for every
port: the checksum of a host's frames never changes, and 32 unknown bits remain to whoever does not see the probe.
"""

from hashlib import blake2s
from typing import NamedTuple

KEY_BYTES = 32


class Secret(NamedTuple):
    """The two halves for one host: `high` is 0-65535, `low` is 1-65535."""

    high: int
    low: int


def secret(key: bytes, address: bytes) -> Secret:
    """Derive a host's secret from the run's key and the packed address."""
    digest = blake2s(address, key=key, digest_size=8).digest()
    return Secret(int.from_bytes(digest[:2], "big"), int.from_bytes(digest[2:], "big") % 0xFFFF + 1)


def sequence(of: Secret, port: int) -> int:
    """Give the sequence number of the SYN to a port of the host."""
    return of.high << 16 | (of.low - port - 1) % 0xFFFF + 1
