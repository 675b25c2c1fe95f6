"""ONVIF over TCP (Core Specification, Device Management): who made this camera, asked once and without a password.

One GetDeviceInformation tells it apart either way. Some answer it to anybody; the others refuse with a SOAP fault whose
words are ONVIF's own, and that refusal says what they are. A bare 401 in no such words says nothing.
"""

import html
import re
from collections.abc import Generator
from functools import cache

from probes.kit.fingerprint.match import by_key, identify
from probes.kit.fingerprint.model import Fingerprint
from probes.kit.fingerprint.own import built_in
from probes.kit.services.protocols import http
from probes.kit.services.talk import Heard, Receive, Send, Start, Step, Talk, text

PORTS = (2020, 8899)
"""Ports where cameras (TP-Link, Xiongmai) serve ONVIF and little else; a start page is not to be had there."""
PATH = "/onvif/device_service"
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_ASK = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    f'<GetDeviceInformation xmlns="{_DEVICE}"/></s:Body></s:Envelope>'
).encode()
_KIND = f'application/soap+xml; charset=utf-8; action="{_DEVICE}/GetDeviceInformation"'
_OWN_WORDS = b"http://www.onvif.org/ver"
_SOAP = (b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/")
_FAULT = re.compile(rb"<(?:[\w.-]{1,32}:)?Fault[\s>]")
_ANSWER = re.compile(rb"<(?:[\w.-]{1,32}:)?GetDeviceInformationResponse[\s>]")
_END = re.compile(rb"</(?:[\w.-]{1,32}:)?Envelope\s{0,16}>")
_REFUSED = re.compile(rb":(?:NotAuthorized|FailedAuthentication)\b")
_FIELDS = {"Manufacturer": "manufacturer", "Model": "model", "FirmwareVersion": "firmware"}
_VALUES = {
    name: re.compile(rb"<(?:[\w.-]{1,32}:)?%s(?:\s[^<>]{0,256})?>([^<>]{1,512})</" % name.encode()) for name in _FIELDS
}
_HINTS = re.compile(
    r"\bIP[ _-]?cam|\bcamera|webcam|network video|\b[dnx]vr\b|\bnvs\b|\bipc\b|onvif|gsoap|摄像|录像机|视频监控",
    re.IGNORECASE,
)
_SHOWN = ("http.title", "realm")
_HEADERS = ("http_header.server", "http_header.wwwauth")


def worth(heard: Heard, port: int) -> Start | None:
    """Give the conversation if a web server hints at a camera: by its own words or by one of our fingerprints.

    A port where it comes first anyway (PORTS) is not asked a second time.
    """
    if heard.service not in ("http", "https") or port in PORTS or "onvif" in heard.facts:
        return None
    words = [heard.facts.get(name, "") for name in _SHOWN]
    words += [answer for key, answer in heard.answers if key in _HEADERS]
    hinted = any(_HINTS.search(said) for said in words)
    if not (hinted or any(identify(_cameras().get(key, ()), answer) for key, answer in heard.answers)):
        return None
    return http.over(heard.service, _ask_further)


@cache
def _cameras() -> dict[str, tuple[Fingerprint, ...]]:
    return by_key(fingerprint for fingerprint in built_in() if "camera" in fingerprint.says.get("hw.device", ""))


def talk(host: str, port: int) -> Talk:
    """Ask on a port of its own; what the web server's head says is told too."""
    raw = yield from _ask(host, port, "http")
    facts = read(raw)
    head = http.read(raw) if facts else None
    if head is None:
        return None
    answers = tuple(pair for pair in head.answers if pair[0].startswith("http_header."))
    return Heard("http", {**head.facts, **facts}, answers)


def _ask_further(host: str, port: int, scheme: str) -> Talk:
    facts = read((yield from _ask(host, port, scheme)))
    return Heard(scheme, facts) if facts else None


def _ask(host: str, port: int, scheme: str) -> Generator[Step, bytes, bytes]:
    yield Send(http.request(host, port, scheme, PATH, body=_ASK, kind=_KIND))
    return (yield Receive(lambda raw: http.complete(raw) or _END.search(raw[-64:]) is not None))


def read(raw: bytes) -> dict[str, str]:
    """Read an answer without building a tree of it; empty when it is not ONVIF's.

    A document type is where entities would be defined, and SOAP forbids one: such an answer is not read at all.
    """
    body = http.body(raw)
    if b"<!" in body or _OWN_WORDS not in body or not any(name in body for name in _SOAP):
        return {}
    start = _ANSWER.search(body)
    if start is None:
        if _FAULT.search(body) is None:
            return {}
        refused = _REFUSED.search(body) is not None
        return {"onvif": "password" if refused else "fault", "hw.device": "camera or recorder"}
    said = {}
    for name, pattern in _VALUES.items():
        found = pattern.search(body, start.end())
        value = text(html.unescape(text(found[1])).encode("utf-8", "replace")) if found else ""
        if value:
            said[_FIELDS[name]] = value
    names = {
        "hw.vendor": "manufacturer",
        "hw.product": "model",
        "service.vendor": "manufacturer",
        "service.product": "model",
        "service.version": "firmware",
        "model": "model",
        "firmware": "firmware",
    }
    facts = {fact: said[name] for fact, name in names.items() if name in said}
    if "service.product" not in facts:
        facts.pop("service.vendor", None)
        facts.pop("service.version", None)
    return {"onvif": "open", "hw.device": "camera or recorder", **facts}
