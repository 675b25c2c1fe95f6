"""The port mapper over TCP (RFC 1833): the list of what else the machine serves, NFS among it, on which ports."""

import os
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk

PORTS = (111,)
MAX_REPLY = 8192
_LAST = 0x80000000
"""The bit of a record's length that says that it is the last one (RFC 5531 section 11)."""
_NAMES = {
    100000: "portmapper", 100003: "nfs", 100004: "ypserv", 100005: "mountd", 100007: "ypbind", 100009: "yppasswdd",
    100011: "rquotad", 100021: "nlockmgr", 100024: "status", 100227: "nfs_acl", 300019: "amd",
}  # fmt: skip
"""IANA, RPC program numbers."""


def talk(_host: str, _port: int) -> Talk:
    """Ask for the list (DUMP), as `rpcinfo -p` does."""
    mark = os.urandom(4)
    call = mark + struct.pack(">IIIIIIIII", 0, 2, 100000, 2, 4, 0, 0, 0, 0)
    yield Send(struct.pack(">I", _LAST | len(call)) + call)
    return read(mark, (yield Receive(_whole, MAX_REPLY)))


def read(mark: bytes, raw: bytes) -> Heard | None:
    """Read the reply: our mark, then one program after the other; a refusal is a port mapper's answer too."""
    if len(raw) < 16 or not raw[0] & 0x80 or raw[4:12] != mark + b"\0\0\0\1":
        return None
    facts = {}
    if len(raw) >= 28 and raw[12:28] == bytes(16):
        listed, place = set[str](), 28
        while place + 20 <= len(raw) and int.from_bytes(raw[place : place + 4], "big") == 1:
            program = int.from_bytes(raw[place + 4 : place + 8], "big")
            listed.add(_NAMES.get(program, str(program)))
            place += 20
        facts["rpc.programs"] = ", ".join(sorted(listed)[:16])
    return Heard("sunrpc", {name: value for name, value in facts.items() if value})


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and len(raw) >= 4 + min(int.from_bytes(raw[:4], "big") & ~_LAST, MAX_REPLY - 4)
