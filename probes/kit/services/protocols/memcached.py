"""memcached: its `version` command, which reads and changes nothing."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, line_end, text

PORTS = (11211,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for the version."""
    yield Send(b"version\r\n")
    reply = yield Receive(line_end, 256)
    found = re.match(rb"VERSION (\d[\w.]{0,31})", reply)
    if found is None:
        return None
    version = text(found[1])
    return Heard(
        "memcache",
        {
            "service.vendor": "Memcached",
            "service.product": "Memcached",
            "service.version": version,
            "service.cpe23": f"cpe:/a:memcached:memcached:{version}",
            "authentication": "none",
        },
    )
