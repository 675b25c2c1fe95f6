"""What a dry run says is what a run sends: every packet of real runs is counted and held against it."""

import json
import sys
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agent.probing.job import Job, Limits
from agent.probing.preview import preview as preview_of_job
from probes.kit.contract import Preview
from probes.kit.errors import OptionError
from probes.kit.options import build
from probes.kit.raw.helper import client
from probes.kit.raw.link.addresses import QUESTIONS
from probes.kit.registry import load
from probes.kit.scan.preview import syns_of_connect
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import QuietHours
from tests.probes.rig import LAB, entry, net_of, run
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.packets import Counted
from tests.support.processes import Processes
from wire.ports import expand, parse_ports

LISTENERS = str(Path(__file__).parents[1] / "listeners.py")
OPEN = (22, 80, 443)


def preview(name: str, given: Mapping[str, Any], net: Net) -> Preview:
    probe = load(name)
    assert probe.preview is not None
    return probe.preview(build(probe, given), net)


def pairs(told: Preview) -> set[tuple[str, int]]:
    return {
        (str(address), port)
        for part in told.portions
        for prefix in part.prefixes
        for address in ip_network(prefix)
        for port in expand(parse_ports(part.ports))
    }


@pytest.fixture
def lab(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> tuple[Namespace, Counted, Attachment, Attachment]:
    """A prober; beside it a server with open, closed and dropped ports; behind that a network that drops everything."""
    nft = needs("nft", package="nftables")
    prober, server = netns(), netns()
    here, there = netns.link(prober, server)
    for family, prefix, gateway in (("-4", "198.18.200.0/24", there.v4.ip), ("-6", "2001:db8:c8::/64", there.v6.ip)):
        prober.run(["ip", family, "route", "add", prefix, "via", str(gateway)])
        server.run(["ip", family, "route", "add", "local", prefix, "dev", "lo"])
    drop = "ip daddr 198.18.200.0/24 drop; ip6 daddr 2001:db8:c8::/64 drop; tcp dport 90-91 drop"
    server.run([nft, f"table inet lab {{ chain c {{ type filter hook prerouting priority -300; {drop}; }}; }}"])
    process([sys.executable, LISTENERS, *map(str, OPEN)], netns=server, ready="ready")
    return prober, Counted(server), here, there


@pytest.mark.parametrize("engine", ["connect", "syn"])
def test_a_port_scan_sends_what_was_foretold(
    lab: tuple[Namespace, Counted, Attachment, Attachment], engine: str
) -> None:
    prober, counted, _, there = lab
    net = net_of(*LAB[1:], entry("198.18.200.0/24"), entry(str(there.v4.ip), "22,79-95"))
    given = {
        "targets": [f"{there.v4.ip}", f"{there.v6.ip}", "198.18.200.8/30", "2001:db8:c8::8/126", "10.9.0.0/24"],
        "ports": "22,80,85-91,443,9100",
        "rate": 20_000.0,
        "timeout": 1.0,
        "identify": False,
        "engine": engine,
    }
    told = prober.call(preview, "open_ports", given, net)
    assert counted.asked() == {}
    found = prober.call(run, "open_ports", given, net)
    asked, further = counted.asked(), counted.further()
    assert set(asked) == pairs(told)
    assert told.pairs == len(asked) == 9 + 11 + 2 * 4 * 11
    assert asked.total() <= told.packets <= told.most_packets
    silent = sum(count for (address, _), count in asked.items() if "200." in address or ":c8:" in address)
    assert silent >= 2 * 2 * 4 * 11, "each silent port is asked twice at least, so the bound is not far away"
    assert further.total() <= told.per_open * len(found.open())
    assert {address for address, _ in further} == {str(there.v4.ip), str(there.v6.ip)}
    assert sorted(item.what for item in told.refused) == ["10.9.0.0/24", f"{there.v4.ip} ports 443,9100"]
    assert set(told.refused) <= set(found.skipped)
    assert (told.method, told.no_payload) == (engine, "9100")
    # The server needs an ARP and an ND question, what lies behind it does not.
    assert [(part.family, part.addresses, part.on_link, part.local) for part in told.portions] == [
        (4, 1, 1, False), (4, 4, 0, False), (6, 5, 1, False),
    ]  # fmt: skip
    if engine == "syn":
        assert told.link_questions == QUESTIONS


_NEIGHBOURS = """
table arp counted {
  set asked { type ipv4_addr; counter; flags dynamic; size 1000; }
  chain arriving { type filter hook input priority 0; arp operation request update @asked { arp daddr ip }; }
}
"""


@pytest.mark.parametrize(
    ("probe", "options"),
    [
        ("open_ports", {"engine": "connect", "identify": False, "ports": "1-40", "per_host": 8}),
        ("open_ports", {"engine": "syn", "identify": False, "ports": "1-40"}),
        ("udp_ports", {"ports": "1-20"}),
    ],
)
def test_neighbours_are_asked_for_no_oftener_than_foretold(
    netns: Namespaces, needs: Callable[..., str], probe: str, options: Mapping[str, Any]
) -> None:
    needs("nft", package="nftables")
    prober, server = netns(), netns()
    _, there = netns.link(prober, server)
    server.run(["sh", "-c", f"nft -f - <<'END'\n{_NEIGHBOURS}END\n"])
    given = {**options, "targets": [f"{there.v4.network[40]}-{there.v4.network[43]}", str(there.v4.ip)]}
    told = prober.call(preview, probe, given, net_of(*LAB))
    prober.call(run, probe, given, net_of(*LAB))
    text = server.run(["nft", "-j", "list", "set", "arp", "counted", "asked"]).stdout
    asked = {
        item["elem"]["val"]: item["elem"]["counter"]["packets"]
        for item in json.loads(text)["nftables"][1]["set"]["elem"]
    }
    silent = {str(there.v4.network[number]) for number in range(40, 44)}
    assert silent <= set(asked)
    assert max(asked.values()) <= told.link_questions


def test_a_udp_scan_sends_what_was_foretold(lab: tuple[Namespace, Counted, Attachment, Attachment]) -> None:
    prober, counted, _, there = lab
    net = net_of(*LAB[1:], entry("198.18.200.0/24"), entry(str(there.v4.ip), "53,123"))
    given = {
        "targets": [f"{there.v4.ip}", f"{there.v6.ip}", "198.18.200.8/31", "10.9.0.0/24"],
        "ports": "53,123,161,515,9100",
    }
    told = prober.call(preview, "udp_ports", given, net)
    assert counted.asked() == {}
    found = prober.call(run, "udp_ports", given, net)
    asked = counted.asked()
    assert set(asked) == pairs(told)
    assert told.pairs == len(asked) == 2 + 3 + 2 * 3
    assert asked.total() <= told.packets
    assert {count for (address, _), count in asked.items() if "200." in address} == {told.packets // told.pairs}
    assert counted.further() == {}
    assert sorted(item.what for item in told.refused) == [
        "10.9.0.0/24", f"{there.v4.ip} ports 161", "ports 515,9100",
    ]  # fmt: skip
    assert set(told.refused) <= set(found.skipped)
    assert told.no_payload == "515,9100"


def test_quiet_hours_are_foretold() -> None:
    net = net_of("198.18.0.0/15", quiet=(QuietHours.parse("00:00-12:00"), QuietHours.parse("12:00-00:00")))
    told = preview("open_ports", {"targets": ["198.18.1.0/24", "127.0.0.1"], "ports": "1"}, net)
    assert [item.reason.partition(":")[0] for item in told.refused] == ["quiet_hours"]
    assert [(part.prefixes, part.local) for part in told.portions] == [(("127.0.0.1/32",), True)]


def test_rates_and_caps_of_handshakes_are_those_that_will_hold() -> None:
    given = {
        "engine": "connect",
        "targets": ["198.18.1.0/24"],
        "ports": "1-100",
        "rate": 1000.0,
        "connections": 500,
        "timeout": 2.0,
    }
    told = preview("open_ports", given, net_of("198.18.0.0/15", rate=400.0, per_host=8))
    assert (told.rate, told.connections, told.per_host) == (400.0, 500, 8)
    # Everything answers: 25,600 connections at 400 a second. Nobody does: twice as many, 2 s each, 500 at a time.
    assert told.seconds == (pytest.approx(64.0), pytest.approx(208.8))
    one = preview("open_ports", {**given, "targets": ["198.18.1.1"]}, net_of("198.18.0.0/15", per_host=8))
    # 200 tries of 2 s each, eight at a time.
    assert one.seconds == (pytest.approx(0.1), pytest.approx(54.0))


def test_rates_of_syns_are_those_that_will_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "why_not", lambda: None)
    given = {"engine": "syn", "targets": ["198.18.1.0/24"], "ports": "1-100", "host_rate": 50.0, "timeout": 2.0}
    told = preview("open_ports", given, net_of("198.18.0.0/15", rate=400.0))
    assert (told.method, told.rate, told.host_rate, told.connections, told.per_host) == ("syn", 400.0, 50.0, 0, 0)
    assert (told.packets, told.seconds) == (2 * told.pairs, (pytest.approx(64.0), pytest.approx(130.0)))
    one = preview("open_ports", {**given, "targets": ["198.18.1.1"]}, net_of("198.18.0.0/15"))
    assert one.seconds == (pytest.approx(2.0), pytest.approx(6.0))
    plain = preview("open_ports", {"engine": "syn", "ports": "1", "rate": 300.0}, net_of())
    assert plain.host_rate == 150.0


def test_a_dry_run_says_why_it_would_not_send_syns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "why_not", lambda: "no_raw_packets: CAP_NET_RAW")
    told = preview("open_ports", {"targets": ["198.18.1.0/24"], "ports": "1-100"}, net_of("198.18.0.0/15"))
    assert (told.method, told.why) == ("connect", "no_raw_packets: CAP_NET_RAW")


