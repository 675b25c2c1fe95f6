"""X11 (X Window System Protocol, section 8): the server's answer to a client without any authorization."""

import struct

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (6000, 6001)
SETUP = struct.pack("<cxHHHHxx", b"l", 11, 0, 0, 0)
REFUSED, OPEN, MORE = 0, 1, 2
MAX_SETUP = 4096


def talk(_host: str, _port: int) -> Talk:
    """Connect and read; no window is asked for."""
    yield Send(SETUP)
    return read((yield Receive(_whole, MAX_SETUP)))


def read(raw: bytes) -> Heard | None:
    """Read the answer: state, version 11, and, where the display is open, who made the server."""
    if len(raw) < 8 or raw[0] not in (REFUSED, OPEN, MORE) or raw[2:4] != b"\x0b\0" or raw[4:6] != b"\0\0":
        return None
    if raw[0] != OPEN:
        return Heard("X11", {"authentication": "required", "refusal": text(raw[8 : 8 + (raw[1] or 256)])})
    if len(raw) < 40:
        return None
    vendor = text(raw[40 : 40 + int.from_bytes(raw[24:26], "little")])
    facts = {"authentication": "none", "service.vendor": vendor}
    if vendor == "The X.Org Foundation":
        # Not with its release number: Xvnc and others say that of the code they grew from.
        facts |= {"service.vendor": "X.Org", "service.product": "X.Org", "service.cpe23": "cpe:/a:x.org:x_server"}
    return Heard("X11", facts, (("x11.vendor", vendor),))


def _whole(raw: bytes) -> bool:
    return len(raw) >= 8 and len(raw) >= 8 + 4 * struct.unpack_from("<H", raw, 6)[0]
