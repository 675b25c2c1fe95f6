"""Which conversations are worth having at a port, most likely first; each has a connection of its own."""

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.sending.connection import PRINTER_PORTS
from probes.kit.services.protocols import (
    greeting,
    http,
    ldap,
    memcached,
    mqtt,
    mssql,
    postgresql,
    rdp,
    redis,
    sip,
    smb,
    smb1,
    tls,
)
from probes.kit.services.talk import MAX_RAW, Heard, Receive, Send, Start, Talk, at_least, with_raw
from wire.ports import contains
from wire.types import Transport

_PROTOCOLS = Path(__file__).parent / "protocols"

SPEAK_FIRST = frozenset({21, 22, 23, 25, 110, 119, 143, 220, 587, 873, 2121, 2222, 2525, 3306, 3307, 5900, 5901, 33060})
TLS_FIRST = frozenset(
    {261, 443, 465, 563, 636, 853, 990, 992, 993, 994, 995, 3269, 4443, 5986, 8443, 8883, 9443, 10250}
)
HTTP_FIRST = frozenset(
    {80, 81, 88, 591, 2375, 2812, 5601, 7001, 8000, 8001, 8008, 8010, 8080, 8081, 8088, 8161, 8888, 9000, 9090, 9200}
)
OTHERS: tuple[Start, ...] = (
    redis.talk,
    memcached.talk,
    rdp.talk,
    postgresql.talk,
    mssql.talk,
    mqtt.talk,
    ldap.talk,
    sip.talk,
)
"""What hangs up on a request for a page, and is often moved to a port of the operator's choice."""
PATIENT: frozenset[Start] = frozenset({rdp.talk, ldap.talk})
"""Of those, the ones whose servers wait in silence for the rest of what is no message of theirs."""
MOST_IMPORTED = 3
MOST_FURTHER = 5
"""Further conversations with a service that was understood: where it redirects to (2), its icon, old TLS, and ONVIF."""
MOST_CONVERSATIONS = 3 + len(OTHERS) + max(MOST_IMPORTED, MOST_FURTHER)
"""Most connections that one open port gets: an operator's own fingerprints are for what nothing else understood."""
SHORT_WAIT = 0.4
"""Seconds to wait for a greeting where the client usually speaks first."""


def protocols() -> Iterator[ModuleType]:
    """Import every protocol's file, in the order of their names."""
    for file in sorted(_PROTOCOLS.glob("[!_]*.py")):
        yield importlib.import_module(f"{greeting.__package__}.{file.stem}")


OWN: dict[int, Start] = {port: module.talk for module in protocols() for port in getattr(module, "PORTS", ())}
"""The conversation that is the usual one at a port: of the protocol whose file names it in PORTS."""

ELDERS: Mapping[Start, tuple[Start, ...]] = {smb.talk: (smb1.talk,)}
"""Earlier versions of a protocol whose servers do not understand the later one."""


def plan(port: int) -> tuple[Start, ...]:
    """Give the conversations for a TCP port; empty for a printer's port, where every payload would be printed."""
    if port in PRINTER_PORTS:
        return ()
    first: tuple[Start, ...] = (OWN[port], *ELDERS.get(OWN[port], ())) if port in OWN else ()
    if port in SPEAK_FIRST:
        usual: tuple[Start, ...] = (greeting.talk, http.talk, tls.talk)
    elif port in TLS_FIRST:
        usual = (*first, tls.talk, listen_then_ask)
    elif port in HTTP_FIRST:
        usual = (http.talk, *first, tls.talk, greeting.talk)
    else:
        usual = (*first, listen_then_ask, tls.talk)
    return (*usual, *(start for start in OTHERS if start not in first))


def patience(start: Start, port: int) -> float:
    """Give the seconds that an answer is worth waiting for: few where a conversation is but a guess."""
    if start in OTHERS and OWN.get(port) is not start:
        return 1.0
    return 3.0 if start is tls.talk and port not in TLS_FIRST else math.inf


def imported(probes: Sequence[ServiceProbe], port: int) -> tuple[Start, ...]:
    """Give conversations from an imported nmap file for a port that nothing else understood: the likeliest few."""
    fitting = [
        probe
        for probe in probes
        if probe.transport is Transport.TCP and probe.payload and (contains(probe.ports, port) or probe.rarity <= 1)
    ]
    fitting.sort(key=lambda probe: (not contains(probe.ports, port), probe.rarity))
    return tuple(_asking(probe) for probe in fitting[:MOST_IMPORTED])


def _asking(probe: ServiceProbe) -> Start:
    def talk(_host: str, _port: int) -> Talk:
        yield Send(probe.payload)
        raw = yield Receive(at_least(1), MAX_RAW)
        return with_raw(Heard("unknown"), probe.name, raw) if raw else None

    return talk


def listen_then_ask(host: str, port: int) -> Talk:
    """Wait a moment for a greeting, then ask for a page on the same connection."""
    heard = yield from greeting.talk(host, port, SHORT_WAIT)
    if heard is None:
        heard = yield from http.talk(host, port)
    return heard


TELLING: frozenset[Start] = frozenset({http.talk, listen_then_ask})
"""Requests that a server answers or hangs up on, whatever it speaks; who keeps silent to one is asked little else."""