def test_the_agent_foretells_a_job_with_its_own_limits() -> None:
    job = Job("scan", "open_ports", 60, {"ports": "22"}, limits=Limits(rate=10.0, connections=7, per_host=3))
    told = preview_of_job(job)
    assert told is not None
    assert (told.rate, told.connections, told.per_host, told.pairs) == (10.0, 7, 3, 2)
    assert preview_of_job(Job("vitals", "host_vitals", 60)) is None
    with pytest.raises(OptionError, match="open_ports: ports"):
        preview_of_job(Job("scan", "open_ports", 60, {"ports": "nonsense"}))


def test_more_udp_ports_than_one_run_takes_are_named() -> None:
    told = preview("udp_ports", {"targets": ["198.18.0.0/16"], "ports": "53,123"}, net_of("198.18.0.0/15"))
    assert told.pairs == 65_536
    assert [(item.what, item.reason.partition(":")[0]) for item in told.refused] == [("198.18.128.0/17", "too_large")]


@pytest.mark.parametrize(
    ("timeout", "syns"), [(0.5, 1), (1.0, 2), (1.9, 3), (3.0, 4), (5.0, 6), (6.0, 6), (7.0, 7), (10.9, 8)]
)
def test_the_kernels_own_repeats_are_counted(timeout: float, syns: int) -> None:
    assert syns_of_connect(timeout) == syns
