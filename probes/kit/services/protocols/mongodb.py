"""MongoDB: `hello` and `buildInfo`, which need no login (OP_MSG of the wire protocol, BSON of bsonspec.org)."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (27017,)
OP_MSG = 2013
MAX_REPLY = 16 << 10


def talk(_host: str, _port: int) -> Talk:
    """Ask who the server is, then for its version; servers older than 3.6 do not answer OP_MSG."""
    yield Send(command("isMaster"))
    hello = document((yield Receive(_whole, MAX_REPLY)))
    if "ismaster" not in hello and "maxWireVersion" not in hello:
        return None
    yield Send(command("buildInfo"))
    build = document((yield Receive(_whole, MAX_REPLY)))
    facts = {"service.vendor": "MongoDB", "service.product": "MongoDB", "service.cpe23": "cpe:/a:mongodb:mongodb"}
    if version := build.get("version"):
        facts |= {"service.version": version, "service.cpe23": f"cpe:/a:mongodb:mongodb:{version}"}
    return Heard("mongodb", facts)


def command(name: str) -> bytes:
    """Write `{name: 1, $db: "admin"}` as one OP_MSG."""
    body = b"\x10" + name.encode() + b"\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0\0"
    bson = struct.pack("<i", len(body) + 4) + body
    return struct.pack("<iiiiIB", 16 + 5 + len(bson), 1, 0, OP_MSG, 0, 0) + bson


def document(raw: bytes) -> dict[str, str]:
    """Read names and texts at the first level of an OP_MSG's document, up to the first thing it cannot follow."""
    if not _whole(raw) or len(raw) < 26 or struct.unpack_from("<i", raw, 12)[0] != OP_MSG:
        return {}
    fields: dict[str, str] = {}
    at, end = 25, min(len(raw), MAX_REPLY)
    sizes = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
    while at < end and raw[at] and len(fields) < 64:
        kind = raw[at]
        stop = raw.find(b"\0", at + 1, end)
        if stop < 0:
            break
        name, at = text(raw[at + 1 : stop]), stop + 1
        if kind == 0x02 and at + 4 <= end:
            size = int.from_bytes(raw[at : at + 4], "little")
            fields[name] = text(raw[at + 4 : min(at + 3 + size, end)])
            at += 4 + size
        elif kind in (0x03, 0x04) and at + 4 <= end:
            fields[name] = ""
            at += max(int.from_bytes(raw[at : at + 4], "little"), 4)
        elif kind in sizes:
            fields[name] = ""
            at += sizes[kind]
        else:
            break
    return fields


def _whole(raw: bytes) -> bool:
    return len(raw) >= 16 and len(raw) >= min(int.from_bytes(raw[:4], "little"), MAX_REPLY)
