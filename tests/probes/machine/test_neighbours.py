"""What netlink says is what ip(8) says, in namespaces of many kinds."""

import ipaddress
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from probes.kit.machine.neighbours import (
    LIVE,
    Route,
    State,
    default_routes,
    links,
    neighbours,
    not_hosts,
    own_addresses,
    resolvers,
    route_to,
)
from probes.kit.machine.netlink import parse_attributes
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import wait_until


def told(space: Namespace, *words: str) -> Any:
    """What ip(8) says."""
    return json.loads(space.run(["ip", "-json", "-details", *words]).stdout or "[]")


def is_multicast(text: str) -> bool:
    return ipaddress.ip_address(text).is_multicast


def reach(space: Namespace, address: str) -> None:
    """Make the kernel resolve a neighbour."""
    with space.call(socket.socket, socket.AF_INET6 if ":" in address else socket.AF_INET) as line:
        line.settimeout(5)
        line.connect_ex((address, 9))


@pytest.fixture
def pair(netns: Namespaces) -> tuple[Namespace, Namespace, str, str, str]:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    return here, there, mine.interface, str(theirs.v4.ip), str(theirs.v6.ip)


def test_links_and_addresses_are_those_of_the_kernel(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, _, interface, _, _ = pair
    here.run(["ip", "link", "add", "br9", "type", "bridge"])
    here.run(["ip", "address", "add", "2001:db8:aa::1/56", "dev", interface, "nodad", "preferred_lft", "0"])
    expected = {item["ifindex"]: item for item in told(here, "link")}
    found = here.call(links)
    assert {index: (link.name, link.mac or "00:00:00:00:00:00") for index, link in found.items()} == {
        index: (item["ifname"], item["address"]) for index, item in expected.items()
    }
    by_name = {link.name: link for link in found.values()}
    assert (by_name["lo"].up, by_name["lo"].loopback, by_name["lo"].kind) == (True, True, "")
    assert (by_name[interface].up, by_name[interface].kind) == (True, "veth")
    assert (by_name["br9"].up, by_name["br9"].kind) == (False, "bridge")
    own = here.call(own_addresses)
    assert {(item.interface, str(item.address)) for item in own} == {
        (item["ifname"], f"{info['local']}/{info['prefixlen']}")
        for item in told(here, "address")
        for info in item["addr_info"]
    }
    assert {str(item.address): item.usable for item in own}["2001:db8:aa::1/56"] is False
    assert all(item.usable for item in own if item.address.version == 4)


def test_a_link_whose_other_side_is_down_is_not_up(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, there, interface, _, _ = pair
    there.run(["ip", "link", "set", interface, "down"])
    # The kernel lets a moment pass before it believes it.
    wait_until(lambda: not {link.name: link for link in here.call(links).values()}[interface].up, "the link is down")


def test_default_routes_come_by_their_metric(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, _, interface, four, six = pair
    assert here.call(default_routes, 4) == ()
    assert here.call(default_routes, 6) == ()
    here.run(["ip", "route", "add", "default", "via", four, "metric", "20"])
    here.run(["ip", "route", "add", "default", "dev", interface, "metric", "10"])
    here.run(["ip", "-6", "route", "add", "default", "via", six, "dev", interface])
    here.run(["ip", "-6", "route", "add", "default", "via", "fe80::9", "dev", interface, "metric", "5", "table", "99"])
    assert here.call(default_routes, 4) == (
        Route(interface, None, 10),
        Route(interface, ipaddress.ip_address(four), 20),
    )
    assert here.call(default_routes, 6) == (Route(interface, ipaddress.ip_address(six), 1024),)
    here.run(["ip", "route", "del", "default", "metric", "10"])
    assert here.call(route_to, ipaddress.ip_address("198.18.250.1")) == Route(interface, ipaddress.ip_address(four), 0)
    on_link = here.call(route_to, ipaddress.ip_address(four))
    assert on_link is not None
    assert (on_link.interface, on_link.gateway) == (interface, None)
    loop = here.call(route_to, ipaddress.ip_address("::1"))
    assert loop is not None
    assert loop.interface == "lo"
    here.run(["ip", "route", "add", "unreachable", "198.18.99.0/24"])
    assert here.call(route_to, ipaddress.ip_address("198.18.99.1")) is None


def test_a_route_over_several_hops_and_one_over_the_other_family(
    pair: tuple[Namespace, Namespace, str, str, str],
) -> None:
    here, _, interface, four, six = pair
    second = str(ipaddress.ip_address(four) + 5)
    here.run(["ip", "route", "add", "default", "nexthop", "via", four, "nexthop", "via", second])
    assert [str(route.gateway) for route in here.call(default_routes, 4)] == [four, second]
    here.run(["ip", "route", "del", "default"])
    here.run(["ip", "-4", "route", "add", "default", "via", "inet6", six, "dev", interface])
    assert [str(route.gateway) for route in here.call(default_routes, 4)] == [six]


def test_neighbours_are_those_of_the_kernel(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, _, interface, four, six = pair
    missing = str(ipaddress.ip_address(four) + 7)
    for address in (four, six, missing):
        reach(here, address)
    here.run(
        ["ip", "neigh", "add", "198.18.1.250", "lladdr", "02:00:00:00:00:fa", "dev", interface, "nud", "permanent"]
    )
    found = {str(item.address): item for item in here.call(neighbours) if not item.address.is_multicast}
    expected = {
        item["dst"]: item for item in told(here, "neigh", "show", "nud", "all") if not is_multicast(item["dst"])
    }
    assert set(found) == set(expected)
    for address, item in expected.items():
        mac = item.get("lladdr", "").removeprefix("00:00:00:00:00:00")
        assert (found[address].mac, found[address].interface) == (mac, item["dev"])
        if item["state"] not in (["DELAY"], ["PROBE"], ["REACHABLE"], ["STALE"]):  # these pass by themselves
            assert [found[address].state.upper()] == item["state"]
    assert found[four].state in LIVE
    confirmed = found[four].confirmed
    assert confirmed is not None
    assert confirmed < 60
    assert found[missing].state in (State.FAILED, State.INCOMPLETE)
    assert found["198.18.1.250"].state is State.PERMANENT


def test_a_thousand_neighbours_are_read_whole(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, _, interface, _, _ = pair
    lines = [
        f"neigh add 198.18.1.{n % 250 + 3} lladdr 02:00:00:00:00:{n % 250:02x} dev {interface}" for n in range(240)
    ]
    lines += [
        f"neigh add 2001:db8:1::{n:x} lladdr 02:00:00:00:{n >> 8:02x}:{n & 255:02x} dev {interface}"
        for n in range(16, 1000)
    ]
    here.run(["sh", "-c", "ip -batch - <<'END'\n" + "\n".join(lines) + "\nEND\n"])
    found = [item for item in here.call(neighbours) if item.state is State.PERMANENT]
    assert len(found) == len(lines)


def test_network_and_broadcast_addresses_are_no_hosts(pair: tuple[Namespace, Namespace, str, str, str]) -> None:
    here, _, _, four, _ = pair
    network = ipaddress.ip_network(f"{four}/24", strict=False)
    found = here.call(not_hosts, here.call(own_addresses))
    assert {network.network_address, network.broadcast_address} <= found
    assert ipaddress.ip_address(four) not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"nameserver 10.0.0.1\nnameserver 2001:db8::1 # second\n", ["10.0.0.1", "2001:db8::1"]),
        (b"nameserver fe80::1%eth0\n", ["fe80::1%eth0"]),
        (b"# nameserver 10.0.0.1\nsearch a.cn\noptions ndots:1\nnameserver\nnameserver x\n", []),
        (b"".join(b"nameserver 10.0.0.%d\n" % n for n in range(9)), ["10.0.0.0", "10.0.0.1", "10.0.0.2"]),
        (b"\xff\xfe\x00\nnameserver 10.0.0.1\r\n", ["10.0.0.1"]),
        (b"", []),
    ],
)
def test_resolvers_are_read_off_any_resolv_conf(tmp_path: Path, text: bytes, expected: list[str]) -> None:
    (tmp_path / "resolv.conf").write_bytes(text)
    assert [str(address) for address in resolvers(tmp_path / "resolv.conf")] == expected


def test_no_resolvers_without_the_file(tmp_path: Path) -> None:
    assert resolvers(tmp_path / "missing") == ()


@pytest.mark.parametrize(
    "raw", [b"", b"\x00", b"\x03\x00\x01\x00", b"\xff\xff\x01\x00abc", b"\x08\x00\x01\x80abcd\x02\x00"]
)
def test_broken_attributes_end_the_list(raw: bytes) -> None:
    assert parse_attributes(raw) == ({1: b"abcd"} if b"abcd" in raw else {})
