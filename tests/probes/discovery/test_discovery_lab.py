"""The probe against real parts: everyone is found, joined and named; nobody outside the scope gets a packet."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from probes.kit.options import build
from probes.kit.raw.packets.frames import ethernet, ipv4
from probes.kit.registry import load
from probes.kit.sending.pacing import QuietHours
from tests.probes.discovery import discovery_lab
from tests.probes.rig import Run, entry, net_of, run
from tests.raw.lab import usable
from tests.raw.link_wild import wild_machine
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.patience import given_time
from tests.support.processes import Processes

IGD = "7658eed2-4779-469f-8f16-fc8a3f708b64"
SCOPE = ("198.18.0.0/15", "2001:db8::/32", "fe80::/64")


def discover(space: Namespace, *scope: str, **given: object) -> Run:
    return space.call(run, "discovery", {"leases": [], **given}, net_of(*(scope or SCOPE)))


def listened(space: Namespace, wanted: set[str], *, first: float = 3.0, **given: object) -> Run:
    """Discover, listening longer again while nobody is seen by some of the ways: the machine may have stood still."""
    return given_time(
        lambda seconds: discover(space, listen=seconds, **given),
        lambda found: wanted <= _ways(found),
        first=first,
        enough=5 * first,
    )


def _ways(found: Run) -> set[str]:
    return {way for item in found.observations for way in item.values.get("via", ())}  # type: ignore[union-attr]


def covered(found: Run) -> set[str]:
    return {prefix for item in found.coverage for prefix in item.prefixes}


def mac_of(space: Namespace, at: Attachment) -> str:
    [link] = json.loads(space.run(["ip", "-json", "link", "show", "dev", at.interface]).stdout)
    return str(link["address"])


def impatient(space: Namespace) -> None:
    """Let the kernel give up an address that nobody has after 0.15 s, where it is the test's business what follows."""
    for name in json.loads(space.run(["ip", "-json", "link", "show"]).stdout):
        space.sysctl(f"net.ipv4.neigh.{name['ifname']}.retrans_time_ms", 50)


def silence(space: Namespace) -> None:
    """Drop everything that arrives but ARP and ND."""
    space.run(["nft", "table ip f { chain i { type filter hook input priority 0; policy drop; }; }"])
    nd = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
    space.run(["nft", f"table ip6 f {{ chain i {{ type filter hook input priority 0; policy drop; {nd}; }}; }}"])


