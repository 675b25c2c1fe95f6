"""Network UPS Tools: `VER`, which its server answers to everybody; no power supply is named."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

PORTS = (3493,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for the version."""
    yield Send(b"VER\n")
    found = re.match(rb"Network UPS Tools upsd (\d[\w.]{0,31})", (yield Receive(line_end, 512)))
    if found is None:
        return None
    return Heard(
        "nut",
        {
            "service.vendor": "Network UPS Tools",
            "service.product": "upsd",
            "service.version": text(found[1]),
            "hw.device": "power supply's server",
        },
    )
