"""beanstalkd, a queue of jobs: its `stats`, which take no job and change nothing."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (11300,)
MAX_STATS = 4096


def talk(_host: str, _port: int) -> Talk:
    """Ask for the figures of the server."""
    yield Send(b"stats\r\n")
    raw = yield Receive(_whole, MAX_STATS)
    found = re.search(rb"^version: \"?(\d[\w.]{0,31})", raw, re.MULTILINE)
    if not raw.startswith(b"OK ") or b"current-jobs-ready:" not in raw or found is None:
        return None
    return Heard(
        "beanstalkd",
        {
            "service.vendor": "beanstalkd",
            "service.product": "beanstalkd",
            "service.version": text(found[1]),
            "authentication": "none",
        },
    )


def _whole(raw: bytes) -> bool:
    size = re.match(rb"OK (\d{1,6})\r\n", raw)
    return size is not None and len(raw) >= size.end() + int(size[1]) + 2
