"""ZooKeeper: `srvr`, the one of its four-letter words that is allowed unless somebody forbade it."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (2181,)


def talk(_host: str, _port: int) -> Talk:
    """Ask for the state of the server; nothing that is stored is read."""
    yield Send(b"srvr")
    raw = yield Receive(lambda got: b"\n" in got, 1024)
    facts = {"service.vendor": "Apache", "service.product": "ZooKeeper", "service.cpe23": "cpe:/a:apache:zookeeper"}
    if raw.startswith(b"srvr is not executed because it is not in the whitelist"):
        return Heard("zookeeper", facts)
    found = re.match(rb"Zookeeper version: (\d[\d.]{0,31})", raw)
    if found is None:
        return None
    version = text(found[1])
    return Heard(
        "zookeeper", facts | {"service.version": version, "service.cpe23": f"cpe:/a:apache:zookeeper:{version}"}
    )
