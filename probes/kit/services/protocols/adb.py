"""Android's debug bridge (AOSP, adb/protocol.txt): whether it lets anybody in, and which device it is.

Interactive whiteboards and television boxes run Android. One that answers without asking for a key obeys every command.
"""

import re
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (5555,)
HEAD = 24
MAX_BANNER = 4096
_CONNECT, _AUTH, _TLS = b"CNXN", b"AUTH", b"STLS"
_BANNER = b"host::\0"
_PRODUCT = re.compile(rb"ro\.product\.(name|model|device)=([^;\0]{1,128})")


def talk(_host: str, _port: int) -> Talk:
    """Introduce ourselves; no key is shown, so nobody is asked to confirm one, and nothing is opened."""
    yield Send(_message(_CONNECT, 0x01000000, 4096, _BANNER))
    return read((yield Receive(_whole, HEAD + MAX_BANNER)))


def read(raw: bytes) -> Heard | None:
    """Read the answer: a banner of the device, or that it wants a key or TLS first."""
    command = raw[:4]
    if len(raw) < HEAD or command not in (_CONNECT, _AUTH, _TLS) or raw[20:24] != _magic(command):
        return None
    if command != _CONNECT:
        return Heard("adb", {"authentication": "required"})
    banner = raw[HEAD:]
    facts = {"authentication": "none"}
    if banner.startswith(b"device:"):
        facts["os.family"] = "Android"
    said = {found[1]: text(found[2]) for found in _PRODUCT.finditer(banner)}
    if model := said.get(b"model") or said.get(b"device") or said.get(b"name"):
        facts["hw.product"] = facts["model"] = model
    return Heard("adb", facts)


def _magic(command: bytes) -> bytes:
    return struct.pack("<I", int.from_bytes(command, "little") ^ 0xFFFFFFFF)


def _message(command: bytes, first: int, second: int, data: bytes) -> bytes:
    return command + struct.pack("<IIII", first, second, len(data), sum(data)) + _magic(command) + data


def _whole(raw: bytes) -> bool:
    if len(raw) < HEAD:
        return False
    return len(raw) >= HEAD + min(int.from_bytes(raw[12:16], "little"), MAX_BANNER)
