"""Gearman (its PROTOCOL text, administrative protocol): the version of a job server, which takes jobs from anybody."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

PORTS = (4730,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for the version; no job is listed, taken or given."""
    yield Send(b"version\r\n")
    found = re.match(rb"OK (\d+\.\d[\w.]{0,31})", (yield Receive(line_end, 256)))
    if found is None:
        return None
    version = text(found[1])
    return Heard(
        "gearman",
        {
            "service.vendor": "Gearman",
            "service.product": "Gearman",
            "service.version": version,
            "service.cpe23": f"cpe:/a:gearman:gearmand:{version}",
            "authentication": "none",
        },
    )
