"""Questions to UDP services of networks and servers: QUIC, directories, tunnels, address translation, management."""

import os
import re
import struct

from probes.kit.services.datagrams.question import Question, ber
from probes.kit.services.protocols import greeting
from probes.kit.services.talk import Heard, text

_QUIC_NAMES = {1: "1", 0x6B3343CF: "2"}
_QUIC_BYTES = 1200
_ONE_STRING = rb"1(?:[\x00-\x7f]|\x84....)\x04(?:([\x00-\x7f])|\x84\0\0\0(.))"
"""A BER set of one string; servers write lengths in the short and in the long form."""
_LDAP_MESSAGE = rb"0(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)"
"""The head of an LDAPMessage; some servers write all lengths in four bytes."""
_STUN_COOKIE = 0x2112A442
_STUN_SOFTWARE = 0x8022


def _quic() -> bytes:
    # A version that nobody has makes a server name those that it has (RFC 9000 sections 6 and 15); no handshake begins.
    head = b"\xc0" + struct.pack(">I", 0x1A2A3A4A) + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    return head.ljust(_QUIC_BYTES, b"\0")


def _read_quic(asked: bytes, got: bytes) -> Heard | None:
    # Both connection ids come back, each in the other's place (RFC 9000 section 17.2.1).
    if len(got) < 27 or not got[0] & 0x80 or got[1:5] != bytes(4) or got[5:23] != asked[14:23] + asked[5:14]:
        return None
    listed = struct.unpack(f">{(len(got) - 23) // 4}I", got[23 : 23 + (len(got) - 23) // 4 * 4])
    names = [_QUIC_NAMES[number] for number in listed[:16] if number in _QUIC_NAMES]
    return Heard("quic", {"protocol": f"QUIC {', '.join(names)}"} if names else {})


def _cldap() -> bytes:
    # The root of the directory, which everybody may read (RFC 4512 section 5.1), over UDP as Windows domains do.
    number = ber(2, b"\x01" + os.urandom(2))
    wanted = (ber(4, b"defaultNamingContext"), ber(4, b"dnsHostName"), ber(4, b"vendorName"))
    search = ber(
        0x63, ber(4), ber(10, b"\0"), ber(10, b"\0"), ber(2, b"\0"), ber(2, b"\0"), ber(1, b"\0"),
        ber(0x87, b"objectClass"), ber(0x30, *wanted),
    )  # fmt: skip
    return ber(0x30, number, search)


def _read_cldap(asked: bytes, got: bytes) -> Heard | None:
    # An LDAPMessage with our number and an entry or the result of a search (RFC 4511 section 4.5.2).
    if not re.match(_LDAP_MESSAGE + re.escape(asked[2:7]) + b"[\x64\x65]", got, re.DOTALL):
        return None
    facts = {}
    for name, key in ((b"defaultNamingContext", "ldap.root"), (b"dnsHostName", "host.name"), (b"vendorName", "vendor")):
        found = re.search(name + _ONE_STRING, got, re.IGNORECASE | re.DOTALL)
        if found is not None:
            length = (found[1] or found[2])[0]
            facts[key] = text(got[found.end() : found.end() + length])
    return Heard("ldap", facts)


def _stun() -> bytes:
    return struct.pack(">HHI", 1, 0, _STUN_COOKIE) + os.urandom(12)  # a binding request (RFC 8489)


def _read_stun(asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 20 or got[:2] not in (b"\x01\x01", b"\x01\x11") or got[4:20] != asked[4:20]:
        return None
    place, facts = 20, {}
    while place + 4 <= len(got):
        kind, length = struct.unpack_from(">HH", got, place)
        if kind == _STUN_SOFTWARE:
            facts["banner"] = text(got[place + 4 : place + 4 + length])
        place += 4 + (length + 3 & ~3)
    return Heard("stun", facts, (("stun.software", facts["banner"]),) if "banner" in facts else ())


def _openvpn() -> bytes:
    return b"\x38" + os.urandom(8) + bytes(5)  # P_CONTROL_HARD_RESET_CLIENT_V2; servers with tls-auth keep silent


def _read_openvpn(asked: bytes, got: bytes) -> Heard | None:
    # P_CONTROL_HARD_RESET_SERVER_V2, or P_ACK_V1 while another client's handshake is still open.
    return Heard("openvpn") if len(got) >= 14 and got[0] >> 3 in (5, 8) and asked[1:9] in got[9:] else None


def _nat_pmp() -> bytes:
    return b"\0\0"  # which is the outer address (RFC 6886); a PCP server answers that it knows no such version


def _read_nat_pmp(_asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 8 or got[0] not in (0, 2) or not got[1] & 0x80:
        return None
    return Heard("nat-pmp", {"protocol": "NAT-PMP" if got[0] == 0 and got[2:4] == bytes(2) else "PCP"})


def _xdmcp() -> bytes:
    return struct.pack(">HHHB", 1, 2, 1, 0)  # Query without authentication names


def _read_xdmcp(_asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 6 or got[:2] != b"\0\1" or got[2:4] not in (b"\0\5", b"\0\6"):
        return None
    fields: list[str] = []
    place = 6
    while place + 2 <= len(got) and len(fields) < 3:
        length = int.from_bytes(got[place : place + 2], "big")
        fields.append(text(got[place + 2 : place + 2 + length]))
        place += 2 + length
    # Willing: authentication, host name, status; Unwilling: host name, status.
    name = fields[1:2] if got[3] == 5 else fields[:1]
    return Heard("xdmcp", {"host.name": name[0]} if name and name[0] else {})


def _ipmi() -> bytes:
    # Get Channel Authentication Capabilities, which needs no session (IPMI 2.0 section 22.13).
    return bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")


def _read_ipmi(_asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 24 or got[:4] != b"\x06\x00\xff\x07" or got[19] != 0x38:
        return None
    facts = {"hw.device": "management controller", "protocol": "IPMI 2.0" if got[22] & 0x80 else "IPMI 1.5"}
    weak = [name for bit, name in ((1, "anonymous login"), (2, "null user names")) if got[23] & bit]
    facts["authentication"] = "none" if got[23] & 1 else "required"
    if weak:
        facts["security"] = ", ".join(weak)
    return Heard("asf-rmcp", facts)


def _echo() -> bytes:
    return b"edusec-" + os.urandom(8).hex().encode()


def _read_echo(asked: bytes, got: bytes) -> Heard | None:
    return Heard("echo") if got == asked else None  # RFC 862


def _read_small(_asked: bytes, got: bytes) -> Heard | None:
    banner = text(got)
    return greeting.of_inetd(got) or (Heard("unknown", {"banner": banner}) if banner else None)


NETWORKS: tuple[Question, ...] = (
    Question("echo", (7,), _echo, _read_echo),
    Question("daytime", (13,), lambda: b"\n", _read_small),
    Question("chargen", (19,), lambda: b"\n", _read_small),
    Question("xdmcp", (177,), _xdmcp, _read_xdmcp),
    Question("ldap", (389,), _cldap, _read_cldap),
    Question("quic", (443,), _quic, _read_quic),
    Question("asf-rmcp", (623,), _ipmi, _read_ipmi),
    Question("openvpn", (1194,), _openvpn, _read_openvpn),
    Question("stun", (3478,), _stun, _read_stun),
    Question("nat-pmp", (5351,), _nat_pmp, _read_nat_pmp),
)
