"""The probe against real parts: everyone is found, joined and named; nobody outside the scope gets a packet."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from probes.kit.pacing import QuietHours
from probes.kit.raw.frames import ethernet, ipv4
from tests.probes.discovery import discovery_lab
from tests.probes.rig import Run, entry, net_of, run
from tests.raw.lab import usable
from tests.raw.link_wild import wild_machine
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes

SCOPE = ("198.18.0.0/15", "2001:db8::/32", "fe80::/64")


def discover(space: Namespace, *scope: str, **given: object) -> Run:
    return space.call(run, "discovery", {"leases": [], **given}, net_of(*(scope or SCOPE)))


def covered(found: Run) -> set[str]:
    return {prefix for item in found.coverage for prefix in item.prefixes}


def mac_of(space: Namespace, at: Attachment) -> str:
    [link] = json.loads(space.run(["ip", "-json", "link", "show", "dev", at.interface]).stdout)
    return str(link["address"])


def silence(space: Namespace) -> None:
    """Drop everything that arrives but ARP and ND."""
    space.run(["nft", "table ip f { chain i { type filter hook input priority 0; policy drop; }; }"])
    nd = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
    space.run(["nft", f"table ip6 f {{ chain i {{ type filter hook input priority 0; policy drop; {nd}; }}; }}"])


def test_real_devices_are_found_joined_and_named(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    avahi, nmbd = needs("avahi-daemon"), needs("nmbd", package="samba")
    wsdd, minissdpd = needs("wsdd"), needs("minissdpd")
    here, printer, files, windows, silent = [netns() for _ in range(5)]
    at = netns.lan(here, printer, files, windows, silent)
    usable(here, printer, files, windows, silent)
    silence(silent)
    discovery_lab.avahi(process, avahi, printer, tmp_path / "avahi", "flur-drucker")
    discovery_lab.nmbd(process, nmbd, files, at[2], tmp_path / "nmbd", "FILES01")
    discovery_lab.wsdd(process, wsdd, windows, at[3], "pc-one")
    uuid, server = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "Debian UPnP/1.1 Acme/2"
    discovery_lab.minissdpd(process, minissdpd, files, at[2], tmp_path / "ssdp", uuid, server)
    found = discover(here)
    assert found.skipped == []
    assert covered(found) == {str(at[0].v4.network)}

    shown = {item.target.name: item for item in found.observations}
    for space, place in zip((printer, files, windows, silent), at[1:], strict=True):
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
    again = {item.target.name: item.values for item in discover(here).observations}
    assert again[str(at[1].v4.ip)] == shown[str(at[1].v4.ip)].values


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
    hosts = [str(far.v4.ip) for _, far in links]
    nobody = str(links[0][1].v4.ip + 5)
    found = discover(here, targets=[*hosts, nobody], ports="80,9100", methods=["tcp", "icmp"], timeout=4.0)
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
    code = (
        "import json\n"
        "from tests.probes.rig import net_of, run\n"
        f"found = run('discovery', {{'leases': [], 'listen': 0.5, 'targets': ['{at[0].v4.network[0]}/28']}},"
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
    mine, _ = netns.link(here, there)
    usable(here, there)

    def forge(frame: bytes) -> list[bytes]:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != (1900).to_bytes(2, "big"):
            return []
        text = b"HTTP/1.1 200 OK\r\nUSN: uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8::upnp:rootdevice\r\n\r\n"
        udp = (1900).to_bytes(2, "big") + frame[34:36] + (8 + len(text)).to_bytes(2, "big") + b"\0\0" + text
        packet = ipv4(bytes([198, 18, 1, 99]), frame[26:30], 17, udp)
        return [ethernet(frame[6:12], b"\x02\0\0\0\0\x63", 0x0800) + packet]

    with wild_machine(there, mine.interface) as machine:
        machine.answer = forge
        found = discover(here, targets=["198.18.1.0/24"], listen=1.0)
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

    with wild_machine(there, mine.interface) as machine:
        machine.answer = flood
        found = discover(here, targets=[str(theirs.v4.ip)], methods=["arp", "mdns"], listen=3.0)
        asked = [frame for frame in machine.seen if frame[0] & 1 and frame[36:38] == (5353).to_bytes(2, "big")]
    said = found.of(str(theirs.v4.ip)).values
    assert "mdns" in said["via"]  # type: ignore[operator]
    assert len(said["services"]) <= 16  # type: ignore[arg-type]
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
