"""NRPE, the agent of Nagios (its protocol 2): the check that every agent knows, which tells its version."""

import re
import zlib

from probes.kit.services.talk import Ciphered, Heard, Receive, Secure, Send, Talk, at_least, text

PORTS = (5666,)
SIZE = 1036
CHECK = b"_NRPE_CHECK"


def _packet() -> bytes:
    """Write a query: version, kind, CRC-32 over all with itself as zero, result, 1024 bytes of command, 2 more."""
    head, rest = b"\0\2\0\1", b"\0\0" + CHECK.ljust(1026, b"\0")
    return head + zlib.crc32(head + bytes(4) + rest).to_bytes(4, "big") + rest


def talk(_host: str, _port: int) -> Talk:
    """Ask in TLS, where most have no certificate; an agent that wants none hangs up, and is asked no more."""
    yield Secure()
    if not (yield Ciphered()):
        return None
    yield Send(_packet())
    return read((yield Receive(at_least(SIZE), 4096)))


def read(raw: bytes) -> Heard | None:
    """Read the response (kind 2)."""
    if raw[:2] not in (b"\0\2", b"\0\3") or raw[2:4] != b"\0\2":
        return None
    facts = {"service.vendor": "Nagios", "service.product": "NRPE", "service.cpe23": "cpe:/a:nagios:nrpe"}
    found = re.match(rb"NRPE v(\d[\d.]{0,15})", raw[10:])
    if found is not None:
        version = text(found[1])
        facts |= {"service.version": version, "service.cpe23": f"cpe:/a:nagios:nrpe:{version}"}
    return Heard("nrpe", facts)
