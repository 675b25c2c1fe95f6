"""VNC (RFC 6143): the version, and the kinds of security offered; whether anybody may watch without a password."""

import re
from collections.abc import Generator
from dataclasses import replace

from probes.kit.services.talk import Heard, Receive, Send, text

_VERSION = re.compile(rb"RFB (\d{3})\.(\d{3})\n")
KINDS = {
    1: "none", 2: "VNC password", 5: "RA2", 6: "RA2ne", 13: "RA2 256", 16: "Tight", 17: "Ultra", 18: "TLS",
    19: "VeNCrypt", 20: "SASL", 30: "Apple", 35: "Apple Kerberos",
}  # fmt: skip
"""IANA, Remote Framebuffer Security Types."""


def read(raw: bytes) -> Heard | None:
    """Read the version that a server opens with."""
    found = _VERSION.match(raw)
    return Heard("vnc", {"protocol": f"RFB {text(found[1])}.{text(found[2])}"}) if found else None


def go_on(heard: Heard, raw: bytes) -> Generator[Send | Receive, bytes, Heard]:
    """Agree on a version and read the list of kinds; none is chosen, so no session begins."""
    found = _VERSION.match(raw)
    old = found is not None and (found[1], found[2]) < (b"003", b"007")
    yield Send(b"RFB 003.003\n" if old else b"RFB 003.008\n")
    if old:
        listed = yield Receive(lambda got: len(got) >= 4, 4)
        kinds = [int.from_bytes(listed, "big")] if len(listed) == 4 else []
    else:
        listed = yield Receive(lambda got: bool(got) and len(got) > got[0], 256)
        kinds = list(listed[1 : 1 + listed[0]]) if listed and len(listed) > listed[0] else []
    if not any(kinds):
        return heard  # none at all means that it refuses us, with a reason
    facts = {
        "authentication": "none" if 1 in kinds else "required",
        "security": ", ".join(KINDS.get(kind, str(kind)) for kind in kinds[:16]),
    }
    return replace(heard, facts={**heard.facts, **facts})
