"""Which conversations are worth having at a port, most likely first; each has a connection of its own."""

from collections.abc import Sequence

from probes.kit.connection import PRINTER_PORTS
from probes.kit.fingerprint.nmap import ServiceProbe
from probes.kit.services import (
    dns,
    greeting,
    http,
    ldap,
    memcached,
    mongodb,
    mqtt,
    mssql,
    onvif,
    postgresql,
    rdp,
    redis,
    rtsp,
    smb,
    tls,
)
from probes.kit.services.talk import MAX_RAW, Heard, Receive, Send, Start, Talk, at_least, with_raw
from wire.ports import contains
from wire.types import Transport

SPEAK_FIRST = frozenset({21, 22, 23, 25, 110, 119, 143, 220, 587, 873, 2121, 2222, 2525, 3306, 3307, 5900, 5901, 33060})
TLS_FIRST = frozenset(
    {261, 443, 465, 563, 636, 853, 990, 992, 993, 994, 995, 3269, 4443, 5986, 8443, 8883, 9443, 10250}
)
OWN: dict[int, Start] = {
    53: dns.talk,
    139: smb.talk,
    389: ldap.talk,
    445: smb.talk,
    554: rtsp.talk,
    1433: mssql.talk,
    1883: mqtt.talk,
    2020: onvif.talk,
    3268: ldap.talk,
    3389: rdp.talk,
    5432: postgresql.talk,
    5433: postgresql.talk,
    6379: redis.talk,
    8554: rtsp.talk,
    8899: onvif.talk,
    11211: memcached.talk,
    27017: mongodb.talk,
}
HTTP_FIRST = frozenset(
    {80, 81, 88, 591, 2375, 5601, 7001, 8000, 8001, 8008, 8010, 8080, 8081, 8088, 8161, 8888, 9000, 9090, 9200}
)
MOST_IMPORTED = 3
MOST_FURTHER = 4
"""Further conversations with a service that was understood: where it redirects to (2), its icon, and ONVIF."""
MOST_CONVERSATIONS = 3 + max(MOST_IMPORTED, MOST_FURTHER)
"""Most connections that one open port gets: an operator's own fingerprints are for what nothing else understood."""
SHORT_WAIT = 0.4
"""Seconds to wait for a greeting where the client usually speaks first."""


def plan(port: int) -> tuple[Start, ...]:
    """Give the conversations for a TCP port; empty for a printer's port, where every payload would be printed."""
    if port in PRINTER_PORTS:
        return ()
    first: tuple[Start, ...] = (OWN[port],) if port in OWN else ()
    if port in SPEAK_FIRST:
        return (greeting.talk, http.talk, tls.talk)
    if port in TLS_FIRST:
        return (*first, tls.talk, listen_then_ask)
    if port in HTTP_FIRST:
        return (http.talk, tls.talk, greeting.talk)
    return (*first, listen_then_ask, tls.talk)


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
"""Requests that a server answers or hangs up on, whatever it speaks; who keeps silent to one is asked nothing else."""
