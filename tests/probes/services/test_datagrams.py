"""UDP: questions and answers without sockets, then real servers and filters in namespaces."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.scan.udp import Answered, sweep
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.services.datagrams.question import Question
from probes.kit.services.datagrams.table import BY_PORT, QUESTIONS, question
from probes.kit.services.talk import MAX_FACT
from tests.support.names import wait_for_version
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes
from wire.types import Outcome, ScopeEntry


@pytest.mark.parametrize("about", QUESTIONS, ids=lambda about: about.service)
def test_a_question_is_small_and_not_its_own_answer(about: Question) -> None:
    # Many times, since questions have random numbers: none of them may look like an answer.
    for asked in (about.make() for _ in range(1000)):
        assert 0 < len(asked) <= 1200
        assert about.read(asked, asked) is None or about.service in ("mdns", "coap", "echo")
        assert about.read(asked, b"") is None


@given(about=st.sampled_from(QUESTIONS), got=st.binary(max_size=600), echo=st.integers(0, 12))
def test_no_datagram_breaks_a_reader(about: Question, got: bytes, echo: int) -> None:
    asked = about.make()
    heard = about.read(asked, asked[:echo] + got)
    if heard is not None:
        assert all(len(value) <= MAX_FACT and value.isprintable() for value in heard.facts.values())


def test_netbios_names_and_mac() -> None:
    about = BY_PORT[137]
    asked = about.make()
    names = [("OFFICE-PC", 0x00, 0x04), ("WORKGROUP", 0x00, 0x84), ("OFFICE-PC", 0x20, 0x04)]
    table = b"".join(name.ljust(15).encode() + bytes([kind, flags, 0]) for name, kind, flags in names)
    head = asked[:2] + b"\x84\x00" + bytes(8) + asked[12:46] + struct.pack(">HHIH", 0x21, 1, 0, len(table) + 7)
    heard = about.read(asked, head + bytes([len(names)]) + table + bytes.fromhex("0011223344550000"))
    assert heard is not None
    assert heard.facts == {"host.name": "OFFICE-PC", "host.domain": "WORKGROUP", "host.mac": "00:11:22:33:44:55"}


def test_a_camera_says_so_in_ws_discovery() -> None:
    about = BY_PORT[3702]
    asked = about.make()
    mark = asked[asked.index(b"uuid:") : asked.index(b"uuid:") + 41]
    got = b"<RelatesTo>" + mark + b"</RelatesTo><Types>dn:NetworkVideoTransmitter</Types>"
    heard = about.read(asked, got + b"<Scopes>onvif://www.onvif.org/hardware/DS-2CD2T</Scopes>")
    assert heard is not None
    assert heard.facts == {"onvif.hardware": "DS-2CD2T", "hw.device": "camera or recorder"}
    assert about.read(asked, got.replace(mark, b"uuid:forged")) is None


def test_sql_browser_names_the_instance() -> None:
    heard = BY_PORT[1434].read(b"\x02", b"\x05\x40\x00ServerName;OA;InstanceName;MSSQL;Version;15.0.2000.5;;")
    assert heard is not None
    assert heard.facts["service.version"] == "15.0.2000.5"
    assert heard.facts["host.name"] == "OA"


def asked_from(space: Namespace, scope: Scope, pairs: list[tuple[str, int]]) -> dict[tuple[str, int], Answered]:
    """Sweep from inside a namespace."""

    def run() -> list[Answered]:
        return list(sweep(Net(scope), pairs, time.monotonic() + 60))

    return {(answer.address, answer.port): answer for answer in space.call(run)}


def scope_of(*prefixes: str) -> Scope:
    """Authorise a test's own prefixes."""
    return Scope(ScopeEntry(prefix, "test", "own namespaces", None) for prefix in prefixes)


