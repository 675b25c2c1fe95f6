"""open_ports with raw SYNs and with handshakes: the same picture, the right one of them, and never silently another."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from probes.kit.contract import CannotRun
from probes.kit.raw.helper import client as helper
from probes.kit.raw.syn import client
from probes.kit.raw.syn.messages import Job
from probes.kit.scan.engine import AUTO, CONNECT, PAYS, SYN, choose
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import QuietHours
from tests.probes.rig import LAB, Run, entry, net_of, run
from tests.raw.lab import usable
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.packets import Counted
from tests.support.processes import Processes, helpers_of
from wire.types import Outcome, TargetKind

LISTENERS = str(Path(__file__).with_name("listeners.py"))
OPEN = (22, 80, 443, 8080)
NO_PRIVILEGE = "no_raw_packets: CAP_NET_RAW"


@pytest.fixture
def lab(
    netns: Namespaces, process: Processes, needs: Callable[..., str]
) -> tuple[Namespace, Namespace, Attachment, Attachment]:
    """A prober that offers two ports itself, and on its link a server with open, dropped and rejected ones."""
    nft = needs("nft", package="nftables")
    prober, server = netns(), netns()
    here, there = netns.link(prober, server)
    server.sysctl("net.ipv4.icmp_ratelimit", 0)
    server.sysctl("net.ipv6.icmp.ratelimit", 0)
    syn = "tcp flags & (syn | ack) == syn"
    mute4, mute6 = there.v4.network[77], there.v6.network[0x77]
    for mute in (f"{mute4}/24", f"{mute6}/64"):
        server.run(["ip", "address", "add", mute, "dev", there.interface, *(["nodad"] if ":" in mute else [])])
    rules = (
        f"ip daddr 198.18.201.0/24 drop; {syn} tcp dport 100-104 drop; ip daddr {mute4} drop; ip6 daddr {mute6} drop; "
    )
    rules += f"{syn} tcp dport 200-204 reject with icmpx type admin-prohibited"
    server.run([nft, f"table inet lab {{ chain c {{ type filter hook prerouting priority -300; {rules}; }}; }}"])
    server.run(["ip", "route", "add", "local", "198.18.200.0/24", "dev", "lo"])
    prober.run(["ip", "route", "add", "198.18.200.0/24", "via", str(there.v4.ip)])
    prober.run(["ip", "route", "add", "198.18.201.0/24", "via", str(there.v4.ip)])
    prober.run(["ip", "route", "add", "unreachable", "198.18.202.0/24"])
    process([sys.executable, LISTENERS, *map(str, OPEN)], netns=server, ready="ready")
    process([sys.executable, LISTENERS, "25", "80"], netns=prober, ready="ready")
    usable(prober, server)
    return prober, server, here, there


def scan(given: Mapping[str, Any], net: Net, *, seconds: float = 60) -> Run:
    return run("open_ports", {"identify": False, "rate": 1e5, "host_rate": 1e5, **given}, net, seconds=seconds)


def picture(found: Run) -> dict[str, object]:
    """All that a run says but for times, durations and the method."""
    return {
        "observations": sorted(
            (str(item.target), item.outcome.value, sorted(item.values.items())) for item in found.observations
        ),
        "coverage": sorted(map(str, found.coverage)),
        "skipped": sorted(map(str, found.skipped)),
        "end": (found.progress[-1].done, found.progress[-1].total),
    }


def test_both_engines_give_the_same_picture(lab: tuple[Namespace, Namespace, Attachment, Attachment]) -> None:
    prober, server, here, there = lab
    net = (*LAB[1:], entry("198.18.200.0/22"), entry(str(there.v4.network), "22-110,190-443,9100"))
    given = {
        "targets": [
            "127.0.0.1", "::1", str(here.v4.ip), "198.18.1.0/29", str(there.v6.ip), str(there.v6.network[0x99]),
            "198.18.200.4/31", "198.18.201.1", "198.18.202.1", "10.9.9.0/30",
            f"{there.v4.network[76]}/31", f"{there.v6.network[0x76]}/127",
        ],
        "ports": "22,25,80,98-106,198-206,443,8080,9100,40000",
    }  # fmt: skip
    by_connect = prober.call(scan, {**given, "engine": CONNECT, "timeout": 1.5}, net_of(*net))
    by_syn = prober.call(scan, {**given, "engine": SYN}, net_of(*net))
    for name, seen in picture(by_connect).items():
        assert picture(by_syn)[name] == seen, name
    assert {item.method for item in by_connect.observations} == {"connect"}
    assert {item.method for item in by_syn.observations} == {"syn"}
    servers = {(address, port) for address in (str(there.v6.ip), "198.18.200.4", "198.18.200.5") for port in OPEN}
    servers |= {(str(there.v4.ip), port) for port in (22, 80, 443)}
    servers |= {(address, port) for address in ("127.0.0.1", "::1") for port in (25, 80)} | {(str(here.v4.ip), 80)}
    assert by_syn.open() == servers | {(str(here.v4.ip), 25)}
    # Whoever answers for its hardware address and for nothing else is there, and its ports are filtered.
    mute = {item.target.name: item for item in by_syn.observations if item.target.name.endswith("77")}
    assert set(mute) == {str(there.v4.network[77]), str(there.v6.network[0x77])}
    assert {item.outcome for item in mute.values()} == {Outcome.SEEN}
    ports = ("22,25,80,98-106,198-206,443,9100", given["ports"])
    assert [item.values["filtered"] for _, item in sorted(mute.items())] == list(ports)
    hosts = {item.target.name: item for item in by_syn.observations if item.target.kind is TargetKind.HOST}
    mac = json.loads(server.run(["ip", "-j", "link", "show", "dev", there.interface]).stdout)[0]["address"]
    assert {name for name, item in hosts.items() if item.values.get("mac") == mac} == {
        str(there.v4.ip),
        str(there.v6.ip),
        *mute,
    }
    # An address that nobody on the link has filters nothing.
    nobody = hosts[str(there.v6.network[0x99])]
    assert (nobody.outcome, dict(nobody.values)) == (Outcome.UNKNOWN, {})
    reasons = {item.what: item.reason.partition(":")[0] for item in by_syn.skipped}
    assert {name: reason for name, reason in reasons.items() if "ports" not in name} == {
        "10.9.9.0/30": "out_of_scope",
        "198.18.202.1": "unreachable",
        "198.18.201.1": "no_answer",
    }
    assert {reason for name, reason in reasons.items() if name.endswith(" ports 8080,40000")} == {"out_of_scope"}


def test_progress_counts_what_was_asked_of_those_that_keep_silent(
    lab: tuple[Namespace, Namespace, Attachment, Attachment],
) -> None:
    prober, *_ = lab
    given = {"targets": ["198.18.201.1"], "ports": "1-200", "engine": SYN, "rate": 300.0}
    found = prober.call(scan, given, net_of(*LAB))
    # All but the last wait is behind it, however long that takes: the time left can be told from it.
    assert max(item.done for item in found.progress[:-1]) > 150


def test_auto_takes_syns_where_they_pay(lab: tuple[Namespace, Namespace, Attachment, Attachment]) -> None:
    prober, _, _, there = lab
    for count, method in ((PAYS - 1, CONNECT), (PAYS, SYN)):
        given = {"targets": [str(there.v4.ip)], "ports": f"1-{count}"}
        found = prober.call(scan, given, net_of(*LAB))
        assert {item.method for item in found.observations} == {method}
        assert {item.note for item in found.progress} == {""}
        assert found.open() >= {(str(there.v4.ip), 22), (str(there.v4.ip), 80)}


def test_without_the_privilege_auto_connects_and_says_so(
    lab: tuple[Namespace, Namespace, Attachment, Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    prober, _, _, there = lab
    monkeypatch.setattr(helper, "why_not", lambda: NO_PRIVILEGE)
    given = {"targets": [str(there.v4.ip)], "ports": f"1-{PAYS}"}
    found = prober.call(scan, given, net_of(*LAB))
    assert {item.method for item in found.observations} == {CONNECT}
    assert found.open() == {(str(there.v4.ip), port) for port in OPEN if port <= PAYS}
    [said] = [item for item in found.observations if item.target.kind is TargetKind.AGENT]
    assert (said.outcome, dict(said.values)) == (Outcome.SEEN, {"engine": CONNECT, "why": NO_PRIVILEGE})
    assert {item.note for item in found.progress} == {NO_PRIVILEGE}
    with pytest.raises(CannotRun, match=NO_PRIVILEGE):
        prober.call(scan, {**given, "engine": SYN}, net_of(*LAB))
    assert choose(AUTO, PAYS - 1) == choose(CONNECT, PAYS) == (CONNECT, "")


def test_when_the_helper_dies_the_connect_engine_takes_over_and_says_so(
    lab: tuple[Namespace, Namespace, Attachment, Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    prober, _, _, there = lab
    real = client.run

    def killed(job: Any) -> Any:
        for said in real(job):
            for pid in helpers_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            yield said

    monkeypatch.setattr(client, "run", killed)
    given = {"targets": [str(there.v4.ip), str(there.v6.ip)], "ports": "1-1000,8080"}
    found = prober.call(scan, {**given, "host_rate": 2000.0}, net_of(*LAB))
    assert found.open() == {(str(ip), port) for ip in (there.v4.ip, there.v6.ip) for port in OPEN}
    assert found.skipped == []
    [said] = [item for item in found.observations if item.target.kind is TargetKind.AGENT]
    assert str(said.values["why"]).startswith("engine_failed: ended early")
    assert {item.method for item in found.observations} == {CONNECT}
    with pytest.raises(CannotRun, match="engine_failed"):
        prober.call(scan, {**given, "host_rate": 2000.0, "engine": SYN}, net_of(*LAB))


@pytest.mark.parametrize("engine", [SYN, CONNECT])
def test_quiet_hours_that_begin_during_a_run_end_it(
    lab: tuple[Namespace, Namespace, Attachment, Attachment], engine: str
) -> None:
    prober, server, _, there = lab
    counted = Counted(server)
    noon = datetime.now().astimezone().replace(hour=12, minute=0)
    quiet = (QuietHours.parse("13:00-14:00"),)
    net = net_of(
        *LAB, quiet=quiet, clock=lambda: noon.replace(hour=13 if counted.asked() else 12, minute=5).timestamp()
    )
    given = {"targets": [str(there.v4.ip)], "ports": "1-60000", "rate": 500.0, "engine": engine}
    found = prober.call(scan, given, net)
    asked = counted.asked().total()
    assert 0 < asked < 20_000
    assert [(item.what, item.reason) for item in found.skipped] == [(str(there.v4.ip), "quiet_hours: 13:00-14:00")]
    assert found.coverage == []
    assert not prober.run(["ss", "-Htnp"]).stdout
    assert counted.asked().total() == asked


@pytest.mark.parametrize(("net_rate", "rate"), [(700.0, 1e5), (1e5, 700.0)])
def test_the_narrower_rate_reaches_the_helper(net_rate: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Job] = []

    def refuse(job: Job) -> Any:
        asked.append(job)
        raise CannotRun("engine_failed: as asked")

    monkeypatch.setattr(client, "run", refuse)
    monkeypatch.setattr(helper, "why_not", lambda: None)
    given = {"targets": ["198.18.0.1"], "ports": "1-9", "engine": SYN, "rate": rate, "host_rate": 33.0}
    with pytest.raises(CannotRun, match="as asked"):
        scan(given, net_of(*LAB, rate=net_rate))
    assert [(job.rate, job.host_rate, job.ports) for job in asked] == [(700.0, 33.0, "1-9")]


def test_raw_syns_keep_to_the_link_that_was_named(netns: Namespaces, process: Processes) -> None:
    """The same link-local address on two links is two hosts for this engine too."""
    gateway, left, right = netns(), netns(), netns()
    links = [netns.link(gateway, host)[0].interface for host in (left, right)]
    for host, port, interface in ((left, "1001", links[0]), (right, "1002", links[1])):
        host.run(["ip", "address", "add", "fe80::99/64", "dev", interface, "nodad"])
        process([sys.executable, LISTENERS, port], netns=host, ready="ready")
    usable(gateway, left, right)
    given = {"targets": [f"fe80::99%{name}" for name in links], "ports": "1000-1003", "engine": SYN}
    found = gateway.call(scan, given, net_of("fe80::/64"))
    assert found.open() == {(f"fe80::99%{links[0]}", 1001), (f"fe80::99%{links[1]}", 1002)}
    assert {item.method for item in found.observations} == {SYN}
