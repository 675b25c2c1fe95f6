"""SSDP (UPnP Device Architecture 2.0, section 1.3): one question to all, an answer of a few header lines from each."""

import re

from probes.kit.discovery.told import Told, word

METHOD = "ssdp"
PORT = 1900
GROUPS = {4: "239.255.255.250", 6: "ff02::c"}
MAX_DATAGRAM = 4096
_MOST_LINES = 40
_FIRST = re.compile(rb"HTTP/1\.[01] 200\b")
_DEVICES = (
    ("router", ("internetgatewaydevice", "wandevice")),
    ("media player", ("mediarenderer", "mediaserver", "dial", "basic:1")),
    ("printer", ("printer",)),
    ("camera", ("camera", "digitalsecurity")),
)


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
    """Read an answer; None for anything else. Its Location is only read, never followed."""
    if len(packet) > MAX_DATAGRAM or not _FIRST.match(packet):
        return None
    headers: dict[str, str] = {}
    for line in packet.split(b"\r\n", _MOST_LINES + 1)[1 : _MOST_LINES + 1]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(word(name).lower(), word(value))
    usn = headers.get("usn", "")
    kind = f"{usn} {headers.get('st', '')} {headers.get('server', '')}".lower()
    return Told(
        METHOD,
        uuids=(usn,) if usn else (),
        device=next((device for device, signs in _DEVICES if any(sign in kind for sign in signs)), ""),
        system=headers.get("server", ""),
        services=("upnp",),
    )