@pytest.mark.parametrize("family", [4, 6])
def test_open_closed_silent_and_prohibited(
    netns: Namespaces, process: Processes, tmp_path: Path, needs: Callable[..., str], family: int
) -> None:
    named, snmpd, nft = needs("named", package="bind9"), needs("snmpd"), needs("nft", package="nftables")
    asking, answering = netns(), netns()
    near, far = netns.link(asking, answering)
    address = str(far.v4.ip if family == 4 else far.v6.ip)
    config = tmp_path / "named.conf"
    config.write_text(
        f'options {{ directory "{tmp_path}"; pid-file "{tmp_path}/pid"; session-keyfile "{tmp_path}/key"; '
        f'recursion no; version "9.99-test"; listen-on-v6 {{ any; }}; }};\ncontrols {{ }};\n'
    )
    process([named, "-g", "-c", config], netns=answering, ready="running")
    (tmp_path / "snmpd.conf").write_text("agentaddress udp:161,udp6:161\nrocommunity not-asked-for\n")
    process([snmpd, "-f", "-Lo", "-C", "-c", tmp_path / "snmpd.conf"], netns=answering, ready="NET-SNMP version")
    wait_for_version(asking, address)
    rules = tmp_path / "rules.nft"
    rules.write_text(
        "table inet t { chain c { type filter hook input priority 0;\nudp dport 1900 drop\n"
        "udp dport 5060 reject with icmpx type admin-prohibited\n}\n}\n"
    )
    answering.run([nft, "-f", rules])
    closed = [7, 123, 137, 1434, 5353, 5683, 11211]
    pairs = [(address, port) for port in (53, 161, 1900, 5060, *closed)]
    found = asked_from(asking, scope_of(str(near.v4.network), str(near.v6.network)), pairs)
    outcomes = {port: answer.outcome for (_, port), answer in found.items()}
    # An IPv6 host says "prohibited" with an error that Linux gives as EACCES; both families read as filtered.
    assert outcomes == {
        53: Outcome.OPEN,
        161: Outcome.OPEN,
        1900: Outcome.OPEN_FILTERED,
        5060: Outcome.FILTERED,
        **dict.fromkeys(closed, Outcome.CLOSED),
    }
    dns, snmp = found[address, 53].heard, found[address, 161].heard
    assert dns is not None
    assert dns.facts["banner"] == "9.99-test"
    assert snmp is not None
    assert snmp.facts["service.product"] == "Net-SNMP"


def test_rationed_errors_are_waited_for(netns: Namespaces) -> None:
    asking, answering = netns(), netns()
    near, far = netns.link(asking, answering)
    # Fewer errors than ports: one round would take most closed ports for silent ones.
    answering.sysctl("net.ipv4.icmp_ratelimit", 500)
    pairs = [(str(far.v4.ip), port) for port in range(20000, 20012)]
    found = asked_from(asking, scope_of(str(near.v4.network)), pairs)
    assert {answer.outcome for answer in found.values()} == {Outcome.CLOSED}


def test_nothing_leaves_for_printers_or_outside_the_scope() -> None:
    net = Net(Scope())
    answers = list(sweep(net, [("127.0.0.1", 9100), ("198.51.100.1", 53)], time.monotonic() + 5))
    assert net.sent == 0
    assert {answer.outcome for answer in answers} == {Outcome.UNKNOWN}
    assert next(str(answer.refused) for answer in answers if answer.refused).startswith("198.51.100.1 port 53")


def test_ports_of_no_known_protocol_get_an_empty_datagram() -> None:
    assert question(40000).make() == b""


@pytest.mark.parametrize("kind", [8, 5], ids=["first client", "while another's handshake is open"])
def test_openvpn_is_known_whether_it_resets_or_acknowledges(kind: int) -> None:
    about = BY_PORT[1194]
    asked = about.make()
    heard = about.read(asked, bytes([kind << 3]) + b"\x17" * 8 + b"\1\0\0\0\0" + asked[1:9])
    assert heard is not None
    assert heard.service == "openvpn"
    assert about.read(asked, bytes([kind << 3]) + b"\x17" * 21) is None


def test_a_quic_server_names_its_versions() -> None:
    about = BY_PORT[443]
    asked = about.make()
    assert len(asked) == 1200
    ids = asked[14:23] + asked[5:14]
    got = b"\x8a" + bytes(4) + ids + struct.pack(">III", 0x0A1A2A3A, 0x6B3343CF, 1)
    heard = about.read(asked, got)
    assert heard is not None
    assert heard.facts == {"protocol": "QUIC 2, 1"}
    assert about.read(asked, got.replace(ids, bytes(len(ids)))) is None


