"""asset_whitelist: the neighbours that a gateway really has, and its own open ports, against a whitelist."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from probes.asset_whitelist import ListedHosts
from tests.probes.rig import LAB, NO_POLICY, Run, net_of, run, today
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes
from wire.types import EntryKind, Outcome, Policy, TargetKind, Transport, WhitelistEntry
from wire.whitelist import match_host

LISTENERS = str(Path(__file__).with_name("listeners.py"))
NAME = "asset_whitelist"


def approve(
    kind: EntryKind, value: str, ports: str = "", days: int | None = None, transport: Transport = Transport.TCP
) -> WhitelistEntry:
    expires = None if days is None else today() + timedelta(days)
    return WhitelistEntry(kind, value, "IT", "approved", "Li", expires, ports, transport)


def whitelist(*entries: WhitelistEntry) -> Policy:
    return replace(NO_POLICY, whitelist=entries)


@pytest.fixture
def lan(netns: Namespaces) -> tuple[Namespace, list[Attachment], list[Namespace]]:
    """A gateway and three devices on a switch; the gateway has talked with the first two of them."""
    hosts = [netns() for _ in range(4)]
    attached = list(netns.lan(*hosts))
    for device in attached[1:3]:
        for address in (str(device.v4.ip), str(device.v6.ip)):
            hosts[0].call(net_of(*LAB).connect, address, 9, 10)
    return hosts[0], attached, hosts


def mac_of(space: Namespace, interface: str) -> str:
    return space.run(["cat", f"/sys/class/net/{interface}/address"]).stdout.strip()


def neighbours(found: Run) -> dict[str, object]:
    return {
        item.target.name: item.values["standing"] for item in found.observations if item.target.kind is TargetKind.HOST
    }


def test_devices_are_known_by_the_table_and_nothing_is_sent(
    lan: tuple[Namespace, list[Attachment], list[Namespace]],
) -> None:
    gateway, attached, hosts = lan
    interface = attached[0].interface
    missing = str(attached[0].v4.ip + 50)
    gateway.call(net_of(*LAB).connect, missing, 9, 0.1)
    gateway.run(
        ["ip", "neigh", "add", "198.18.1.60", "lladdr", "02:00:00:00:00:3c", "dev", interface, "nud", "permanent"]
    )
    # The third device is overheard, not asked: it was the one that spoke.
    hosts[3].call(net_of(*LAB).connect, str(attached[0].v4.ip), 9, 10)
    net = net_of()
    found = gateway.call(run, NAME, {}, net)
    listed = neighbours(found)
    expected = {str(device.v4.ip) for device in attached[1:4]} | {str(device.v6.ip) for device in attached[1:3]}
    assert {name for name in listed if not name.startswith("fe80::")} == expected
    assert all(name.endswith(f"%{interface}") for name in listed if name.startswith("fe80::"))
    line = found.of(str(attached[1].v4.ip))
    mac = mac_of(hosts[1], attached[1].interface)
    assert dict(line.values) == {
        "mac": mac,
        "local_mac": bool(int(mac[:2], 16) & 2),
        "interface": interface,
        "standing": "no_list",
    }
    assert (line.outcome, line.method) == (Outcome.SEEN, "neighbour_table")
    assert found.coverage == []
    assert (net.sent, net.refusals) == (0, 0)


def test_the_whitelist_decides_by_address_mac_and_date(
    lan: tuple[Namespace, list[Attachment], list[Namespace]],
) -> None:
    gateway, attached, hosts = lan
    first, second = attached[1], attached[2]
    mac = mac_of(hosts[2], second.interface)
    policy = whitelist(
        approve(EntryKind.HOST, str(first.v4.ip)),
        approve(EntryKind.HOST, f"{first.v6.network}", days=-1),
        approve(EntryKind.HOST, mac.upper().replace(":", "-"), days=0),
        approve(EntryKind.PORT, "*", "9"),
    )
    listed = neighbours(gateway.call(run, NAME, {}, net_of(), policy=policy))
    assert listed[str(first.v4.ip)] == "listed"
    assert listed[str(first.v6.ip)] == "expired"
    assert {listed[str(second.v4.ip)], listed[str(second.v6.ip)]} == {"listed"}
    others = whitelist(approve(EntryKind.HOST, "10.9.9.9"))
    assert set(neighbours(gateway.call(run, NAME, {}, net_of(), policy=others)).values()) == {"unlisted"}


def test_who_was_not_heard_of_lately_is_left_out(lan: tuple[Namespace, list[Attachment], list[Namespace]]) -> None:
    gateway, attached, _ = lan
    gateway.call(net_of(*LAB).connect, str(attached[2].v4.ip), 9, 10)
    everyone = neighbours(gateway.call(run, NAME, {"max_age": 600}, net_of()))
    assert {str(device.v4.ip) for device in attached[1:3]} <= set(everyone)
    gateway.run(["ip", "neigh", "change", str(attached[1].v4.ip), "dev", attached[0].interface, "nud", "stale"])
    time.sleep(1.5)
    assert neighbours(gateway.call(run, NAME, {"max_age": 1}, net_of())) == {}


def test_own_ports_that_others_can_reach(netns: Namespaces, process: Processes, needs: Callable[..., str]) -> None:
    space = netns()
    process([sys.executable, LISTENERS, "22", "8080"], netns=space, ready="ready")
    code = (
        "import socket, time\n"
        "own = socket.create_server(('127.0.0.1', 631))\n"
        "one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(('0.0.0.0', 161))\n"
        "asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); asking.bind(('::', 45000))\n"
        "local = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); local.bind(('::1', 53))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    process([sys.executable, "-c", code], netns=space, ready="ready")
    policy = whitelist(
        approve(EntryKind.PORT, "*", "22"),
        approve(EntryKind.PORT, "*", "161", days=-3, transport=Transport.UDP),
    )
    found = space.call(run, NAME, {}, net_of(), policy=policy)
    assert {
        (item.target.name, item.target.port, item.target.transport, item.outcome, item.method, item.values["standing"])
        for item in found.observations
    } == {
        ("::", 22, "tcp", Outcome.SEEN, "listening", "listed"),
        ("::", 8080, "tcp", Outcome.SEEN, "listening", "unlisted"),
        ("0.0.0.0", 161, "udp", Outcome.SEEN, "listening", "expired"),
    }
    assert space.call(run, NAME, {"services": False}, net_of(), policy=policy).observations == []


def test_the_layout_of_the_whitelist_changes_no_verdict() -> None:
    dice = random.Random(3)
    day = today()

    def address() -> str:
        return (
            f"10.0.{dice.randrange(3)}.{dice.randrange(6)}"
            if dice.random() < 0.7
            else f"2001:db8::{dice.randrange(6):x}"
        )

    def mac() -> str:
        return f"02:00:00:00:00:{dice.randrange(8):02x}"

    def prefix() -> str:
        return f"10.0.{dice.randrange(3)}.0/{dice.choice([24, 29, 30])}"

    makers: list[Callable[[], str]] = [address, mac, prefix, lambda: "x"]
    for _ in range(200):
        entries = []
        for _ in range(dice.randrange(6)):
            value = dice.choice(makers)()
            kind = dice.choice([EntryKind.HOST, EntryKind.HOST, EntryKind.PORT])
            entries.append(approve(kind, value, days=dice.choice([None, 5, -5])))
        hosts = ListedHosts(entries)
        who, card = address(), mac()
        assert hosts.standing(ip_address(who), card, day) == match_host(entries, [who], card, day).standing


def test_twenty_thousand_entries_meet_a_thousand_neighbours_quickly() -> None:
    entries = [approve(EntryKind.HOST, f"10.{n >> 8}.{n & 255}.{k}") for n in range(200) for k in range(100)]
    hosts = ListedHosts(entries)
    standings = [
        hosts.standing(ip_address(f"10.0.{n >> 8}.{n & 255}"), "02:00:00:00:00:01", today()) for n in range(1000)
    ]
    assert standings.count("listed") == sum(n & 255 < 100 for n in range(1000))
