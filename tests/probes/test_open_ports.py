"""open_ports: what it finds, what it covers, and what it leaves unknown."""

import contextlib
import fcntl
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from probes import open_ports
from probes.kit.errors import OptionError
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.outcomes import Settled
from probes.kit.sending.pacing import QuietHours
from probes.open_ports import DEFAULT_PORTS
from tests.probes.rig import LAB, Run, entry, net_of, run
from tests.raw.lab import usable
from tests.support.addresses import needs_address
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes, wait_until
from wire.digest import section_digest
from wire.ports import contains, expand, parse_ports
from wire.types import Body, Outcome, RunStatus, TargetKind, Transport

LISTENERS = str(Path(__file__).with_name("listeners.py"))
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def covers(found: Run, address: str, port: int) -> bool:
    wanted = ip_address(address)
    return any(
        contains(parse_ports(item.ports), port)
        for item in found.coverage
        for prefix in item.prefixes
        if item.family == wanted.version and wanted in ip_network(prefix)
    )


def scan(given: Mapping[str, Any], net: Net, *, seconds: float = 60) -> Run:
    """Find ports without asking who answers there, which has tests of its own."""
    return run("open_ports", {"identify": False, **given}, net, seconds=seconds)


class _Crowd:
    """Servers of many ports that greet at once and hold on; `most` connections were open at a time."""

    def __init__(self, ports: int) -> None:
        self.most = 0
        self._doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(ports)]
        self.ports = ",".join(str(door.getsockname()[1]) for door in self._doors)
        self._held: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "_Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in (*self._doors, *self._held):
            one.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            for door in select.select(self._doors, [], [], 0.05)[0]:
                guest = door.accept()[0]
                guest.setblocking(False)
                with contextlib.suppress(OSError):
                    guest.sendall(b"220 ftp.example ProFTPD 1.3.5 ready\r\n")
                # Whatever was closed before this one came has been heard of by now.
                self._held = [one for one in (*self._held, guest) if self._is_open(one)]
                self.most = max(self.most, len(self._held))
            self._held = [one for one in self._held if self._is_open(one)]

    @staticmethod
    def _is_open(one: socket.socket) -> bool:
        """Whether it stays open: whoever asks something is left."""
        with contextlib.suppress(OSError):
            try:
                one.recv(4096)
            except BlockingIOError:
                return True
        one.close()
        return False


@pytest.mark.parametrize("engine", ["connect", "auto"])
def test_the_cap_for_one_host_holds_for_those_who_ask_services_too(engine: str) -> None:
    with _Crowd(24) as crowd:
        given = {"targets": ["127.0.0.1"], "ports": crowd.ports, "engine": engine, "per_host": 3}
        found = run("open_ports", given, Net(Scope()), seconds=60)
    assert {item.values.get("service") for item in found.observations if item.target.port} == {"ftp"}
    assert len(found.open()) == 24
    assert 0 < crowd.most <= 3


def digest(found: Run) -> str:
    body = Body(tuple(found.observations), tuple(found.coverage), tuple(found.skipped))
    return section_digest("open_ports", RunStatus.DONE, "", body)


@pytest.fixture
def school(netns: Namespaces, process: Processes) -> tuple[Namespace, Attachment, Attachment]:
    """A gateway, and on its link a server with three open ports on both families."""
    gateway, server = netns(), netns()
    here, there = netns.link(gateway, server)
    process([sys.executable, LISTENERS, "22", "80", "443"], netns=server, ready="ready")
    usable(gateway, server)
    return gateway, here, there


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_services_hosts_and_coverage(school: tuple[Namespace, Attachment, Attachment], engine: str) -> None:
    gateway, here, there = school
    given = {
        "targets": [str(here.v4.network), f"{there.v6.ip}"],
        "ports": "20-25,80,443",
        "timeout": 2.0,
        "rate": 10000.0,
        "engine": engine,
    }
    found = gateway.call(scan, given, net_of(*LAB))
    assert found.open() == {(str(ip), port) for ip in (there.v4.ip, there.v6.ip) for port in (22, 80, 443)}
    service = next(item for item in found.observations if item.target.kind is TargetKind.SERVICE)
    assert (service.method, service.target.transport, dict(service.values)) == (engine, Transport.TCP, {})
    assert service.duration > 0
    hosts = {item.target.name: item for item in found.observations if item.target.kind is TargetKind.HOST}
    assert {name: item.outcome for name, item in hosts.items()} == {
        str(here.v4.ip): Outcome.SEEN,
        str(there.v4.ip): Outcome.SEEN,
        str(there.v6.ip): Outcome.SEEN,
    }
    said = dict(hosts[str(there.v4.ip)].values)
    assert (said.pop("mac"), said.pop("local_mac")) == (hosts[str(there.v6.ip)].values["mac"], True)
    assert said == {"closed": "20-21,23-25"}
    assert dict(hosts[str(here.v4.ip)].values) == {"closed": "20-25,80,443"}
    # Silence on a link that is up means that nobody is there; network and broadcast addresses go along with it.
    assert {(item.prefixes, item.family, item.ports) for item in found.coverage} == {
        ((str(here.v4.network),), 4, "20-25,80,443"),
        ((f"{there.v6.ip}/128",), 6, "20-25,80,443"),
    }
    assert found.skipped == []
    assert (found.progress[0].done, found.progress[-1].done) == (0, found.progress[-1].total - 2 * 8)
    # Whoever names one of those by itself is told why nothing was sent there.
    broadcast = str(here.v4.network.broadcast_address)
    alone = gateway.call(scan, {**given, "targets": [broadcast]}, net_of(*LAB))
    assert [(item.what, item.reason) for item in alone.skipped] == [(broadcast, "no_host")]
    assert alone.coverage == []


