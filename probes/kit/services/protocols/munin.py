"""Munin's node (its protocol, munin-node): it greets with its name, and tells its version to whom it serves."""

import re
from collections.abc import Generator
from dataclasses import replace

from probes.kit.services.talk import Heard, Receive, Send, line_end, text

_GREETING = re.compile(rb"# munin node at ([\w.-]{1,253})\n")
_VERSION = re.compile(rb"munins node on [^\n]{1,253} version: (\d[\w.]{0,31})")


def read(raw: bytes) -> Heard | None:
    """Read the greeting."""
    found = _GREETING.match(raw)
    if found is None:
        return None
    product = {
        "service.vendor": "Munin",
        "service.product": "Munin",
        "service.cpe23": "cpe:/a:munin-monitoring:munin",
    }
    return Heard("munin", {**product, "banner": text(raw), "host.name": text(found[1])})


def go_on(heard: Heard) -> Generator[Send | Receive, bytes, Heard]:
    """Ask for the version; no figure is fetched."""
    yield Send(b"version\n")
    found = _VERSION.search((yield Receive(line_end, 512)))
    return heard if found is None else replace(heard, facts={**heard.facts, "service.version": text(found[1])})