def test_devices_say_what_they_are() -> None:
    asked = BY_PORT[37020].make()
    mark = asked[asked.index(b"<Uuid>") : asked.index(b"</Uuid>") + 7]
    hikvision = (
        b"<ProbeMatch>" + mark + b"<MAC>c0-56-e3-00-11-22</MAC><DeviceDescription>DS-2CD2143</DeviceDescription>"
    )
    hikvision += b"<SoftwareVersion>V5.5.82</SoftwareVersion><Activated>false</Activated></ProbeMatch>"
    heard = BY_PORT[37020].read(asked, hikvision)
    assert heard is not None
    assert (heard.facts["hw.product"], heard.facts["os.version"]) == ("DS-2CD2143", "V5.5.82")
    assert (heard.facts["security"], heard.facts["authentication"]) == ("no password is set yet", "none")
    activated = BY_PORT[37020].read(asked, hikvision.replace(b"false", b"true"))
    assert activated is not None
    assert activated.facts["authentication"] == "required"
    assert BY_PORT[37020].read(asked, hikvision.replace(mark, b"<Uuid>0</Uuid>")) is None
    body = b'{"mac":"4c:11:bf:00:11:22","params":{"deviceInfo":{"DeviceType":"IPC-HFW1","Version":"2.6"}}}\n\0'
    heard = BY_PORT[37810].read(b"", b"\x20\x00\x00\x00DHIP" + bytes(24) + body)
    assert heard is not None
    assert heard.facts["hw.product"] == "IPC-HFW1"
    broken = BY_PORT[37810].read(b"", b"\x20\x00\x00\x00DHIP" + bytes(24) + b'{"params":{"deviceInfo":[' + b"[" * 3000)
    assert broken is not None
    assert broken.facts["hw.vendor"] == "Dahua"
    half = BY_PORT[37810].read(b"", b"\x20\x00\x00\x00DHIP" + bytes(24) + body.replace(b"IPC-HFW1", b"\\ud800"))
    assert half is not None
    assert half.facts["hw.product"] == "?"
    asked = BY_PORT[47808].make()
    bacnet = (
        b"\x81\x0a\x00\x20\x01\x00\x30" + asked[8:9] + b"\x0c\x0c\x02\x00\x00\x01\x19\x79\x3e\x75\x08\x00Siemens\x3f"
    )
    heard = BY_PORT[47808].read(asked, bacnet)
    assert heard is not None
    assert heard.facts["hw.vendor"] == "Siemens"
    assert BY_PORT[47808].read(b"\0" * 17, bacnet) is None or asked[8:9] == b"\0"
    ipmi = bytes.fromhex("0600ff07 00 00000000 00000000 10 811c632000 38 00 01 97 04 03 00000000 00".replace(" ", ""))
    ipmi = ipmi[:23] + b"\x03" + ipmi[24:]
    heard = BY_PORT[623].read(b"", ipmi)
    assert heard is not None
    assert (heard.facts["security"], heard.facts["authentication"]) == ("anonymous login, null user names", "none")
    named = BY_PORT[623].read(b"", ipmi[:23] + b"\x04" + ipmi[24:])
    assert named is not None
    assert named.facts["authentication"] == "required"


@pytest.mark.parametrize("long", [False, True])
def test_a_directory_tells_its_root(long: bool) -> None:
    asked = BY_PORT[389].make()

    def size(number: int) -> bytes:
        return b"\x84" + number.to_bytes(4, "big") if long else bytes([number])

    def attribute(name: bytes, value: bytes) -> bytes:
        inner = b"\x04" + size(len(value)) + value
        return b"\x04" + size(len(name)) + name + b"\x31" + size(len(inner)) + inner

    entries = attribute(b"dnsHostName", b"dc1.school.example") + attribute(b"defaultNamingContext", b"DC=school")
    got = b"\x30" + size(99) + asked[2:7] + b"\x64" + size(90) + b"\x04" + size(0) + entries
    heard = BY_PORT[389].read(asked, got)
    assert heard is not None
    assert heard.facts == {"host.name": "dc1.school.example", "ldap.root": "DC=school"}
