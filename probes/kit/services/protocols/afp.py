"""AFP over DSI (Apple's file service, on 548): DSIGetStatus, which every server answers to everybody."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (548,)
_GET_STATUS = 3
REQUEST = struct.pack(">BBHIII", 0, _GET_STATUS, 1, 0, 0, 0)
HEAD = 16
MAX_STATUS = 4096


def talk(_host: str, _port: int) -> Talk:
    """Ask for the server's information; nobody logs in."""
    yield Send(REQUEST)
    return read((yield Receive(_whole, MAX_STATUS)))


def read(raw: bytes) -> Heard | None:
    """Read FPGetSrvrInfo: offsets of the machine's kind, versions and log-in methods, flags, and the server's name."""
    if len(raw) < HEAD + 11 or raw[:4] != b"\1\3\0\1" or raw[4:8] != bytes(4):
        return None
    info = raw[HEAD:]
    machine, versions, methods = struct.unpack_from(">HHH", info)
    if not 10 <= machine < len(info) or not 10 <= versions < len(info):
        return None
    kind = _pascal(info, machine)
    facts = {"host.name": _pascal(info, 10), "protocol": _pascal(info, versions + 1)}
    if b"No User Authent" in info[methods:]:
        facts["authentication"] = "guests may enter"
    return Heard("afp", {name: value for name, value in facts.items() if value}, (("afp.machine", kind),))


def _pascal(info: bytes, at: int) -> str:
    """Read a text after the byte of its length."""
    return text(info[at + 1 : at + 1 + info[at]]) if at < len(info) else ""


def _whole(raw: bytes) -> bool:
    return len(raw) >= HEAD and len(raw) >= HEAD + min(int.from_bytes(raw[8:12], "big"), MAX_STATUS - HEAD)
