"""ClamAV's daemon (clamd(8)): VERSION. Over TCP it obeys everybody, also one who tells it to stop."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

PORTS = (3310,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for the version; nothing is scanned."""
    yield Send(b"nVERSION\n")
    found = re.match(rb"ClamAV (\d[\w.]{0,31})", (yield Receive(line_end, 512)))
    if found is None:
        return None
    version = text(found[1])
    return Heard(
        "clam",
        {
            "service.vendor": "ClamAV",
            "service.product": "ClamAV",
            "service.version": version,
            "service.cpe23": f"cpe:/a:clamav:clamav:{version}",
            "authentication": "none",
        },
    )
