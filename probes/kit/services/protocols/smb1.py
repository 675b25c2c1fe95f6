"""SMB 1 (MS-CIFS 2.2.4.52): whether a server still speaks it. Worms travel by it, and nothing of today needs it."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

_DIALECT = b"\x02NT LM 0.12\0"
# Unicode and long names, and no extended security: so the answer ends with the names of the server and its domain.
_HEADER = b"\xffSMB\x72" + bytes(4) + b"\x18" + struct.pack("<HH8sHHHHH", 0x8001, 0, bytes(8), 0, 0, 0xFEFF, 0, 1)
_MESSAGE = _HEADER + b"\0" + len(_DIALECT).to_bytes(2, "little") + _DIALECT
REQUEST = len(_MESSAGE).to_bytes(4, "big") + _MESSAGE
_NONE_OF_THESE = 0xFFFF
_PARAMETERS = 4 + 32


def talk(_host: str, _port: int) -> Talk:
    """Negotiate and leave; no session is set up."""
    yield Send(REQUEST)
    heard = read((yield Receive(_whole, 1024)))
    if heard is None or heard.facts["smb1"] == "refused":
        return heard
    return Heard(heard.service, {"protocol": "SMB 1.0", **heard.facts})


def besides(_host: str, _port: int) -> Talk:
    """Ask a server that speaks a later version; what it said then stays as it is."""
    yield Send(REQUEST)
    heard = read((yield Receive(_whole, 1024)))
    return None if heard is None else Heard(heard.service, {"smb1": heard.facts["smb1"]})


def read(raw: bytes) -> Heard | None:
    """Read the negotiate response: the dialect's number, or that there is none that both speak."""
    if len(raw) < _PARAMETERS + 3 or raw[4:9] != b"\xffSMB\x72":
        return None
    if int.from_bytes(raw[_PARAMETERS + 1 : _PARAMETERS + 3], "little") == _NONE_OF_THESE:
        return Heard("microsoft-ds", {"smb1": "refused"})
    if raw[_PARAMETERS] != 17 or len(raw) < _PARAMETERS + 37:
        return None
    mode, size = raw[_PARAMETERS + 3], raw[_PARAMETERS + 34]
    names = raw[_PARAMETERS + 37 + size :].decode("utf-16-le", "replace").split("\0")
    facts = {"smb1": "accepted", "signing": "required" if mode & 8 else "optional"}
    for key, name in zip(("host.domain", "host.name"), names, strict=False):
        if shown := text(name.encode("utf-8", "replace")):
            facts[key] = shown
    return Heard("microsoft-ds", facts)


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and len(raw) >= 4 + min(int.from_bytes(raw[1:4], "big"), 1020)
