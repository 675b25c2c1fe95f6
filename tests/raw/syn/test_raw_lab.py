"""The SYN engine against real kernels whose truth is known: every pair of every scan is compared."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

import pytest

from probes.kit.raw.helper.messages import Progress
from probes.kit.raw.packets.states import State
from probes.kit.raw.syn import client
from probes.kit.raw.syn.client import HostStates
from probes.kit.raw.syn.messages import Done
from tests.raw.lab import expected, job, scan, scope, usable
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import wait_until
from wire.types import ScopeEntry

Listen = Callable[[Namespace, Iterable[int]], None]
Rules = Callable[[Namespace, str], None]

_OPEN = (1, 22, 80, 443, 1024, 3306, 5000, 7000, 8080, 9100, 30000, 40001, 50000, 60000, 65535)
_SYN = "tcp flags & (syn | ack) == syn"


def _ports(ports: Iterable[int]) -> str:
    return "{ " + ", ".join(map(str, ports)) + " }"


def _pair(netns: Namespaces) -> tuple[Namespace, Namespace, Attachment]:
    """A scanner and a target on one link, and how the target is attached to it."""
    scanner, target = netns(), netns()
    _, there = netns.link(scanner, target)
    usable(scanner, target)
    return scanner, target, there


def _routed(netns: Namespaces, v4: str = "", v6: str = "") -> tuple[Namespace, Namespace]:
    """A scanner, and a target that owns whole prefixes, which lie behind it as behind a gateway."""
    scanner, target, there = _pair(netns)
    for prefix, gateway in ((v4, there.v4.ip), (v6, there.v6.ip)):
        if prefix:
            target.run(["ip", "route", "add", "local", prefix, "dev", "lo"])
            scanner.run(["ip", "route", "add", prefix, "via", str(gateway)])
    return scanner, target


def test_every_port_of_a_host_is_told_as_it_is(netns: Namespaces, listen: Listen, rules: Rules) -> None:
    scanner, target, there = _pair(netns)
    listen(target, _OPEN)
    dropped, rejected, unreachable = range(200, 300), range(600, 650), range(700, 720)
    # Without a limit on ICMP every rejected port is answered, so the truth is one word per port.
    target.sysctl("net.ipv4.icmp_ratelimit", 0)
    target.sysctl("net.ipv6.icmp.ratelimit", 0)
    target.sysctl("net.ipv4.icmp_msgs_per_sec", 1_000_000)
    rules(
        target,
        f"{_SYN} tcp dport {_ports(dropped)} drop; "
        f"{_SYN} tcp dport {_ports(rejected)} reject with icmpx type admin-prohibited; "
        f"{_SYN} tcp dport {_ports(unreachable)} reject with icmpx type port-unreachable",
    )
    result = scan(scanner, [str(there.v4.ip), str(there.v6.ip)], "1-65535")
    truth = {
        State.OPEN: _OPEN,
        State.SILENT: dropped,
        State.PROHIBITED: rejected,
        State.PORT_UNREACHABLE: unreachable,
    }
    for address in (str(there.v4.ip), str(there.v6.ip)):
        assert result.states(address) == expected(range(1, 65536), truth, State.CLOSED)
        assert result.hosts[address].certain
        assert result.hosts[address].seconds is not None
    assert result.done is not None
    assert (result.done.complete, result.done.forged, result.done.dropped) == (True, 0, 0)
    assert len(result.open()) == 2 * len(_OPEN)


def test_a_thousand_hosts_behind_a_gateway(netns: Namespaces, listen: Listen, rules: Rules) -> None:
    scanner, target = _routed(netns, v4="198.19.0.0/22")
    open_ports = [port for port in range(1, 98) if port % 6 == 1][:15]
    listen(target, open_ports)
    rules(target, f"{_SYN} tcp dport 50-97 drop; ip daddr 198.19.1.0/28 {_SYN} drop")
    result = scan(scanner, ["198.19.0.0/22"], "1-97")
    assert len(result.hosts) == 1022
    silent = {f"198.19.1.{number}" for number in range(16)}
    for address in result.hosts:
        if address in silent:
            assert set(result.states(address).values()) == {State.SILENT}
        else:
            truth = {State.OPEN: [port for port in open_ports if port < 50], State.SILENT: range(50, 98)}
            assert result.states(address) == expected(range(1, 98), truth, State.CLOSED)


def test_sixteen_hosts_with_all_their_ports(netns: Namespaces, listen: Listen, rules: Rules) -> None:
    scanner, target = _routed(netns, v4="198.19.0.0/28")
    listen(target, _OPEN)
    rules(target, f"{_SYN} tcp dport 2000-65535 tcp dport != {_ports(_OPEN)} drop")
    addresses = [f"198.19.0.{number}" for number in range(16)]
    result = scan(scanner, addresses, "1-65535")
    assert result.open() == {(address, port) for address in addresses for port in _OPEN}
    closed = len(set(range(1, 2000)) - set(_OPEN))
    silent = 65535 - closed - len(_OPEN)
    assert result.count() == {State.OPEN: 16 * len(_OPEN), State.CLOSED: 16 * closed, State.SILENT: 16 * silent}


def test_many_hosts_over_ipv6(netns: Namespaces, listen: Listen) -> None:
    scanner, target, there = _pair(netns)
    addresses = [str(there.v6.network[0x100 + number]) for number in range(64)]
    for address in addresses:
        target.run(["ip", "address", "add", f"{address}/64", "dev", there.interface, "nodad"])
    listen(target, _OPEN)
    result = scan(scanner, addresses, "1-1100")
    for address in addresses:
        truth = {State.OPEN: [port for port in _OPEN if port <= 1100]}
        assert result.states(address) == expected(range(1, 1101), truth, State.CLOSED)


def test_ipv6_behind_a_gateway(netns: Namespaces, listen: Listen) -> None:
    scanner, target = _routed(netns, v6="2001:db8:ff::/120")
    listen(target, _OPEN)
    result = scan(scanner, ["2001:db8:ff::7", "2001:db8:ff::8"], "1-1100")
    assert result.open() == {
        (address, port) for address in ("2001:db8:ff::7", "2001:db8:ff::8") for port in _OPEN if port <= 1100
    }
    assert result.count()[State.CLOSED] == 2 * (1100 - 5)


def test_link_local_targets_name_their_interface(netns: Namespaces, listen: Listen) -> None:
    scanner, target = netns(), netns()
    here, there = netns.link(scanner, target)
    usable(scanner, target)
    for space, address, link in ((scanner, "fe80::a", here), (target, "fe80::b", there)):
        space.run(["ip", "address", "add", f"{address}/64", "dev", link.interface, "nodad"])
    listen(target, [80])
    usable(scanner, target)
    result = scan(scanner, [f"fe80::b%{here.interface}", "fe80::b%nowhere"], "79-80")
    assert result.states(f"fe80::b%{here.interface}") == {79: State.CLOSED, 80: State.OPEN}
    assert set(result.states("fe80::b%nowhere").values()) == {State.NO_ROUTE}


def test_loopback_and_own_addresses(netns: Namespaces, listen: Listen) -> None:
    scanner = netns()
    here, _ = netns.link(scanner, netns())
    listen(scanner, _OPEN)
    usable(scanner)
    addresses = ["127.0.0.1", "127.0.0.9", "::1", str(here.v4.ip), str(here.v6.ip)]
    result = scan(scanner, addresses, "1-1100,40001,60000-65535")
    for address in addresses:
        ports = [*range(1, 1101), 40001, *range(60000, 65536)]
        assert result.states(address) == expected(ports, {State.OPEN: [p for p in _OPEN if p in ports]}, State.CLOSED)


def test_who_is_not_on_the_link_gets_no_syn(netns: Namespaces, listen: Listen) -> None:
    scanner, first, second = netns(), netns(), netns()
    _, one, two = netns.lan(scanner, first, second)
    usable(scanner, first, second)
    listen(first, [22])
    listen(second, [80])
    absent = [str(one.v4.network[99]), str(one.v6.network[0x99])]
    present = [str(address) for host in (one, two) for address in (host.v4.ip, host.v6.ip)]
    result = scan(scanner, [*absent, *present], "22,80")
    for address in absent:
        assert set(result.states(address).values()) == {State.NO_NEIGHBOUR}
    assert result.open() == {
        (str(one.v4.ip), 22), (str(one.v6.ip), 22), (str(two.v4.ip), 80), (str(two.v6.ip), 80),
    }  # fmt: skip
    assert result.done is not None
    assert result.done.sent == 2 * len(present)


def test_several_interfaces_and_routers_at_once(netns: Namespaces, listen: Listen) -> None:
    scanner, router, far, near = netns(), netns(), netns(), netns()
    _, way = netns.link(scanner, router)
    _, there = netns.link(router, far)
    _, beside = netns.link(scanner, near)
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv4.icmp_ratelimit", 0)
    far.run(["ip", "route", "add", "default", "via", str(there.v4.network[1])])
    scanner.run(["ip", "route", "add", "default", "via", str(way.v4.ip)])
    scanner.run(["ip", "route", "add", "unreachable", "198.19.5.0/24"])
    router.run(["ip", "route", "add", "prohibit", "198.19.6.0/24"])
    listen(far, [80])
    listen(near, [443])
    usable(scanner, router, far, near)
    absent = str(there.v4.network[77])
    result = scan(
        scanner, [str(there.v4.ip), str(beside.v4.ip), absent, "198.19.5.1", "198.19.6.1", "198.19.7.1"], "80,443"
    )
    assert result.states(str(there.v4.ip)) == {80: State.OPEN, 443: State.CLOSED}
    assert result.states(str(beside.v4.ip)) == {80: State.CLOSED, 443: State.OPEN}
    assert set(result.states("198.19.5.1").values()) == {State.NO_ROUTE}
    assert set(result.states("198.19.6.1").values()) == {State.PROHIBITED}
    assert set(result.states("198.19.7.1").values()) == {State.NET_UNREACHABLE}
    # The router says so only once its own three questions for the neighbour got no answer, which may be too late.
    assert set(result.states(absent).values()) <= {State.HOST_UNREACHABLE, State.SILENT}


@pytest.mark.parametrize("family", [4, 6])
def test_answers_that_come_back_another_way_are_heard(netns: Namespaces, listen: Listen, family: int) -> None:
    scanner, router = netns(), netns()
    here, there = netns.link(scanner, router)
    back, _ = netns.link(scanner, router)
    usable(scanner, router)
    own, gateway, way_back = (str(side.v4.ip if family == 4 else side.v6.ip) for side in (here, there, back))
    targets = ["198.19.0.1", "198.19.0.2"] if family == 4 else ["2001:db8:f::1", "2001:db8:f::2"]
    prefix = "198.19.0.0/24" if family == 4 else "2001:db8:f::/64"
    router.run(["ip", "route", "add", "local", prefix, "dev", "lo"])
    router.run(["ip", "route", "add", own, "via", way_back])
    scanner.run(["ip", "route", "add", prefix, "via", gateway])
    listen(router, [80])
    result = scan(scanner, targets, "79-80")
    assert result.open() == {(target, 80) for target in targets}
    assert result.count() == {State.OPEN: 2, State.CLOSED: 2}


def test_a_bridge_on_top_of_an_interface(netns: Namespaces, listen: Listen) -> None:
    scanner, target, there = _pair(netns)
    for space, number in ((scanner, 1), (target, 2)):
        space.run(["ip", "link", "add", "name", "top", "type", "bridge"])
        space.run(["ip", "link", "set", there.interface, "master", "top"])
        space.run(["ip", "link", "set", "top", "up"])
        space.run(["ip", "address", "add", f"198.19.7.{number}/24", "dev", "top"])
        space.run(["ip", "address", "add", f"2001:db8:7::{number}/64", "dev", "top", "nodad"])
    listen(target, [443])
    targets = ["198.19.7.2", "2001:db8:7::2"]
    wait_until(lambda: "NO_NEIGHBOUR" not in str(scan(scanner, targets, "443").count()), "the interfaces forward")
    result = scan(scanner, targets, "443-444")
    assert result.count() == {State.OPEN: 2, State.CLOSED: 2}


def test_an_ethernet_link_without_arp_is_left_to_the_kernel(netns: Namespaces, listen: Listen) -> None:
    """As modems for mobile networks make it: nobody is asked for a hardware address, so nobody is absent for that."""
    scanner, target, there = _pair(netns)
    for space in (scanner, target):
        space.run(["ip", "link", "set", there.interface, "down"])
        space.run(["ip", "link", "set", there.interface, "address", "02:00:00:00:00:07", "arp", "off", "up"])
    for space, number in ((scanner, 1), (target, 2)):
        space.run(["ip", "address", "replace", f"{there.v6.network[number]}/64", "dev", there.interface, "nodad"])
    listen(target, [80])
    addresses = [str(there.v4.ip), str(there.v6.ip)]
    result = scan(scanner, addresses, "79-80")
    assert result.open() == {(address, 80) for address in addresses}
    assert result.count() == {State.OPEN: 2, State.CLOSED: 2}


def test_a_link_that_takes_nothing_any_more_ends_the_run(netns: Namespaces) -> None:
    scanner, target, there = _pair(netns)

    def pull_the_cable() -> tuple[list[HostStates], Done]:
        hosts: list[HostStates] = []
        for said in client.run(job([str(there.v4.ip)], "1-60000", rate=1000.0, seconds=90.0)):
            if isinstance(said, Progress) and said.settled:
                target.run(["ip", "link", "set", there.interface, "down"])
            elif isinstance(said, HostStates):
                hosts.append(said)
            elif isinstance(said, Done):
                return hosts, said
        raise AssertionError("it says Done at its end")

    [host], done = scanner.call(pull_the_cable)
    assert done.lossy
    assert {State.CLOSED, State.NOT_ASKED} <= set(host.states) <= {State.CLOSED, State.SILENT, State.NOT_ASKED}
    assert host.certain is (State.SILENT not in host.states)


def test_a_gateway_that_is_gone_is_no_route(netns: Namespaces) -> None:
    scanner = netns()
    here, _ = netns.link(scanner, netns())
    scanner.run(["ip", "route", "add", "198.19.0.0/24", "via", str(here.v4.network[66])])
    result = scan(scanner, ["198.19.0.1"], "80")
    assert result.count() == {State.NO_ROUTE: 1}


@pytest.mark.parametrize("limit", ["SYNs", "answers"])
def test_a_target_that_limits_its_rate_keeps_nothing_hidden(
    netns: Namespaces, listen: Listen, rules: Rules, needs: Callable[..., str], limit: str
) -> None:
    scanner, target, there = _pair(netns)
    listen(target, _OPEN)
    if limit == "SYNs":
        rules(target, f"{_SYN} limit rate over 2000/second burst 50 packets drop")
    else:
        rule = "tcp flags & rst == rst limit rate over 2000/second burst 50 packets drop"
        chain = f"table inet lab {{ chain last {{ type filter hook output priority 0; {rule}; }}; }}"
        target.run([needs("nft", package="nftables"), chain])
    result = scan(scanner, [str(there.v4.ip)], "1-5000")
    truth = {State.OPEN: [port for port in _OPEN if port <= 5000]}
    assert result.states(str(there.v4.ip)) == expected(range(1, 5001), truth, State.CLOSED)
    assert result.done is not None
    assert result.done.rounds > 2


def test_time_that_is_over_leaves_unknown_not_closed(netns: Namespaces) -> None:
    scanner, _, there = _pair(netns)
    cut = given_time(
        lambda seconds: (seconds, scan(scanner, [str(there.v4.ip)], "1-60000", rate=100.0, seconds=seconds)),
        lambda cut: cut[1].count()[State.CLOSED] > 0,
        first=2,
    )
    seconds, result = cut
    assert result.done is not None
    assert not result.done.complete
    count = result.count()
    assert set(count) == {State.CLOSED, State.NOT_ASKED}
    assert count[State.CLOSED] <= 150 * seconds


def test_what_is_out_of_scope_gets_no_packet(netns: Namespaces, listen: Listen) -> None:
    scanner, target = _routed(netns, v4="198.19.0.0/24")
    seen: Counter[tuple[str, int]] = Counter()
    with target.call(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0x0008) as sniffer:
        sniffer.settimeout(0.2)
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(sniffer, stop, seen))
        watcher.start()
        entries = (*scope("198.19.0.8/30"), *scope("198.19.0.20", ports="80,8000-8009"))
        result = scan(scanner, ["198.19.0.0/24", "198.19.1.1"], "79-81,8005", scope=entries)
        stop.set()
        watcher.join()
    inside = {(f"198.19.0.{number}", port) for number in range(8, 12) for port in (79, 80, 81, 8005)}
    inside |= {("198.19.0.20", 80), ("198.19.0.20", 8005)}
    assert set(seen) == inside
    assert result.states("198.19.0.20")[79] == State.OUT_OF_SCOPE
    assert result.count()[State.OUT_OF_SCOPE] == 255 * 4 - len(inside)


def test_a_scope_that_ended_authorises_nothing(netns: Namespaces) -> None:
    scanner, _, there = _pair(netns)
    ended = ScopeEntry(str(there.v4.network), "a person", "the lab", date(2020, 1, 1))
    result = scan(scanner, [str(there.v4.ip)], "80", scope=(ended,))
    assert result.count() == {State.OUT_OF_SCOPE: 1}
    assert result.done is not None
    assert result.done.sent == 0


def _watch(sniffer: socket.socket, stop: threading.Event, seen: Counter[tuple[str, int]]) -> None:
    while True:
        try:
            packet = sniffer.recv(2048)
        except TimeoutError:
            if stop.is_set():
                return
            continue
        if packet[9] == 6 and packet[33] == 2:
            seen[socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[22:24], "big")] += 1
