"""WS-Discovery (OASIS 1.1 and the April 2005 draft that devices speak): a Probe to all, ProbeMatches from each.

A match that does not tell where the device's metadata is (XAddrs) is followed by a Resolve. The metadata (Devices
Profile for Web Services, section 5) are asked for with a Get of WS-Transfer. Answers are XML of strangers.
"""

import re
from collections import defaultdict
from collections.abc import Container
from urllib.parse import unquote
from uuid import uuid4

from probes.kit.discovery.elements import texts
from probes.kit.discovery.told import DESCRIPTION, Told, word, words

METHOD = "wsd"
PORT = 3702
GROUPS = {4: "239.255.255.250", 6: "ff02::c"}
MAX_DATAGRAM = 32_768
MAX_METADATA = 65_536
_MOST_ELEMENTS = 400
_WANTED = {"RelatesTo", "Address", "Types", "Scopes", "XAddrs"}
_METADATA = {
    "FriendlyName", "FirmwareVersion", "SerialNumber", "Manufacturer", "ModelName", "Types", "Address", "Computer",
}  # fmt: skip
_ONVIF = re.compile(r"onvif://www\.onvif\.org/(name|hardware)/([^/\s]{1,128})", re.IGNORECASE)
_ENDPOINT = re.compile(r"(?:urn:)?uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DEVICES = (
    ("camera", ("NetworkVideoTransmitter", "NetworkVideoDisplay")),
    ("printer", ("PrintDeviceType", "PrinterServiceType")),
    ("scanner", ("ScanDeviceType", "ScannerServiceType")),
    ("computer", ("Computer",)),
)
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_TO_ALL = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
_GET = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
_ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"


def questions() -> dict[str, bytes]:
    """Write Probes, by the id that answers relate to: for devices of any kind, and for those that want it spelt out.

    Some compare the text of the type, prefix and all, so that the prefix is the usual one.
    """
    return dict(
        _message(f"{_DISCOVERY}/Probe", _TO_ALL, f"<d:Probe>{types}</d:Probe>")
        for types in ("", "<d:Types>wsdp:Device</d:Types>")
    )


def resolve(endpoint: str) -> tuple[str, bytes]:
    """Write the question where an endpoint is, with the id that the answer relates to."""
    body = f"<d:Resolve><a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference></d:Resolve>"
    return _message(f"{_DISCOVERY}/Resolve", _TO_ALL, body)


def get(endpoint: str) -> bytes:
    """Write the request for the metadata of an endpoint."""
    reply = f"<a:ReplyTo><a:Address>{_ANONYMOUS}</a:Address></a:ReplyTo>"
    return _message(_GET, endpoint, "", reply)[1]


def endpoint_of(told: Told) -> str:
    """Give the endpoint that a device names itself by, as it spells it; empty where it is no UUID."""
    return next((uuid for uuid in told.uuids if _ENDPOINT.fullmatch(uuid)), "")


def _message(action: str, to: str, body: str, more: str = "") -> tuple[str, bytes]:
    mark = f"urn:uuid:{uuid4()}"
    return mark, (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        f'xmlns:d="{_DISCOVERY}" '
        'xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof"><s:Header>'
        f"<a:Action>{action}</a:Action><a:MessageID>{mark}</a:MessageID><a:To>{to}</a:To>{more}"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def read(packet: bytes, marks: Container[str]) -> Told | None:
    """Read the answer to a Probe or Resolve with one of these ids; None for anything else, and for hostile XML."""
    found = _by_name(packet, _WANTED, MAX_DATAGRAM)
    if not any(mark in marks for mark in found["RelatesTo"]):
        return None
    scopes = " ".join(found["Scopes"])
    about = {name.lower(): word(unquote(value)) for name, value in _ONVIF.findall(scopes)}
    types = _types(found["Types"])
    return Told(
        METHOD,
        names=words([about.get("name", "")]),
        uuids=tuple(found["Address"]),
        model=about.get("hardware", ""),
        device=_device(types),
        services=words(word(kind) for kind in types),
        locations=tuple(place for text in found["XAddrs"] for place in text.split()),
    )


def read_metadata(raw: bytes) -> Told | None:
    """Read the answer to a Get; None where it tells nothing of a device.

    What a computer's says of maker, model and serial number is said of the program that answers, the same everywhere.
    """
    found = _by_name(raw, _METADATA, MAX_METADATA)
    first = {name: word(some[0]) for name, some in found.items() if some}
    types = _types(found["Types"])
    uuids = tuple(found["Address"])
    if "Computer" in first:
        host, _, member = first["Computer"].partition("/")
        return Told(
            DESCRIPTION, hosts=words([host]), uuids=uuids, device="computer", workgroup=member.partition(":")[2]
        )
    if not {"FriendlyName", "Manufacturer", "ModelName"} & first.keys():
        return None
    return Told(
        DESCRIPTION,
        names=words([first.get("FriendlyName", "")]),
        uuids=uuids,
        model=first.get("ModelName", ""),
        vendor=first.get("Manufacturer", ""),
        device=_device(types),
        serial=first.get("SerialNumber", ""),
        firmware=first.get("FirmwareVersion", ""),
    )


def _by_name(raw: bytes, wanted: set[str], most_bytes: int) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, text in texts(raw, wanted, most_bytes=most_bytes, most_elements=_MOST_ELEMENTS) or ():
        found[path[-1]].append(text)
    return found


def _types(found: list[str]) -> set[str]:
    return {kind.rpartition(":")[2] for text in found for kind in text.split()}


def _device(types: set[str]) -> str:
    return next((device for device, some in _DEVICES if types & set(some)), "")
