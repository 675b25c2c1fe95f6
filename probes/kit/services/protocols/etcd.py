"""etcd: the version that it tells everybody, and with it that it can be reached at all."""

import json
from collections.abc import Mapping

from probes.kit.services.protocols import http
from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (2379,)


def talk(host: str, port: int) -> Talk:
    """Ask for /version, which reads nothing that is stored."""
    yield Send(http.request(host, port, path="/version"))
    raw = yield Receive(http.complete)
    try:
        said = json.loads(http.body(raw))
    except (ValueError, RecursionError):
        return None
    version = said.get("etcdserver") if isinstance(said, Mapping) else None
    if not isinstance(version, str):
        return None
    number = text(version.encode("utf-8", "replace"), 32)
    return Heard(
        "http",
        {
            "service.vendor": "etcd",
            "service.product": "etcd",
            "service.version": number,
            "service.cpe23": f"cpe:/a:etcd:etcd:{number}",
        },
    )
