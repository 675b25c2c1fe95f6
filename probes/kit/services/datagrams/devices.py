"""Questions to UDP services of devices that schools have: cameras, recorders, access points, building controllers."""

import json
import os
import re
import struct
from typing import Any
from uuid import uuid4

from probes.kit.services.datagrams.question import Question
from probes.kit.services.talk import Heard, text

_DHIP = b"\x20\x00\x00\x00DHIP"


def _hikvision() -> bytes:
    # SADP, as the maker's search tool speaks it.
    uuid = str(uuid4()).upper()
    return f'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>{uuid}</Uuid><Types>inquiry</Types></Probe>'.encode()


def _read_hikvision(asked: bytes, got: bytes) -> Heard | None:
    mark = re.search(rb"<Uuid>[0-9A-F-]{36}</Uuid>", asked)
    if mark is None or mark[0] not in got or b"<ProbeMatch>" not in got:
        return None
    facts = {"hw.vendor": "Hikvision", "hw.device": "camera or recorder"}
    for name, key in ((b"DeviceDescription", "hw.product"), (b"SoftwareVersion", "os.version"), (b"MAC", "host.mac")):
        found = re.search(rb"<" + name + rb">([^<]{1,128})</", got)
        if found is not None:
            facts[key] = text(found[1])
    activated = re.search(rb"<Activated>(true|false)</", got)
    if activated is not None:
        # Until it is activated it has no password: whoever comes first sets one.
        facts["authentication"] = "required" if activated[1] == b"true" else "none"
        if activated[1] == b"false":
            facts["security"] = "no password is set yet"
    return Heard("hikvision-sadp", facts)


def _dahua() -> bytes:
    body = b'{"method":"DHDiscover.search","params":{"mac":"","uni":1}}\n'
    return _DHIP + bytes(8) + struct.pack("<IIII", len(body), 0, len(body), 0) + body


def _read_dahua(_asked: bytes, got: bytes) -> Heard | None:
    if not got.startswith(_DHIP) or b'"DHDiscover.search"' in got:
        return None
    facts = {"hw.vendor": "Dahua", "hw.device": "camera or recorder"}
    try:
        said: Any = json.loads(got[32:].rstrip(b"\0\n"))
        device = said["params"]["deviceInfo"]
        found = {
            "hw.product": device.get("DeviceType"),
            "os.version": device.get("Version"),
            "host.mac": said.get("mac"),
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Heard("dahua-dhip", facts)
    facts |= {
        name: text(value.encode("utf-8", "replace"))
        for name, value in found.items()
        if isinstance(value, str) and value
    }
    return Heard("dahua-dhip", facts)


def _ubiquiti() -> bytes:
    return b"\x01\x00\x00\x00"


def _read_ubiquiti(_asked: bytes, got: bytes) -> Heard | None:
    if len(got) < 4 or got[:2] not in (b"\x01\x00", b"\x02\x06") or got == _ubiquiti():
        return None
    facts, place = {"hw.vendor": "Ubiquiti", "hw.device": "access point or router"}, 4
    names = {3: "os.version", 11: "host.name", 12: "hw.product", 21: "hw.product"}
    while place + 3 <= len(got):
        kind, length = got[place], int.from_bytes(got[place + 1 : place + 3], "big")
        if kind in names and (value := text(got[place + 3 : place + 3 + length])):
            facts[names[kind]] = value
        place += 3 + length
    return Heard("ubiquiti-discovery", facts)


def _bacnet() -> bytes:
    # ReadProperty of the maker's name from "whichever device you are" (ASHRAE 135, device instance 4194303).
    return b"\x81\x0a\x00\x11\x01\x04\x00\x05" + os.urandom(1) + b"\x0c\x0c\x02\x3f\xff\xff\x19\x79"


def _read_bacnet(asked: bytes, got: bytes) -> Heard | None:
    # A complex acknowledgement or an error, with our number.
    if got[:2] != b"\x81\x0a" or not re.search(rb"[\x30\x50]" + re.escape(asked[8:9]) + rb"\x0c", got[4:24], re.DOTALL):
        return None
    facts = {"hw.device": "building controller"}
    found = re.search(rb"\x3e(?:([\x71-\x74])|\x75(.))\x00", got, re.DOTALL)
    if found is not None:
        length = (found[1][0] & 7 if found[1] else found[2][0]) - 1
        facts["hw.vendor"] = text(got[found.end() : found.end() + length])
    return Heard("bacnet", facts)


DEVICES: tuple[Question, ...] = (
    Question("ubiquiti-discovery", (10001,), _ubiquiti, _read_ubiquiti),
    Question("hikvision-sadp", (37020,), _hikvision, _read_hikvision),
    Question("dahua-dhip", (37810,), _dahua, _read_dahua),
    Question("bacnet", (47808,), _bacnet, _read_bacnet),
)
