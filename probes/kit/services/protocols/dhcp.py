"""The question to DHCP servers that takes no lease: DHCPINFORM (RFC 2131 section 3.4), and what the answer says."""

import os
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address

from probes.kit.services.talk import Heard, text

CLIENT_PORT = 68
"""Where answers go to, whatever port asked; a few servers (dnsmasq) answer to the port that asked."""
OWN_ADDRESS_AT = 12
"""Where the asker's address belongs (ciaddr): a server without it would not know whom to answer."""
_MARK = slice(4, 8)
_COOKIE_AT, _COOKIE = 236, b"\x63\x82\x53\x63"
_REQUEST, _REPLY = 1, 2
_ROUTER, _DNS, _DOMAIN, _TYPE, _SERVER, _WANTED = 3, 6, 15, 53, 54, 55
_INFORM, _ACK = 8, 5
_PAD, _END = 0, 255
_ADDRESSES = {_SERVER: "dhcp.server", _ROUTER: "dhcp.router", _DNS: "dhcp.dns"}
_MOST_ADDRESSES = 4


def inform() -> bytes:
    """Write the question, with a mark (xid) of its own."""
    head = struct.pack(">BBBB4s", _REQUEST, 1, 6, 0, os.urandom(4))
    options = bytes([_TYPE, 1, _INFORM, _WANTED, 3, _ROUTER, _DNS, _DOMAIN, _END])
    return head.ljust(_COOKIE_AT, b"\0") + _COOKIE + options


def mark(message: bytes) -> bytes:
    """Give what a question and its answer have in common."""
    return message[_MARK]


def read(asked: bytes, got: bytes) -> Heard | None:
    """Read an answer; None for what is none to this question."""
    if len(got) < _COOKIE_AT + len(_COOKIE) or got[0] != _REPLY or mark(got) != mark(asked):
        return None
    told = _options(got)
    if got[_COOKIE_AT : _COOKIE_AT + 4] != _COOKIE or told.get(_TYPE) != bytes([_ACK]):
        return Heard("bootps")
    facts = {name: found for code, name in _ADDRESSES.items() if (found := _addresses(told.get(code, b"")))}
    if domain := text(told.get(_DOMAIN, b"").rstrip(b"\0")):
        facts["dhcp.domain"] = domain
    return Heard("bootps", facts)


def _options(got: bytes) -> Mapping[int, bytes]:
    """Give the options (RFC 2132), the first of each code."""
    found: dict[int, bytes] = {}
    place = _COOKIE_AT + len(_COOKIE)
    while place < len(got) and got[place] != _END:
        if got[place] == _PAD:
            place += 1
            continue
        length = got[place + 1] if place + 1 < len(got) else 0
        found.setdefault(got[place], got[place + 2 : place + 2 + length])
        place += 2 + length
    return found


def _addresses(raw: bytes) -> str:
    usable = raw[: 4 * _MOST_ADDRESSES]
    return ", ".join(str(IPv4Address(usable[place : place + 4])) for place in range(0, len(usable) // 4 * 4, 4))