def test_the_same_picture_has_the_same_digest(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, _, there = school
    given = {"targets": [f"{there.v4.ip}", f"{there.v6.ip}", "10.9.9.0/24"], "ports": "1-1000"}
    first, second = (gateway.call(scan, given, net_of(*LAB)) for _ in range(2))
    assert first.observations != second.observations
    assert digest(first) == digest(second)


def test_behind_a_router_silence_proves_nothing(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, _, there = school
    gateway.run(["ip", "route", "add", "198.18.77.0/24", "via", str(there.v4.ip)])
    given = {"targets": ["198.18.77.5", "198.18.77.8/30"], "ports": "80,81", "timeout": 0.2}
    found = gateway.call(scan, given, net_of(*LAB))
    assert found.coverage == []
    assert {(item.what, item.reason) for item in found.skipped} == {
        ("198.18.77.5", "no_answer"),
        ("198.18.77.8/30", "no_answer"),
    }
    # A host that was named gets a line all the same, and its state is unknown.
    assert [(item.target.name, item.outcome) for item in found.observations] == [("198.18.77.5", Outcome.UNKNOWN)]


def test_behind_a_router_one_answer_shows_that_the_path_is_up(
    netns: Namespaces, school: tuple[Namespace, Attachment, Attachment]
) -> None:
    gateway, _, there = school
    gateway.run(["ip", "route", "add", "198.18.77.0/24", "via", str(there.v4.ip)])
    far = netns()
    # The server routes on to a network on which one of four addresses is a host.
    server = Namespace(gateway.name.rsplit("-", 1)[0] + "-" + str(int(gateway.name.rsplit("-", 1)[1]) + 1))
    server.sysctl("net.ipv4.ip_forward", 1)
    hop, leaf = netns.link(server, far)
    server.run(["ip", "address", "add", "198.18.77.1/24", "dev", hop.interface])
    far.run(["ip", "address", "add", "198.18.77.9/24", "dev", leaf.interface])
    far.run(["ip", "route", "add", "default", "via", "198.18.77.1"])
    given = {"targets": ["198.18.77.8/30"], "ports": "80,81", "timeout": 0.3}
    found = gateway.call(scan, given, net_of(*LAB))
    assert covers(found, "198.18.77.9", 80)
    assert covers(found, "198.18.77.10", 81)
    assert found.skipped == []


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_this_machine_itself_does_not_show_that_its_link_is_up(netns: Namespaces, engine: str) -> None:
    gateway, switch = netns(), netns()
    here, there = netns.link(gateway, switch)
    switch.run(["ip", "link", "set", there.interface, "down"])  # as when the cable is pulled
    plugged = ["ip", "link", "show", "dev", here.interface]
    wait_until(lambda: "NO-CARRIER" in gateway.run(plugged).stdout, "the link to go down")
    given = {"targets": [f"{here.v4.ip}-6"], "ports": "80,81", "timeout": 0.3, "engine": engine}
    found = gateway.call(scan, given, net_of(*LAB))
    assert covers(found, str(here.v4.ip), 80)
    assert not any(covers(found, str(here.v4.network[number]), 80) for number in range(2, 7))
    assert {item.reason for item in found.skipped} == {"no_answer"}


def test_a_link_speaks_for_none_behind_a_router(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, here, there = school
    beyond = f"{here.v4.network[64]}/26"
    gateway.run(["ip", "route", "add", beyond, "via", str(there.v4.ip)])
    given = {"targets": [f"{here.v4.ip}-67"], "ports": "80,81", "timeout": 0.3}
    found = gateway.call(scan, given, net_of(*LAB))
    assert covers(found, str(here.v4.network[63]), 80)
    assert [(item.what, item.reason) for item in found.skipped] == [(f"{here.v4.network[64]}/30", "no_answer")]
    assert not covers(found, str(here.v4.network[64]), 80)


@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")
def test_silence_through_a_tunnel_proves_nothing(netns: Namespaces) -> None:
    gateway = netns()

    def inside() -> Run:
        with Path("/dev/net/tun").open("r+b", buffering=0) as tunnel:
            fcntl.ioctl(tunnel, _TUNSETIFF, struct.pack("16sH", b"tun0", _IFF_TUN | _IFF_NO_PI))
            gateway.batch(["address add 198.18.250.1/24 dev tun0", "link set tun0 up"])
            return scan({"targets": ["198.18.250.1-3"], "ports": "80", "timeout": 0.2}, net_of(*LAB))

    found = gateway.call(inside)
    assert covers(found, "198.18.250.1", 80)
    assert [(item.what, item.reason) for item in found.skipped] == [("198.18.250.2/31", "no_answer")]


def test_a_link_that_is_down_proves_nothing(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, here, there = school
    gateway.run(["ip", "link", "set", here.interface, "down"])
    found = gateway.call(scan, {"targets": [f"{there.v4.ip}"], "ports": "80"}, net_of(*LAB))
    assert found.coverage == []
    assert [item.reason for item in found.skipped] == ["unreachable"]


def test_what_is_out_of_scope_is_named_with_its_command(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, _, there = school
    net = net_of(entry(f"{there.v4.ip}", "80"))
    given = {"targets": [f"{there.v4.ip}", "10.1.0.0/24", "2001:db8::/120"], "ports": "22,80"}
    found = gateway.call(scan, given, net)
    assert found.open() == {(str(there.v4.ip), 80)}
    assert not covers(found, str(there.v4.ip), 22)
    assert covers(found, str(there.v4.ip), 80)
    told = {item.what: item.reason for item in found.skipped}
    assert set(told) == {"10.1.0.0/24", "2001:db8::/120", f"{there.v4.ip} ports 22"}
    assert told["10.1.0.0/24"] == (
        "out_of_scope: edusec scope add 10.1.0.0/24 --authoriser NAME --reason TEXT --until DATE"
    )
    assert net.refusals == 256 + 256 + 1


@pytest.mark.parametrize("probe", ["open_ports", "udp_ports", "discovery"])
def test_an_interface_that_is_not_there_ends_nothing_else(probe: str) -> None:
    given = {"targets": ["fe80::1%nosuch0", "127.0.0.1"], **({} if probe == "discovery" else {"ports": "9"})}
    found = run(probe, given, net_of("fe80::/64"))
    assert ("fe80::1", "unreachable") in {(item.what, item.reason) for item in found.skipped}
    assert covers(found, "127.0.0.1", 9) or probe == "discovery"


def test_quiet_hours_skip_everything_but_this_machine() -> None:
    net = net_of("198.18.0.0/15", quiet=(QuietHours.parse("00:00-12:00"), QuietHours.parse("12:00-00:00")))
    found = scan({"targets": ["198.18.1.0/24", "127.0.0.1"], "ports": "1"}, net)
    assert [(item.what, item.reason.partition(":")[0]) for item in found.skipped] == [("198.18.1.0/24", "quiet_hours")]
    assert covers(found, "127.0.0.1", 1)


def test_at_the_deadline_nothing_unfinished_is_covered(school: tuple[Namespace, Attachment, Attachment]) -> None:
    gateway, _, there = school
    given = {"targets": [f"{there.v4.ip}", f"{there.v6.ip}"], "ports": "1-60000", "rate": 500.0}
    found = gateway.call(scan, given, net_of(*LAB), seconds=2.5)
    assert found.coverage == []
    assert {(item.what, item.reason) for item in found.skipped} == {
        (str(there.v4.ip), "deadline"),
        (str(there.v6.ip), "deadline"),
    }


def test_no_time_at_all_is_said_too() -> None:
    found = scan({"ports": "1-10"}, net_of(), seconds=0)
    assert (found.observations, found.coverage) == ([], [])
    assert {item.what for item in found.skipped} == {"127.0.0.1", "::1"}


def test_a_host_on_which_all_is_open_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_ports, "_MAX_OBSERVATIONS", 20)
    monkeypatch.setattr(open_ports, "_LEAST_OF_HOST", 10)
    with contextlib.ExitStack() as opened:
        crowd = [opened.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(30)]
        opened.enter_context(socket.create_server(("127.0.0.2", crowd[0])))
        found = scan({"targets": ("127.0.0.1-2",), "ports": ",".join(map(str, crowd))}, net_of())
    assert ("127.0.0.2", crowd[0]) in found.open()
    assert covers(found, "127.0.0.2", crowd[0])
    assert len(found.open()) == 11
    assert [(item.what, item.reason) for item in found.skipped] == [("127.0.0.1", "too_large")]
    assert not any(covers(found, "127.0.0.1", port) for port in crowd)


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_a_machine_without_ipv6_says_so_and_waits_for_nothing(netns: Namespaces, engine: str) -> None:
    """Without any address of the family connect() says what it says when all local ports are taken (EADDRNOTAVAIL)."""
    bare = netns(ipv6=False)
    usable(bare, bare)
    given = {"targets": ["127.0.0.1", "::1", "2001:db8::1"], "ports": "1-200", "engine": engine}
    found = bare.call(scan, given, net_of(*LAB), seconds=60)
    assert [prefix for item in found.coverage for prefix in item.prefixes] == ["127.0.0.1/32"]
    assert {item.what: item.reason for item in found.skipped} == {"::1": "unreachable", "2001:db8::1": "unreachable"}
    assert bare.call(net_of().connect, "::1", 9, 5).settled is Settled.UNREACHABLE


def test_the_default_looks_at_this_machine(free_port: Callable[..., int]) -> None:
    needs_address("::1")
    found = scan({}, net_of())
    assert {prefix for item in found.coverage for prefix in item.prefixes} == {"127.0.0.1/32", "::1/128"}
    assert found.skipped == []
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert scan({"ports": str(port)}, net_of()).open() == {("127.0.0.1", port)}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("targets", ["2001:db8::/64"], "a /64 has"),
        ("targets", ["10.0.0.0/8"], "a /16 is the most"),
        ("targets", ["www.example.edu.cn"], "neither an address"),
        ("ports", "0-70000", "outside 0-65535"),
        ("rate", 0, "from 1 to"),
        ("timeout", 0, "from 0.05 to 30"),
    ],
)
def test_options_say_what_they_allow(key: str, value: object, says: str) -> None:
    with pytest.raises(OptionError, match=f"^open_ports: {key}: .*{says}"):
        scan({key: value}, net_of())


def test_the_default_ports_hold_the_high_risk_ones() -> None:
    risky = (
        "21-23,135,137-139,445,512-515,593,873,1433,1521,2049,2181,2375,3306,3389,5432,5900-5901,5985-5986,6379,7001"
    )
    risky += ",8000,8009,8161,9100,9200,10250,11211,27017,37777,50070,554,389,111"
    assert set(expand(parse_ports(risky))) <= set(expand(parse_ports(DEFAULT_PORTS)))


def test_link_local_addresses_are_scanned_on_the_interface_that_was_named(
    netns: Namespaces, process: Processes
) -> None:
    """The same link-local address on two links is two hosts."""
    gateway, left, right = netns(), netns(), netns()
    links = [netns.link(gateway, host)[0].interface for host in (left, right)]
    for host, port, interface in ((left, "1001", links[0]), (right, "1002", links[1])):
        host.run(["ip", "address", "add", "fe80::99/64", "dev", interface, "nodad"])
        process([sys.executable, LISTENERS, port], netns=host, ready="ready")
    given = {"targets": [f"fe80::99%{name}" for name in links], "ports": "1000-1003", "timeout": 4.0}
    found = gateway.call(scan, given, net_of("fe80::/64"))
    assert found.open() == {(f"fe80::99%{links[0]}", 1001), (f"fe80::99%{links[1]}", 1002)}
    assert {item.target.name: item.outcome for item in found.observations if item.target.kind is TargetKind.HOST} == {
        f"fe80::99%{name}": Outcome.SEEN for name in links
    }
    assert [item.prefixes for item in found.coverage] == [tuple(f"fe80::99%{name}/128" for name in links)]
    refused = gateway.call(scan, given, net_of())
    assert [item.what for item in refused.skipped] == ["fe80::99"]
    assert refused.observations == []
