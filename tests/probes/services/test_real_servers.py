"""Real servers from Debian side by side: each is named with the version that is installed, and nothing untrue is said.

One laboratory serves all tests of this file, and each engine asks it once.
"""

import time
from collections.abc import Iterator

import pytest

from probes.kit.fingerprint.match import by_key
from probes.kit.fingerprint.own import built_in
from probes.kit.scan.udp import Answered, sweep
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.services import identity
from probes.kit.services.drive import Drive, Result
from probes.kit.services.talk import Heard
from tests.support.servers.lab import LINK, MOVED, PREFIX, Lab, lab
from tests.support.servers.model import SERVERS
from tests.support.servers.verdict import RIGHT, verdict
from wire.types import Outcome, ScopeEntry, Transport

TCP = [name for name, server in SERVERS.items() if server.transport is Transport.TCP]
UDP = [name for name, server in SERVERS.items() if server.transport is Transport.UDP]
SAID = {
    "tigervnc": {"authentication": "none"},
    "x11": {"authentication": "none"},
    "git_daemon": {"refusal": "access denied or repository not exported: /"},
    "openldap": {"ldap.root": "dc=school,dc=example"},
    "nmbd": {"host.name": "OFFICE-PC", "host.domain": "SCHOOL"},
    "avahi": {"mdns.services": "_dns-sd, _ipp"},
    "minissdpd": {"ssdp.server": "Debian UPnP/1.1 Acme/2"},
    "chrony": {"ntp.stratum": "8"},
    "memcached_udp": {"authentication": "none"},
    "dovecot": {"starttls": "refused", "mail.login": "not offered"},
    "dante": {"authentication": "none"},
    "php_fpm": {"authentication": "none"},
    "rpcbind_tcp": {"rpc.programs": "portmapper"},
    "vsftpd": {"starttls": "refused"},
    "tftpd": {"refusal": "File not found"},
    "coap": {"coap.code": "2.05"},
    "snmpd": {"protocol": "SNMPv3"},
}
"""What some of them say besides: of themselves, or of their network."""
KNOWN = by_key(built_in())


@pytest.fixture(scope="module")
def servers(_namespaces_possible: None) -> Iterator[Lab]:
    """All servers that are here, on their usual ports, and some on others."""
    with lab(SERVERS, MOVED) as running:
        yield running


def net() -> Net:
    """Allow the laboratory alone."""
    return Net(Scope(ScopeEntry(prefix, "test", "own namespaces", None) for prefix in (PREFIX, LINK)))


@pytest.fixture(scope="module")
def by_tcp(servers: Lab) -> dict[tuple[str, int], Heard | None]:
    """What every TCP server said; on a busy machine one may miss its moment, and is asked again."""
    left = {
        (place.address, port): place.server.product
        for place in servers.places.values()
        if place.server.transport is Transport.TCP
        for port in (place.port, *place.server.more_ports)
    }
    found: dict[tuple[str, int], Heard | None] = {}

    def ask(pairs: tuple[tuple[str, int], ...]) -> list[Result]:
        return list(Drive(net()).run(pairs, time.monotonic() + 60))

    for _ in range(3):
        found |= {(result.address, result.port): result.heard for result in servers.asking.call(ask, tuple(left))}
        left = {
            pair: product
            for pair, product in left.items()
            if (heard := found.get(pair)) is None or (product and not identity.of(heard, KNOWN).product)
        }
        if not left:
            break
    return found


@pytest.fixture(scope="module")
def by_udp(servers: Lab) -> dict[tuple[str, int], Answered]:
    """What came of every UDP server; on a busy machine one may miss its moment, and is asked again."""
    left = {
        (place.address, place.port): place.server.answers
        for place in servers.places.values()
        if place.server.transport is Transport.UDP
    }
    found: dict[tuple[str, int], Answered] = {}

    def ask(pairs: tuple[tuple[str, int], ...]) -> list[Answered]:
        return list(sweep(net(), pairs, time.monotonic() + 60))

    for _ in range(3):
        found |= {(answer.address, answer.port): answer for answer in servers.asking.call(ask, tuple(left))}
        left = {pair: True for pair, due in left.items() if due and found[pair].outcome is not Outcome.OPEN}
        if not left:
            break
    return found


@pytest.mark.parametrize("name", [*TCP, *(f"{name}:{port}" for name, port in MOVED.items())])
def test_a_tcp_server_is_named(servers: Lab, by_tcp: dict[tuple[str, int], Heard | None], name: str) -> None:
    if name in servers.absent:
        pytest.skip(servers.absent[name])
    place = servers.places[name]
    for port in (place.port, *place.server.more_ports):
        heard = by_tcp[place.address, port]
        assert heard is not None
        _judge(name.partition(":")[0], heard, first=port == place.port)


@pytest.mark.parametrize("name", UDP)
def test_a_udp_server_is_open_and_named(servers: Lab, by_udp: dict[tuple[str, int], Answered], name: str) -> None:
    if name in servers.absent:
        pytest.skip(servers.absent[name])
    place = servers.places[name]
    answer = by_udp[place.address, place.port]
    if not place.server.answers:
        assert (answer.outcome, answer.heard) == (Outcome.OPEN_FILTERED, None)
        return
    assert answer.outcome is Outcome.OPEN
    assert answer.heard is not None
    _judge(name, answer.heard)


def _judge(name: str, heard: Heard, *, first: bool = True) -> None:
    server, found = SERVERS[name], identity.of(heard, KNOWN)
    assert (found.service == server.service) is first
    assert found.product == server.product
    assert verdict(server, found.product, found.version) == RIGHT, found
    assert server.tells or not found.version or server.name == "postgresql"  # which tells a range in its own way
    assert {key: heard.facts.get(key) for key in SAID.get(name, {})} == SAID.get(name, {})
