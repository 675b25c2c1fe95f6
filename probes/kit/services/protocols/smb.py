"""SMB (MS-SMB2 2.2.3): a negotiation of SMB 2 and 3, and whether signing is required."""

import re
import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (139, 445)
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
OFFERED = (0x0202, 0x0210, 0x0300, 0x0302)  # 3.1.1 needs negotiate contexts, and tells no more about the server


def talk(_host: str, _port: int) -> Talk:
    """Negotiate and leave; no session is set up and no name is given."""
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ16s", 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes(16))
    body = struct.pack("<HHHHI16sQ", 36, len(OFFERED), 1, 0, 0, b"edusec-negotiate", 0)
    body += b"".join(dialect.to_bytes(2, "little") for dialect in OFFERED)
    yield Send((len(header) + len(body)).to_bytes(4, "big") + header + body)
    return read((yield Receive(_whole, 4096)))


def read(raw: bytes) -> Heard | None:
    """Read the negotiate response."""
    if len(raw) < 4 + 64 + 8 or raw[4:8] != b"\xfeSMB":
        return None
    mode, dialect = struct.unpack_from("<HH", raw, 4 + 64 + 2)
    if dialect not in DIALECTS:
        return None
    facts = {"protocol": f"SMB {DIALECTS[dialect]}", "signing": "required" if mode & 2 else "optional"}
    # Samba's server GUID is its NetBIOS name, filled up with zeros; Windows makes a random one.
    guid = raw[4 + 64 + 8 : 4 + 64 + 24]
    name = guid.rstrip(b"\0")
    if 0 < len(name) < len(guid) and re.fullmatch(rb"[A-Za-z0-9_-]+", name):
        facts |= {"service.vendor": "Samba", "service.product": "Samba", "service.cpe23": "cpe:/a:samba:samba"}
        facts["host.name"] = text(name)
    return Heard("microsoft-ds", facts)


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and len(raw) >= 4 + min(int.from_bytes(raw[1:4], "big"), 4092)
