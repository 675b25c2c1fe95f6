"""NTLM's challenge (MS-NLMP 2.2.1.2): names and Windows build that a server tells before anybody logs in."""

import struct

from probes.kit.services.talk import text

# NTLMSSP_NEGOTIATE_UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY, TARGET_INFO, VERSION, 128, 56.
_FLAGS = 0x00000001 | 0x00000004 | 0x00000200 | 0x00008000 | 0x00080000 | 0x00800000 | 0x02000000 | 0xA0000000
NEGOTIATE = b"NTLMSSP\0" + struct.pack("<II", 1, _FLAGS) + bytes(16) + bytes((10, 0, 0, 0, 0, 0, 0, 15))
_SPNEGO, _NTLM = bytes.fromhex("2b0601050502"), bytes.fromhex("2b06010401823702020a")
_NAMES = {1: "host.name", 2: "host.domain", 3: "host.dns_name", 4: "host.dns_domain"}
_BUILDS = {
    7601: "Windows 7 / Server 2008 R2", 9200: "Windows 8 / Server 2012", 9600: "Windows 8.1 / Server 2012 R2",
    14393: "Windows 10 1607 / Server 2016", 17763: "Windows 10 1809 / Server 2019", 19041: "Windows 10 2004",
    19042: "Windows 10 20H2", 19043: "Windows 10 21H1", 19044: "Windows 10 21H2", 19045: "Windows 10 22H2",
    20348: "Windows Server 2022", 22000: "Windows 11 21H2", 22621: "Windows 11 22H2", 22631: "Windows 11 23H2",
    26100: "Windows 11 24H2 / Server 2025",
}  # fmt: skip


def facts_of(raw: bytes) -> dict[str, str]:
    """Read the challenge wherever it stands in an answer; empty when there is none."""
    start = raw.find(b"NTLMSSP\0\2\0\0\0")
    message = raw[start:] if start >= 0 else b""
    if len(message) < 48:
        return {}
    facts: dict[str, str] = {}
    flags, size, offset = struct.unpack_from("<I", message, 20)[0], *struct.unpack_from("<HxxI", message, 40)
    if flags & 0x02000000 and len(message) >= 56:
        major, minor, build = struct.unpack_from("<BBH", message, 48)
        if major >= 5 and build:  # Samba's is 0
            facts["os.version"] = f"{major}.{minor}.{build}"
            facts["os.product"] = _BUILDS.get(build, "Windows")
    info, at = message[offset : offset + size], 0
    for _ in range(16):
        if at + 4 > len(info):
            break
        kind, length = struct.unpack_from("<HH", info, at)
        if kind == 0:
            break
        if kind in _NAMES and (name := text(info[at + 4 : at + 4 + length].decode("utf-16-le", "replace").encode())):
            facts[_NAMES[kind]] = name
        at += 4 + length
    return facts


def spnego_request() -> bytes:
    """Write the first token of a negotiation (RFC 4178 section 4.2.1) that offers NTLM alone and holds its message."""
    kinds = _der(0xA0, _der(0x30, _der(0x06, _NTLM)))
    token = _der(0xA0, _der(0x30, kinds + _der(0xA2, _der(0x04, NEGOTIATE))))
    return _der(0x60, _der(0x06, _SPNEGO) + token)


def credssp_request() -> bytes:
    """Write a TSRequest (MS-CSSP 2.2.1) that holds the first message."""
    token = _der(0x30, _der(0xA0, _der(0x04, NEGOTIATE)))
    return _der(0x30, _der(0xA0, b"\x02\x01\x06") + _der(0xA1, _der(0x30, token)))


def credssp_whole(raw: bytes) -> bool:
    """Tell whether a whole TSRequest is there."""
    if len(raw) < 6 or raw[:1] != b"\x30":
        return bool(raw) and raw[:1] != b"\x30"
    if raw[1] < 0x80:
        return len(raw) >= 2 + raw[1]
    count = raw[1] & 0x7F
    return count > 4 or len(raw) >= 2 + count + min(int.from_bytes(raw[2 : 2 + count], "big"), 4000)


def _der(tag: int, body: bytes) -> bytes:
    size = bytes([len(body)]) if len(body) < 128 else b"\x81" + bytes([len(body)])
    return bytes([tag]) + size + body
