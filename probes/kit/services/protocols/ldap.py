"""LDAP (RFC 4511): an anonymous look at the root DSE (RFC 4512 section 5.1), which every server shows to everybody."""

import re
from collections.abc import Mapping

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (389, 3268)
MAX_REPLY = 32 << 10
MOST_VALUES = 64
_NAMES = (
    b"vendorName", b"vendorVersion", b"namingContexts", b"defaultNamingContext", b"dnsHostName", b"serverName",
    b"supportedLDAPVersion", b"structuralObjectClass", b"objectClass", b"forestFunctionality", b"supportedExtension",
)  # fmt: skip
_STARTTLS = "1.3.6.1.4.1.1466.20037"
"""RFC 4511 section 4.14.1."""
FOREST = {"7": "2016 or later", "6": "2012 R2", "5": "2012", "4": "2008 R2", "3": "2008", "2": "2003", "0": "2000"}


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + size + body


def _request() -> bytes:
    filter_any = _tlv(0x87, b"objectClass")
    search = _tlv(
        0x63, _tlv(4), _tlv(10, b"\0"), _tlv(10, b"\0"), _tlv(2, b"\1"), _tlv(2, b"\5"), _tlv(1, b"\0"), filter_any,
        _tlv(0x30, *(_tlv(4, name) for name in _NAMES)),
    )  # fmt: skip
    return _tlv(0x30, _tlv(2, b"\1"), search)


REQUEST = _request()


def talk(_host: str, _port: int) -> Talk:
    """Search the root DSE without binding; a server that refuses is LDAP all the same."""
    yield Send(REQUEST)
    return read((yield Receive(_finished, MAX_REPLY)))


def read(raw: bytes) -> Heard | None:
    """Read what came: entries (0x64) and the result (0x65), each in an LDAPMessage with our number."""
    values: dict[str, list[str]] = {}
    understood = False
    for tag, body in _operations(raw):
        understood = True
        if tag == 0x64:
            _collect(body, values)
    if not understood:
        return None
    facts = {"service.cpe23": ""} | _facts(values)
    return Heard("ldap", {name: value for name, value in facts.items() if value})


def _facts(values: Mapping[str, list[str]]) -> dict[str, str]:
    def first(name: str) -> str:
        return next(iter(values.get(name, ())), "")

    facts = {
        "ldap.root": first("defaultNamingContext") or first("namingContexts"),
        "host.name": first("dnsHostName"),
    }
    classes = {*values.get("structuralObjectClass", ()), *values.get("objectClass", ())}
    if _STARTTLS in values.get("supportedExtension", ()):
        facts["starttls"] = "offered"
    if first("vendorName").startswith("Samba"):
        # A domain controller that imitates Microsoft's, functionality of the forest included.
        facts |= {"service.vendor": "Samba", "service.product": "Samba", "service.cpe23": "cpe:/a:samba:samba"}
    elif first("forestFunctionality"):
        facts |= {
            "service.vendor": "Microsoft",
            "service.product": "Active Directory",
            "os.family": "Windows",
            "ldap.forest": FOREST.get(first("forestFunctionality"), ""),
            "service.cpe23": "cpe:/a:microsoft:active_directory",
        }
    elif "OpenLDAProotDSE" in classes:
        facts |= {
            "service.vendor": "OpenLDAP",
            "service.product": "OpenLDAP",
            "service.cpe23": "cpe:/a:openldap:openldap",
        }
    elif first("vendorName"):
        version = re.search(r"\d[\w.]{0,31}", first("vendorVersion"))
        facts |= {
            "service.vendor": first("vendorName"),
            "service.product": re.split(r"[ /]?\d", first("vendorVersion"))[0].strip() or first("vendorName"),
            "service.version": version[0] if version else "",
        }
    return facts


def _collect(body: bytes, values: dict[str, list[str]]) -> None:
    parts = list(_parts(body))
    if len(parts) < 2:
        return
    for _tag, attribute in _parts(parts[1][1]):
        pair = list(_parts(attribute))
        if len(pair) >= 2 and len(values) < MOST_VALUES:
            found = values.setdefault(text(pair[0][1], 64), [])
            found.extend(text(value) for _, value in list(_parts(pair[1][1]))[: MOST_VALUES - len(found)])


def _operations(raw: bytes) -> list[tuple[int, bytes]]:
    found = []
    for tag, message in _parts(raw):
        inside = list(_parts(message)) if tag == 0x30 else []
        if len(inside) >= 2 and inside[0] == (2, b"\1") and inside[1][0] in (0x64, 0x65, 0x73):
            found.append(inside[1])
    return found


def _parts(raw: bytes) -> list[tuple[int, bytes]]:
    """Read tags and values that follow each other, up to the first that is not whole."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(raw) and len(found) < 256:
        tag, size, start = raw[at], raw[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or start + count > len(raw):
                break
            size, start = int.from_bytes(raw[start : start + count], "big"), start + count
        if start + size > len(raw):
            break
        found.append((tag, raw[start : start + size]))
        at = start + size
    return found


def _finished(raw: bytes) -> bool:
    if raw[:1] != b"\x30":
        return bool(raw)
    return any(tag == 0x65 for tag, _ in _operations(raw))