def test_real_devices_are_found_joined_and_named(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    avahi, nmbd = needs("avahi-daemon"), needs("nmbd", package="samba")
    wsdd, minissdpd, miniupnpd = needs("wsdd"), needs("minissdpd"), needs("miniupnpd")
    here, printer, files, windows, silent, router = [netns() for _ in range(6)]
    at = netns.lan(here, printer, files, windows, silent, router)
    usable(here, printer, files, windows, silent, router)
    silence(silent)
    discovery_lab.avahi(process, avahi, printer, tmp_path / "avahi", "flur-drucker")
    discovery_lab.nmbd(process, nmbd, files, at[2], tmp_path / "nmbd", "FILES01")
    discovery_lab.wsdd(process, wsdd, windows, at[3], "pc-one")
    uuid, server = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "Debian UPnP/1.1 Acme/2"
    discovery_lab.minissdpd(process, minissdpd, files, at[2], tmp_path / "ssdp", uuid, server)
    discovery_lab.miniupnpd(process, miniupnpd, router, at[5], tmp_path / "upnp", IGD)
    found = listened(here, {"mdns", "netbios", "ssdp", "wsd", "description"})
    assert found.skipped == []
    assert covered(found) == {str(at[0].v4.network)}

    shown = {item.target.name: item for item in found.observations}
    for space, place in zip((printer, files, windows, silent, router), at[1:], strict=True):
        four = shown[str(place.v4.ip)]
        assert (four.method, four.outcome) == ("arp", "seen")
        assert four.values["mac"] == mac_of(space, place)
        assert four.values["local_mac"] is True
        assert four.values["interface"] == at[0].interface
    assert str(at[4].v6.ip) not in shown  # it keeps silent, and a /64 is never enumerated
    assert shown[str(at[0].v4.ip)].method == "own"

    for name in (str(at[1].v4.ip), str(at[1].v6.ip)):
        said = shown[name].values
        assert said["hostname"] == "flur-drucker"
        assert said["name"] == "Drucker im Flur"
        assert (said["model"], said["vendor"], said["device"]) == ("Acme LaserStar 9", "Acme", "printer")
        assert said["mac"] == mac_of(printer, at[1])
        assert "mdns" in said["via"]  # type: ignore[operator]
    said = shown[str(at[2].v4.ip)].values
    assert (said["hostname"], said["workgroup"]) == ("files01", "SCHOOL")
    assert "ssdp" in said["via"]  # type: ignore[operator]
    assert (said["uuid"], said["system"]) == ((uuid,), server)
    said = shown[str(at[3].v4.ip)].values
    assert "wsd" in said["via"]  # type: ignore[operator]
    assert said["device"] == "computer"
    assert len(said["uuid"]) == 1  # type: ignore[arg-type]
    assert (said["hostname"], said["workgroup"]) == ("pc-one", "SCHOOL")
    assert "serial" not in said  # wsdd's own, the same everywhere
    six = [
        item.values for name, item in shown.items() if name.startswith("fe80:") and item.values["mac"] == said["mac"]
    ]
    assert [(item["hostname"], "description" in item["via"]) for item in six] == [("pc-one", True)]  # type: ignore[operator]
    said = shown[str(at[5].v4.ip)].values
    assert "description" in said["via"]  # type: ignore[operator]
    assert (said["vendor"], said["model"], said["serial"]) == ("Acme", "Acme Gate 7", "AG7-00123")
    assert (said["name"], said["device"]) == ("Flur-Router", "router")
    assert IGD in said["uuid"]  # type: ignore[operator]
    seen = listened(here, {"mdns", "ssdp"}, methods=["arp", "nd", "mdns", "ssdp"], first=1.5)
    again = {item.target.name: item.values for item in seen.observations}
    for name, value in shown[str(at[1].v4.ip)].values.items():
        assert name == "via" or again[str(at[1].v4.ip)][name] == value
    assert "ssdp" in again[str(at[5].v4.ip)]["via"]  # type: ignore[operator]
    assert not {"serial", "model", "vendor"} & again[str(at[5].v4.ip)].keys()


def test_two_networks_behind_a_router(netns: Namespaces) -> None:
    here, router, left, right = [netns() for _ in range(4)]
    _, gateway = netns.link(here, router)
    links = [netns.link(router, space) for space in (left, right)]
    usable(here, router, left, right)
    router.sysctl("net.ipv4.ip_forward", 1)
    here.run(["ip", "route", "add", "default", "via", str(gateway.v4.ip)])
    for space, (near, _) in zip((left, right), links, strict=True):
        space.run(["ip", "route", "add", "default", "via", str(near.v4.ip)])
    right.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    impatient(router)
    hosts = [str(far.v4.ip) for _, far in links]
    nobody = str(links[0][1].v4.ip + 5)
    found = discover(here, targets=[*hosts, nobody], ports="80,9100", methods=["tcp", "icmp"])
    seen = {item.target.name: item.values["via"] for item in found.observations}
    assert seen == {hosts[0]: ("tcp", "icmp"), hosts[1]: ("tcp",)}
    # The router says that nobody is there; or it was too slow to, and then nothing is known.
    assert covered(found) == {f"{nobody}/32"} or [item.what for item in found.skipped] == [nobody]


def test_beyond_a_router_silence_proves_nothing(netns: Namespaces) -> None:
    here, router, far = [netns() for _ in range(3)]
    _, gateway = netns.link(here, router)
    near, there = netns.link(router, far)
    router.sysctl("net.ipv4.ip_forward", 1)
    here.run(["ip", "route", "add", "default", "via", str(gateway.v4.ip)])
    far.run(["ip", "route", "add", "default", "via", str(near.v4.ip)])
    silence(far)
    found = discover(here, targets=[str(there.v4.ip)], ports="80", timeout=0.3, methods=["tcp", "icmp"])
    assert (found.observations, found.coverage) == ([], [])
    assert [(item.what, item.reason) for item in found.skipped] == [(str(there.v4.ip), "no_answer")]


@pytest.mark.parametrize("prefix", ["198.18.1.0/29", "198.18.1.128/25", "198.18.77.0/24"])
def test_nobody_outside_the_scope_gets_a_packet(netns: Namespaces, prefix: str) -> None:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    usable(here, there)
    with wild_machine(there, mine.interface) as machine:
        found = discover(here, prefix, "2001:db8:1::40/124", targets=["198.18.1.0/24", "2001:db8:1::/120"], listen=0.5)
        everyone = {frame for frame in machine.seen if frame[0] & 1 and frame[12:14] == b"\x08\x00"}
    allowed = {str(address) for address in ip_network(prefix)} - {str(mine.v4.ip)}
    assert machine.asked_by_arp() <= allowed
    assert machine.asked_by_nd() <= {str(address) for address in ip_network("2001:db8:1::40/124")}
    assert everyone == set()  # no group: the link's prefix is not wholly in scope
    six = {frame[54] for frame in machine.seen if frame[12:14] == b"\x86\xdd" and frame[20] == 58}
    assert not six & {128, 130}
    assert any(item.reason.startswith("out_of_scope") for item in found.skipped)


def test_groups_need_the_port_in_scope_on_the_whole_link(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    net = net_of(entry("198.18.0.0/15", "1900"))
    with wild_machine(there, mine.interface) as machine:
        here.call(run, "discovery", {"leases": [], "listen": 1.2, "methods": ["mdns", "ssdp", "wsd"]}, net)
        ports = {
            int.from_bytes(frame[36:38], "big")
            for frame in machine.seen
            if frame[0] & 1 and frame[12:14] == b"\x08\x00" and frame[23] == 17
        }
    assert ports == {1900}


def test_without_the_capability_the_kernel_asks(netns: Namespaces, needs: Callable[..., str], tmp_path: Path) -> None:
    setpriv = needs("setpriv", package="util-linux")
    here, plain, silent = [netns() for _ in range(3)]
    at = netns.lan(here, plain, silent)
    usable(here, plain, silent)
    silence(silent)
    silent.run(["nft", "insert rule ip f i udp dport 137 counter"])
    impatient(here)
    code = (
        "import json\n"
        "from tests.probes.rig import net_of, run\n"
        f"found = run('discovery', {{'methods': ['arp', 'nd', 'netbios'], 'targets': ['{at[0].v4.network[0]}/28']}},"
        f" net_of(*{SCOPE!r}))\n"
        "print(json.dumps([{item.target.name: [*item.values['via']] for item in found.observations},"
        " [prefix for item in found.coverage for prefix in item.prefixes], [item.note for item in found.progress]]))"
    )
    done = here.run([setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--", sys.executable, "-c", code])
    via, prefixes, notes = json.loads(done.stdout)
    assert via[str(at[1].v4.ip)][0] == via[str(at[2].v4.ip)][0] == "arp"
    assert len(via) == 3
    assert prefixes == [f"{at[0].v4.network[0]}/28"]
    assert "no_raw_links" in notes
    # The question that makes the kernel ask is the NetBIOS question, and it is not asked anew.
    assert "counter packets 3 " in silent.run(["nft", "list", "chain", "ip", "f", "i"]).stdout


def test_without_the_capability_a_switch_that_limits_arp_makes_nobody_absent(
    netns: Namespaces, needs: Callable[..., str]
) -> None:
    setpriv, nft = needs("setpriv", package="util-linux"), needs("nft", package="nftables")
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    usable(here, there)
    impatient(here)
    there.run(["ip", "route", "add", "local", "198.18.1.128/25", "dev", "lo"])
    limit = "limit rate over 30/second burst 30 packets drop"
    there.run([nft, f"table arp lab {{ chain in {{ type filter hook input priority 0; {limit}; }}; }}"])
    code = (
        "import json\n"
        "from tests.probes.rig import net_of, run\n"
        f"given = {{'methods': ['arp'], 'targets': ['{mine.v4.network}']}}\n"
        f"found = run('discovery', given, net_of(*{SCOPE!r}), seconds=240)\n"
        "print(json.dumps([[item.target.name for item in found.observations if item.method == 'arp'],"
        " [prefix for item in found.coverage for prefix in item.prefixes], [item.reason for item in found.skipped]]))"
    )
    done = here.run([setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--", sys.executable, "-c", code])
    heard, prefixes, reasons = json.loads(done.stdout)
    assert 0 < len(heard) < 128
    covered = {str(address) for prefix in prefixes for address in ip_network(prefix)}
    assert covered <= {*heard, str(mine.v4.ip), str(mine.v4.network[0]), str(mine.v4.network[-1])}
    assert "answers_lost" in reasons


def test_a_link_that_is_down_covers_nothing(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    there.run(["ip", "link", "set", mine.interface, "down"])
    found = discover(here, targets=["198.18.1.0/28"], methods=["arp"])
    assert [item for item in found.observations if item.method != "own"] == []
    assert found.coverage == []
    assert found.skipped != []


def test_who_only_speaks_in_anothers_name_is_doubted(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    usable(here, there)

    def forge(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != (1900).to_bytes(2, "big"):
            return []
        place = f"LOCATION: http://{theirs.v4.ip}:8200/x\r\n".encode()
        text = b"HTTP/1.1 200 OK\r\n" + place + b"USN: uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8::x\r\n\r\n"
        udp = (1900).to_bytes(2, "big") + frame[34:36] + (8 + len(text)).to_bytes(2, "big") + b"\0\0" + text
        packet = ipv4(bytes([198, 18, 1, 99]), frame[26:30], 17, udp)
        return [ethernet(frame[6:12], b"\x02\0\0\0\0\x63", 0x0800) + packet]

    with wild_machine(there, mine.interface) as machine:
        machine.answer = forge
        found = discover(here, targets=["198.18.1.96/28"], methods=["arp", "ssdp", "description"], listen=1.0)
        connected = [frame for frame in machine.seen if frame[12:14] == b"\x08\x00" and frame[23] == 6]
    assert connected == []  # nobody is asked for a description because somebody else says that it is there
    forged = found.of("198.18.1.99")
    assert forged.outcome == "unknown"
    assert forged.values["via"] == ("ssdp",)


def test_a_flood_of_mdns_answers_is_bounded_and_so_is_what_it_makes_us_ask(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    usable(here, there)

    def flood(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != (5353).to_bytes(2, "big"):
            return []
        found = []
        for number in range(400):
            kind = (
                b"\x08_k" + f"{len(machine.seen):02x}"[-2:].encode() + f"{number:04d}".encode() + b"\x04_tcp\x05local\0"
            )
            name = b"\x09_services\x07_dns-sd\x04_udp\x05local\0"
            record = name + bytes([0, 12, 0, 1, 0, 0, 0, 9]) + len(kind).to_bytes(2, "big") + kind
            text = frame[42:44] + bytes([0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0]) + record
            udp = (5353).to_bytes(2, "big") + frame[34:36] + (8 + len(text)).to_bytes(2, "big") + b"\0\0" + text
            found.append(
                ethernet(frame[6:12], machine.hardware, 0x0800) + ipv4(theirs.v4.ip.packed, frame[26:30], 17, udp)
            )
        return found

    def flooded(seconds: float) -> tuple[Mapping[str, Any], list[bytes]]:
        machine.seen.clear()
        found = discover(here, targets=[str(theirs.v4.ip)], methods=["arp", "mdns"], listen=seconds)
        asked = [frame for frame in machine.seen if frame[0] & 1 and frame[36:38] == (5353).to_bytes(2, "big")]
        return found.of(str(theirs.v4.ip)).values, asked

    with wild_machine(there, mine.interface) as machine:
        machine.answer = flood
        said, asked = given_time(flooded, lambda found: "mdns" in found[0].get("via", ()), first=1.5)
    assert "mdns" in said["via"]
    assert len(said["services"]) <= 16
    # Twice the first question (and the reverse one), then one for each of the kinds of service that we follow.
    assert 2 < len(asked) <= 2 * 2 + 64


def test_quiet_hours_that_begin_during_a_run_end_it(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    usable(here, there)
    noon = datetime.now().astimezone().replace(hour=12, minute=5)
    with wild_machine(there, mine.interface) as machine:
        net = net_of(
            *SCOPE,
            quiet=(QuietHours.parse("13:00-14:00"),),
            clock=lambda: noon.replace(hour=13 if machine.asked_by_arp() else 12).timestamp(),
        )
        given = {"leases": [], "targets": ["198.18.1.0/24"], "link_rate": 40.0}
        found = here.call(run, "discovery", given, net)
        groups = {frame[36:38] for frame in machine.seen if frame[0] & 1 and frame[12:14] == b"\x08\x00"}
        asked = machine.asked_by_arp()
    assert 0 < len(asked) < 250
    assert "quiet_hours: 13:00-14:00" in {item.reason for item in found.skipped}
    assert covered(found) <= {f"{mine.v4.ip}/32"}  # itself at most: of all others nothing is known
    assert groups == set()  # nothing was asked of everybody any more


def test_a_dry_run_says_what_leaves_when_nobody_answers_and_sends_nothing(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, _ = netns.link(here, there)
    usable(here, there)
    mute = f"filter hook egress device {mine.interface} priority 0; policy drop;"
    there.run(["nft", f"table netdev f {{ chain o {{ type {mute} }}; }}"])
    given = {"leases": [], "targets": ["198.18.1.0/28", "2001:db8:1::/64"], "listen": 1.5}
    with wild_machine(there, mine.interface) as machine:
        probe, net = load("discovery"), net_of(*SCOPE)
        assert probe.preview is not None
        told = here.call(probe.preview, build(probe, given), net)
        assert Counter(map(kind_of, machine.seen)).keys() <= {("", 0)}
        assert net.sent == 0
        here.call(run, "discovery", given, net_of(*SCOPE))
        seen = Counter(map(kind_of, machine.seen))
    del seen["", 0]
    said: Counter[tuple[str, int]] = Counter()
    for step in told.steps:
        said[step.method, 6 if any(":" in name for name in step.to) else 4] += step.packets
    assert told.packets == said.total()
    assert +said == seen


def kind_of(frame: bytes) -> tuple[str, int]:
    """Method and family of a frame that a discovery sends; nothing for what a kernel says by itself."""
    groups = {5353: "mdns", 1900: "ssdp", 3702: "wsd"}
    if frame[12:14] == b"\x08\x06":
        return "arp", 4
    if frame[12:14] == b"\x08\x00":
        return groups.get(int.from_bytes(frame[36:38], "big"), "other"), 4
    header, kind = frame[20], frame[54]
    if header == 17:
        return groups.get(int.from_bytes(frame[56:58], "big"), "other"), 6
    if header == 0 and frame[62] == 130:
        return "mld", 6
    if header == 60:
        return "opt80", 6
    return ("echo", 6) if header == 58 and kind == 128 else ("", 0)
