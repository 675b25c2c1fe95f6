"""SSDP (UPnP Device Architecture 2.0, section 1.3): one question to all, an answer of a few header lines from each.

The device description that an answer leads to (section 2.3) is read here, too; `descriptions` asks for it.
"""

import re

from probes.kit.discovery.elements import texts
from probes.kit.discovery.told import DESCRIPTION, Told, word, words

METHOD = "ssdp"
PORT = 1900
GROUPS = {4: "239.255.255.250", 6: "ff02::c"}
MAX_DATAGRAM = 4096
MAX_DESCRIPTION = 65_536
_MOST_ELEMENTS = 2000
_MOST_LINES = 40
_FIRST = re.compile(rb"HTTP/1\.[01] 200\b")
_DEVICES = (
    ("router", ("internetgatewaydevice", "wandevice")),
    ("media player", ("mediarenderer", "mediaserver", "dial", "basic:1")),
    ("printer", ("printer",)),
    ("camera", ("camera", "digitalsecurity")),
)
_ROOT = ("root", "device")
_WANTED = {
    "deviceType", "friendlyName", "manufacturer", "modelName", "modelNumber", "serialNumber", "UDN",
    "softwareVersion", "firmwareVersion",
}  # fmt: skip


def question(family: int) -> bytes:
    """Ask for one answer of each device, within a second."""
    host = GROUPS[family] if family == 4 else f"[{GROUPS[family]}]"
    lines = (
        "M-SEARCH * HTTP/1.1",
        f"HOST: {host}:{PORT}",
        'MAN: "ssdp:discover"',
        "MX: 1",
        "ST: upnp:rootdevice",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def read(packet: bytes) -> Told | None:
    """Read an answer; None for anything else."""
    if len(packet) > MAX_DATAGRAM or not _FIRST.match(packet):
        return None
    headers: dict[str, str] = {}
    for line in packet.split(b"\r\n", _MOST_LINES + 1)[1 : _MOST_LINES + 1]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(word(name).lower(), word(value))
    usn = headers.get("usn", "")
    location = headers.get("location", "")
    return Told(
        METHOD,
        uuids=(usn,) if usn else (),
        device=_device(f"{usn} {headers.get('st', '')} {headers.get('server', '')}"),
        system=headers.get("server", ""),
        services=("upnp",),
        locations=(location,) if location else (),
    )


def read_description(raw: bytes) -> Told | None:
    """Read a device description; None for anything else.

    Of the devices within the root device only the UUIDs count: they are the same machine's. A serial number, and the
    two names of a firmware's version that are no part of the standard, are taken where they are told.
    """
    said: dict[str, str] = {}
    uuids = []
    for path, text in texts(raw, _WANTED, most_bytes=MAX_DESCRIPTION, most_elements=_MOST_ELEMENTS) or ():
        if path[:2] == _ROOT and path[-1] == "UDN":
            uuids.append(word(text))
        elif path[:-1] == _ROOT:
            said.setdefault(path[-1], word(text))
    if not uuids and "friendlyName" not in said:
        return None
    return Told(
        DESCRIPTION,
        names=words([said.get("friendlyName", "")]),
        uuids=words(uuids),
        model=said.get("modelName") or said.get("modelNumber", ""),
        vendor=said.get("manufacturer", ""),
        device=_device(said.get("deviceType", "")),
        serial=said.get("serialNumber", ""),
        firmware=said.get("firmwareVersion") or said.get("softwareVersion", ""),
    )


def _device(said: str) -> str:
    return next((device for device, signs in _DEVICES if any(sign in said.lower() for sign in signs)), "")
