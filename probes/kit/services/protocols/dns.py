"""DNS (RFC 1035, over TCP RFC 7766): the version that name servers tell in class CHAOS (RFC 4892)."""

import os
import re
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, at_least, text

PORTS = (53,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for version.bind; the question and its reader are those of UDP, behind a length of two bytes."""
    asked = ask()
    yield Send(len(asked).to_bytes(2, "big") + asked)
    raw = yield Receive(_whole, 4096)
    return read(asked, raw[2:]) if _whole(raw) else None


def ask() -> bytes:
    """Write the question."""
    name = b"\x07version\x04bind\x00"
    return os.urandom(2) + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + name + struct.pack(">HH", 16, 3)


def read(asked: bytes, got: bytes) -> Heard | None:
    """Read the answer; None when it is none to this question."""
    if len(got) < 12 or got[:2] != asked[:2] or not got[2] & 0x80:
        return None
    facts = {"dns.rcode": str(got[3] & 15), "dns.recursion": "offered" if got[3] & 0x80 else "not offered"}
    answer = got[len(asked) :]  # the question comes back unchanged before it
    found = re.search(rb"\x00\x10\x00\x03....\x00.(.)", answer, re.DOTALL)
    if found is None:
        return Heard("domain", facts)
    version = text(answer[found.end() : found.end() + found[1][0]])
    return Heard("domain", facts | {"banner": version}, (("dns.versionbind", version),))


def _whole(raw: bytes) -> bool:
    return len(raw) >= 2 and at_least(2 + min(int.from_bytes(raw[:2], "big"), 4094))(raw)
