"""SMB 2 and 3 (MS-SMB2): what is negotiated, and what the server tells of itself before anybody logs in.

A login takes three messages of NTLM (MS-NLMP); the server answers the first one with its names and the build of its
Windows. The third one, which would carry a user, is never sent.
"""

import re
import struct
from collections.abc import Mapping

from probes.kit.services.protocols import ntlm, smb1
from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (139, 445)
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
OFFERED = (0x0202, 0x0210, 0x0300, 0x0302)  # 3.1.1 needs negotiate contexts, and tells no more about the server
_NEGOTIATE, _SESSION_SETUP = 0, 1
_WINDOWS = {0x0202: (6000, 6003), 0x0210: (7600, 7601), 0x0300: (9200, 9200), 0x0302: (9600, 99999)}
"""The builds of Windows whose best dialect, of those offered here, is this one (MS-SMB2 1.7 and appendix A).

Others send one because the message has a field for it, such as that of a Windows 7 next to SMB 3.
"""


def talk(_host: str, _port: int) -> Talk:
    """Negotiate, ask for NTLM's challenge and leave; whether SMB 1 is spoken too is asked afterwards."""
    body = struct.pack("<HHHHI16sQ", 36, len(OFFERED), 1, 0, 0, b"edusec-negotiate", 0)
    yield Send(_message(_NEGOTIATE, body + b"".join(dialect.to_bytes(2, "little") for dialect in OFFERED)))
    heard = read((yield Receive(_whole, 4096)))
    if heard is None:
        return None
    token = ntlm.spnego_request()
    yield Send(_message(_SESSION_SETUP, struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0) + token))
    told = _told((yield Receive(_whole, 8192)), heard.facts)
    return Heard(heard.service, {**told, **heard.facts}, then=(smb1.besides,))


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


def _told(raw: bytes, facts: Mapping[str, str]) -> dict[str, str]:
    """Read the challenge: names, and the Windows where the build is one that speaks this dialect."""
    told = ntlm.facts_of(raw)
    if "service.product" in facts or not _fits(told.get("os.version", ""), facts["protocol"]):
        return {name: value for name, value in told.items() if not name.startswith("os.")}
    return {**told, "os.family": "Windows"}


def _fits(version: str, protocol: str) -> bool:
    build = version.rpartition(".")[2]
    dialect = next((number for number, name in DIALECTS.items() if protocol == f"SMB {name}"), 0)
    low, high = _WINDOWS.get(dialect, (1, 0))
    return build.isdecimal() and low <= int(build) <= high


def _message(command: int, body: bytes) -> bytes:
    """Frame a request; its number is its command's, for they are sent in this order."""
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ16s", 64, 0, 0, command, 1, 0, 0, command, 0, 0, 0, bytes(16))
    return (len(header) + len(body)).to_bytes(4, "big") + header + body


def _whole(raw: bytes) -> bool:
    return len(raw) >= 4 and len(raw) >= 4 + min(int.from_bytes(raw[1:4], "big"), 4092)
