"""WS-Discovery (OASIS 1.1 and the April 2005 draft that devices speak): a Probe to all, ProbeMatches from each.

Answers are XML of strangers. The parser is expat, told to stop at the first sign of a document type: without one there
are no entities to expand, and size, depth and number of elements are bounded.
"""

import re
from collections.abc import Container
from urllib.parse import unquote
from uuid import uuid4
from xml.parsers import expat

from probes.kit.discovery.told import Told, word, words

METHOD = "wsd"
PORT = 3702
GROUPS = {4: "239.255.255.250", 6: "ff02::c"}
MAX_DATAGRAM = 32_768
_MOST_ELEMENTS = 400
_DEEPEST = 24
_MOST_TEXT = 4096
_WANTED = {"RelatesTo", "Address", "Types", "Scopes", "XAddrs"}
_ONVIF = re.compile(r"onvif://www\.onvif\.org/(name|hardware)/([^/\s]{1,128})", re.IGNORECASE)
_DEVICES = (
    ("camera", ("NetworkVideoTransmitter", "NetworkVideoDisplay")),
    ("printer", ("PrintDeviceType", "PrinterServiceType")),
    ("scanner", ("ScanDeviceType", "ScannerServiceType")),
    ("computer", ("Computer",)),
)


class _Hostile(Exception):
    """The text is not one that a device would send."""


def questions() -> dict[str, bytes]:
    """Write Probes, by the id that answers relate to: for devices of any kind, and for those that want it spelt out.

    Some compare the text of the type, prefix and all, so that the prefix is the usual one.
    """
    return dict(_probe(types) for types in ("", "<d:Types>wsdp:Device</d:Types>"))


def _probe(types: str) -> tuple[str, bytes]:
    mark = f"urn:uuid:{uuid4()}"
    return mark, (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        'xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof"><s:Header>'
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
        f"<a:MessageID>{mark}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        f"</s:Header><s:Body><d:Probe>{types}</d:Probe></s:Body></s:Envelope>"
    ).encode()


def read(packet: bytes, marks: Container[str]) -> Told | None:
    """Read the answer to a Probe with one of these ids; None for anything else, and for XML with a document type."""
    found = _elements(packet)
    if found is None or not any(mark in marks for mark in found.get("RelatesTo", ())):
        return None
    types = {kind.rpartition(":")[2] for text in found.get("Types", ()) for kind in text.split()}
    scopes = " ".join(found.get("Scopes", ()))
    about = {name.lower(): word(unquote(value)) for name, value in _ONVIF.findall(scopes)}
    return Told(
        METHOD,
        names=words([about.get("name", "")]),
        uuids=tuple(found.get("Address", ())),
        model=about.get("hardware", ""),
        device=next((device for device, some in _DEVICES if types & set(some)), ""),
        services=words(word(kind) for kind in types),
    )


def _elements(packet: bytes) -> dict[str, list[str]] | None:
    """Give the texts of the elements that matter, by local name; None when it is no XML that a device would send."""
    if len(packet) > MAX_DATAGRAM:
        return None
    found: dict[str, list[str]] = {}
    path: list[str] = []
    count = 0

    def start(name: str, _attributes: object) -> None:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS or len(path) >= _DEEPEST:
            raise _Hostile
        local = name.rpartition(" ")[2]
        path.append(local)
        if local in _WANTED:
            found.setdefault(local, []).append("")

    def end(_name: str) -> None:
        path.pop()

    def characters(text: str) -> None:
        if path and path[-1] in _WANTED:
            texts = found[path[-1]]
            texts[-1] = (texts[-1] + text)[:_MOST_TEXT]

    def refuse(*_: object) -> int:
        raise _Hostile

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(packet, True)
    except (expat.ExpatError, _Hostile, ValueError, LookupError):
        return None
    return {name: [text.strip() for text in texts] for name, texts in found.items()}
