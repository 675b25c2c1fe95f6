"""What a HOST observation says of who the device is: the names of the values, and the one spelling of each.

Several probes find the same devices in different ways. What they find out can be joined only when it is spelt alike,
so every probe writes these values with the functions here. docs/probes.md explains them.
"""

import re
from collections.abc import Iterable

MAC = "mac"
LOCAL_MAC = "local_mac"
HOSTNAME = "hostname"
DHCP_ID = "dhcp_id"
UUID = "uuid"
SERIAL = "serial"

MOST_UUIDS = 8
PROXY_ADDRESSES = 8
"""A MAC with more IPv4 addresses than this answers for others: what is said of one of them is not said of the rest."""
_HARDWARE_BYTES = 6
_VIRTUAL = (
    "00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:00:0c:9f:f", "00:05:73:a0:0", "00:07:b4:00:",
    "00:09:0f:09:", "00:10:db:ff:",
)  # fmt: skip
_DHCP_ID_BYTES = range(2, 129)
"""RFC 8415 section 11.1 allows 130 bytes for a DUID; RFC 2132 section 9.14 asks for at least two."""
_LONGEST_NAME = 253
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_SERIALS = range(4, 65)
_EVERYBODYS = frozenset({"localhost", "unknown", "none", "null", "android", "localdomain"})
_NO_SERIALS = frozenset({
    "none", "null", "unknown", "default", "default string", "serial", "serialnumber", "serial number",
    "system serial number", "chassis serial number", "to be filled by o.e.m.", "not specified", "not applicable",
    "invalid", "o.e.m.", "empty",
})  # fmt: skip
_NO_UUIDS = frozenset({
    "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc", "12345678-1234-1234-1234-123456789abc",
})  # fmt: skip
"""What boards carry whose maker set none, and examples that were left as they were."""
_LOCAL_SUFFIXES = (".local", ".localdomain", ".lan", ".home.arpa", ".internal")


def normal_mac(raw: bytes) -> str:
    """Write a hardware address as `aa:bb:cc:dd:ee:ff`; empty for a group's, an all-zero one or another length."""
    if len(raw) != _HARDWARE_BYTES or raw[0] & 1 or not any(raw):
        return ""
    return raw.hex(":")


def is_local_mac(mac: str) -> bool:
    """Tell whether a MAC as `normal_mac` writes it is locally administered, as the invented ones of phones are."""
    return bool(int(mac[:2], 16) & 2)


def is_virtual_mac(mac: str) -> bool:
    """Tell whether a MAC as `normal_mac` writes it is one that several machines share, the same on every network.

    VRRP and CARP (RFC 9568 section 7.3), HSRP of both versions and over IPv6, GLBP, clusters of FortiGate (FGCP) and of
    SRX or NetScreen. It says which protocol answers and in which group, not which device.
    """
    return mac.startswith(_VIRTUAL)


def normal_hostname(text: str) -> str:
    """Write the name that a device gives itself: lower case, without a dot or a link-local suffix at the end.

    Empty for what cannot be a host name (RFC 1123 section 2.1, and `_`), an address, or what many devices say alike.
    """
    name = text[:_LONGEST_NAME].strip().rstrip(".").lower()
    while name.endswith(_LOCAL_SUFFIXES):
        name = name.rpartition(next(suffix for suffix in _LOCAL_SUFFIXES if name.endswith(suffix)))[0]
    labels = name.split(".")
    if not name or name in _EVERYBODYS or labels[-1].isdigit():
        return ""
    return name if all(_LABEL.fullmatch(label) for label in labels) else ""


def normal_uuid(text: str) -> str:
    """Write a UUID as RFC 9562 does; empty for none, the nil and the max one, one digit throughout, a placeholder."""
    found = _UUID.search(text[:512].lower())
    if found is None or found[0] in _NO_UUIDS or len(set(found[0]) - {"-"}) == 1:
        return ""
    return found[0]


def uuids(texts: Iterable[str]) -> tuple[str, ...]:
    """Write the value of UUID: those that are some, each once, in order, a few at most."""
    return tuple(sorted({uuid for text in texts if (uuid := normal_uuid(text))}))[:MOST_UUIDS]


def normal_serial(text: str) -> str:
    """Write a serial number without blanks at its ends; empty for what firmwares hold where their maker set none."""
    serial = text.strip()
    plain = serial.lower()
    # One digit throughout, or counted up from the first: 00000000, 12345678, 0123456789.
    counted = plain in "01234567890" or plain in "1234567890abcdef"
    if len(serial) not in _SERIALS or plain in _NO_SERIALS or len(set(plain) - set("-: ")) < 2 or counted:
        return ""
    return serial if serial.isprintable() else ""


def dhcp_id(client: bytes, mac: str) -> str:
    """Write a DHCPv4 client identifier (option 61); empty when it says no more than the MAC does.

    A client that follows RFC 4361 gives its DUID there, which then reads as it does over DHCPv6.
    """
    if client[:1] == b"\xff" and len(client) > 5:  # type, IAID of four bytes, DUID
        return duid(client[5:])
    if len(client) not in _DHCP_ID_BYTES or client[1:].hex(":") == mac or not any(client[1:]):
        return ""
    return f"id:{client.hex()}"


def duid(raw: bytes) -> str:
    """Write a DHCP unique identifier (RFC 8415 section 11)."""
    return f"duid:{raw.hex()}" if len(raw) in _DHCP_ID_BYTES and any(raw) else ""
