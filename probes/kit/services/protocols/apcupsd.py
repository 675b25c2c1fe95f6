"""apcupsd's network information server (its manual, NIS): the state of a power supply, which it tells everybody."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (3551,)
MAX_STATUS = 8192
_REQUEST = b"\x00\x06status"
_END = b"\0\0"
_FIELD = re.compile(rb"\0[\x02-\xff](VERSION|MODEL|HOSTNAME) *: ([^\n\0]{1,128})")


def talk(_host: str, _port: int) -> Talk:
    """Ask for the status; nothing can be set here."""
    yield Send(_REQUEST)
    raw = yield Receive(lambda raw: raw.endswith(_END), MAX_STATUS)
    if not re.match(rb"\0[\x02-\xff]APC *: \d", raw):
        return None
    said = {found[1]: text(found[2]) for found in _FIELD.finditer(raw)}
    version = re.match(r"\d[\w.]*", said.get(b"VERSION", ""))
    facts = {
        "service.vendor": "Apcupsd",
        "service.product": "apcupsd",
        "service.version": version[0] if version else "",
        "hw.device": "power supply's server",
        "model": said.get(b"MODEL", ""),
        "host.name": said.get(b"HOSTNAME", ""),
    }
    return Heard("apcupsd", {name: value for name, value in facts.items() if value})
