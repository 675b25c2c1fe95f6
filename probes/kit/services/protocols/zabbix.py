"""Zabbix agent: its version, which it tells to the addresses that it lets ask (`Server=` of its configuration)."""

import re

from probes.kit.services.talk import Heard, Receive, Send, Talk, text

PORTS = (10050,)
_KEY = b"agent.version"
REQUEST = b"ZBXD\x01" + len(_KEY).to_bytes(8, "little") + _KEY


def talk(_host: str, _port: int) -> Talk:
    """Ask for the version, one of its items; an agent that does not know us hangs up."""
    yield Send(REQUEST)
    raw = yield Receive(lambda got: len(got) >= 13 and len(got) >= 13 + min(got[5], 64), 128)
    found = re.match(rb"ZBXD\x01[\x00-\xff]{8}(\d[\w.]{0,31})$", raw)
    if found is None:
        return Heard("zabbix-agent") if raw.startswith(b"ZBXD\x01") else None
    version = text(found[1])
    return Heard(
        "zabbix-agent",
        {
            "service.vendor": "Zabbix",
            "service.product": "Zabbix agent",
            "service.version": version,
            "service.cpe23": f"cpe:/a:zabbix:zabbix_agent:{version}",
        },
    )
