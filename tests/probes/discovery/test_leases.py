"""Lease files: what real servers write is understood; what strangers write into them does no harm."""

import os
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes.kit.discovery import leases
from probes.kit.discovery.leases import Lease, parse, read_files
from tests.probes.rig import net_of, run
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, wait_until

NOW, LATER = 1_000_000.0, 2_000_000.0
MAC = "a8:bb:cc:dd:ee:01"
FOUR, SIX = ip_address("10.0.0.5"), ip_address("2001:db8::5")
DUID = "00010001aabbccdda8bbccddee01"

DNSMASQ = f"""2000000 {MAC} 10.0.0.5 Teacher-PC ff:12:34:56:78:{":".join(DUID[i : i + 2] for i in range(0, 28, 2))}
999 {MAC} 10.0.0.6 ended 01:{MAC}
0 06-{MAC} 10.0.0.7 * 01:{MAC}
nonsense
² {MAC} 10.0.0.8 x *
duid 00:01:00:01:2f:00:00:00:02:00:00:00:00:01
2000000 12345678 2001:db8::5 teacher-pc {":".join(DUID[i : i + 2] for i in range(0, 28, 2))}
"""
KEA4 = f"""address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
10.0.0.5,{MAC},01:{MAC},3600,2000000,1,0,0,old-name,0,
10.0.0.6,{MAC},,3600,2000000,1,0,0,gone,0,
10.0.0.5,{MAC},00:70:63,3600,2000000,1,0,0,teacher-pc.,0,
10.0.0.6,{MAC},,0,2000000,1,0,0,gone,2,
10.0.0.9,{MAC},,3600,x,1
"""
KEA6_COLUMNS = (
    "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,"
    "hwaddr,state,user_context,hwtype,hwaddr_source"
)
KEA6 = f"""{KEA6_COLUMNS}
2001:db8::5,{":".join(DUID[i : i + 2] for i in range(0, 28, 2))},3600,2000000,1,1800,0,7,128,0,0,teacher-pc,{MAC},0,,1,0
2001:db8:9::,00:01,3600,2000000,1,1800,2,7,56,0,0,,,0,,,
"""
ISC = f"""# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
lease 10.0.0.5 {{
  starts 4 2026/11/26 10:00:00;
  ends 4 1970/01/24 03:33:20;
  binding state active;
  next binding state free;
  hardware ethernet {MAC};
  uid "\\001\\250\\273\\"x\\\\";
  client-hostname "Teacher-PC";
}}
lease 10.0.0.6 {{
  ends never;
  binding state active;
  hardware ethernet {MAC};
}}
lease 10.0.0.6 {{
  ends epoch 2000000;
  binding state free;
}}
ia-na "\\001\\002\\003\\004\\000\\001\\000\\001\\252\\273\\314\\335\\250\\273\\314\\335\\356\\001" {{
  cltt 4 2026/11/26 10:00:00;
  iaaddr 2001:db8::5 {{
    binding state active;
    preferred-life 375;
    max-life 600;
    ends epoch 2000000;
  }}
}}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            DNSMASQ,
            [
                Lease(FOUR, LATER, MAC, "teacher-pc", f"duid:{DUID}"),
                Lease(ip_address("10.0.0.7"), leases.NEVER, MAC, "", ""),
                Lease(SIX, LATER, "", "teacher-pc", f"duid:{DUID}"),
            ],
        ),
        (KEA4, [Lease(FOUR, LATER, MAC, "teacher-pc", "id:007063")]),
        (KEA6, [Lease(SIX, LATER, MAC, "teacher-pc", f"duid:{DUID}")]),
        (
            ISC,
            [
                Lease(FOUR, LATER, MAC, "teacher-pc", "id:01a8bb22785c"),
                Lease(SIX, LATER, "", "", f"duid:{DUID}"),
            ],
        ),
        ("", []),
    ],
)
def test_what_servers_write(text: str, expected: list[Lease]) -> None:
    assert parse(text, NOW) == expected


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "good").write_text(DNSMASQ, encoding="utf-8")
    names = [str(tmp_path / name) for name in ("pipe", "folder", "missing", "good")]
    found = read_files([*names, "/dev/zero"], NOW)
    assert [bool(item.failure) for item in found] == [True, True, True, False, True]
    assert len(found[3].leases) == 3
    assert read_files(["/var/lib/misc/dnsmasq.leases.none"], NOW)[0].failure == "no such file"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to somebody else")
def test_what_anybody_may_have_left_in_a_shared_folder_is_no_lease_file(tmp_path: Path) -> None:
    file = tmp_path / "dhcp.leases"
    file.write_text("1900000000 02:00:00:00:00:01 198.18.0.1 pc *\n")
    for mode, owner, count in ((0o1777, 1000, 0), (0o1777, 453, 1), (0o755, 1000, 1)):
        tmp_path.chmod(mode)
        os.chown(file, owner, owner)
        [read] = read_files([str(file)], 0.0)
        assert (len(read.leases), read.failure) == (count, "" if count else "anybody may have written it")


def test_of_a_long_file_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_FILE_BYTES", 1 << 16)
    head, *_ = KEA4.splitlines()
    lines = [f"10.{n >> 8}.{n & 255}.1,{MAC},,3600,2000000,1,0,0,pc-{n},0," for n in range(4000)]
    (tmp_path / "kea.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    [found] = read_files([str(tmp_path / "kea.csv")], NOW)
    assert found.leases[-1].hostname == "pc-3999"
    assert 500 < len(found.leases) < 2000


def test_kea_files_of_a_clean_up_under_way(tmp_path: Path) -> None:
    head, *_ = KEA4.splitlines()
    for suffix, host in ((".2", "oldest"), (".1", "older"), ("", "newest")):
        row = f"10.0.0.5,{MAC},,3600,2000000,1,0,0,{host},0,\n"
        other = f"10.0.1.{len(suffix) + 1},{MAC},,3600,2000000,1,0,0,{host},0,\n"
        (tmp_path / f"kea.csv{suffix}").write_text(f"{head}\n{row}{other}", encoding="utf-8")
    [found] = read_files([str(tmp_path / "kea.csv")], NOW)
    assert {str(lease.address): lease.hostname for lease in found.leases}["10.0.0.5"] == "newest"


@given(some.text(max_size=300), some.sampled_from([DNSMASQ, KEA4, KEA6, ISC]), some.integers(0, 900))
def test_any_text_anywhere(text: str, real: str, place: int) -> None:
    for whole in (text, real[:place] + text + real[place:], real.replace("Teacher-PC", text)):
        for lease in parse(whole, NOW):
            assert lease.expires > NOW
            assert lease.hostname.isascii()
            assert len(lease.dhcp_id) < 300


def _ask_for_a_lease(space: Namespace, interface: str, mac: bytes) -> None:
    """Be a DHCP client for one DISCOVER and one REQUEST (RFC 2131), by broadcast."""

    def exchange() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            line.bind(("", 68))
            line.settimeout(20)
            head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + mac + bytes(202)
            shared = b"\x63\x82\x53\x63\x0c\x0aTeacher-PC\x3d\x03\x00pc"
            line.sendto(head + shared + b"\x35\x01\x01\xff", ("255.255.255.255", 67))
            offer = line.recv(2048)
            options = b"\x35\x01\x03\x32\x04" + offer[16:20] + b"\x36\x04" + offer[20:24]
            line.sendto(head + shared + options + b"\xff", ("255.255.255.255", 67))
            line.recv(2048)

    space.call(exchange)


def test_a_lease_of_dnsmasq_names_the_device_that_has_it(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    dnsmasq = needs("dnsmasq", package="dnsmasq-base")
    here, client = netns(), netns()
    mine, theirs = netns.link(here, client)
    file = tmp_path / "leases"
    words = [dnsmasq, "-d", "-p", "0", "-C", "/dev/null", "-i", mine.interface, "--bind-interfaces", "-u", "root"]
    words += [f"--dhcp-leasefile={file}", "--dhcp-range=198.18.1.50,198.18.1.60,1h", "--dhcp-authoritative"]
    process([*words, "--no-ping"], netns=here, ready="DHCP, IP range")
    shown = client.run(["ip", "-brief", "link", "show", "dev", theirs.interface]).stdout.split()[2]
    mac = bytes.fromhex(shown.replace(":", ""))
    _ask_for_a_lease(client, theirs.interface, mac)
    wait_until(lambda: "Teacher-PC" in file.read_text(encoding="utf-8"), "the lease is written")
    address = file.read_text(encoding="utf-8").split()[2]
    given = {"leases": [str(file)], "methods": ["arp", "dhcp_lease"], "targets": [str(mine.v4.network)]}
    before = here.call(run, "discovery", given, net_of("198.18.0.0/15"))
    lease = before.of(address, "dhcp_lease")
    assert lease.outcome == "unknown"  # a lease is no sign of life
    assert lease.values == {"mac": shown, "local_mac": True, "hostname": "teacher-pc", "dhcp_id": "id:007063"}
    assert 3000 < lease.duration <= 3600
    client.run(["ip", "address", "add", f"{address}/24", "dev", theirs.interface])
    found = here.call(run, "discovery", given, net_of("198.18.0.0/15")).of(address, "arp")
    assert (found.outcome, found.values["hostname"], found.values["dhcp_id"]) == ("seen", "teacher-pc", "id:007063")
