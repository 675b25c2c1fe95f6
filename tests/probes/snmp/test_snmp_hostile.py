"""Agents that lie, never end or send rubbish: bounded in rows and time, nothing crashes, what was true is kept."""

import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pysnmp")

from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped]
from pysnmp.proto import rfc1902  # type: ignore[import-untyped]
from pysnmp.proto.api import v2c  # type: ignore[import-untyped]

from probes import snmp_tables
from probes.kit.snmp import ber, merge, tables
from probes.kit.snmp.credentials import read_credentials
from probes.kit.snmp.session import Session
from tests.probes.rig import Run, net_of, run
from tests.probes.servers import udp_server
from tests.probes.snmp.snmp_lab import credentials
from wire.types import Observation, Skipped

Oid = tuple[int, ...]
Rows = Callable[[Oid], list[tuple[Oid, object]]]


def agent(rows: Rows) -> Callable[[bytes], list[bytes]]:
    """Answer each request with what a function gives for the (first) name that was asked."""

    def answer(datagram: bytes) -> list[bytes]:
        message, _ = decoder.decode(datagram, asn1Spec=v2c.Message())
        asked = v2c.apiMessage.get_pdu(message)
        name = tuple(v2c.apiPDU.get_varbinds(asked)[0][0])
        reply = v2c.GetResponsePDU()
        v2c.apiPDU.set_defaults(reply)
        v2c.apiPDU.set_request_id(reply, v2c.apiPDU.get_request_id(asked))
        v2c.apiPDU.set_varbinds(reply, [(rfc1902.ObjectName(key), value) for key, value in rows(name)])
        v2c.apiMessage.set_pdu(message, reply)
        return [encoder.encode(message)]

    return answer


def ask(answer: Callable[[bytes], list[bytes]], folder: Path, seconds: float = 30.0) -> Run:
    """Read 127.0.0.1 where a function answers."""
    with udp_server(answer) as port:
        given = {
            "targets": ("127.0.0.1",),
            "credentials": credentials(folder, "127.0.0.1"),
            "port": port,
            "seconds": seconds,
            "rows": 100,
        }
        return run("snmp_tables", given, net_of())


def words(found: Run) -> set[str]:
    """Why something was skipped, in one word each."""
    return {item.reason.partition(":")[0] for item in found.skipped}


def grow(name: Oid) -> list[tuple[Oid, object]]:
    """A table without an end: each row after the one that was asked for, always as if it belonged to the table."""
    if name == tables.SYS_DESCR:
        return [(name, rfc1902.OctetString("endless \x1b[2J device"))]
    last = (*name, 0) if len(name) < 20 else name
    return [((*last[:-1], last[-1] + step), rfc1902.OctetString(b"\x02\0\0\0\0\x07")) for step in range(1, 40)]


def test_a_table_without_an_end_is_cut(tmp_path: Path) -> None:
    found = ask(agent(grow), tmp_path, seconds=60)
    assert words(found) == {"too_large"}
    assert {item.what.split()[1] for item in found.skipped} >= {"interfaces", "ipNetToMedia", "lldp"}
    assert found.of("127.0.0.1", "snmp").values["description"] == "endless [2J device"


def test_names_that_do_not_grow_end_the_reading(tmp_path: Path) -> None:
    def stuck(name: Oid) -> list[tuple[Oid, object]]:
        known = {tables.SYS_DESCR: rfc1902.OctetString("liar")}
        return [(name, known[name])] if name in known else [((*name[:11], 5), rfc1902.Integer(1))] * 2

    found = ask(agent(stuck), tmp_path)
    assert words(found) == {"snmp_bad_answer"}
    assert found.of("127.0.0.1", "snmp").values["description"] == "liar"


def test_what_is_kept_of_a_row_is_bounded(tmp_path: Path) -> None:
    def huge(name: Oid) -> list[tuple[Oid, object]]:
        step = name[-1] + 1
        return [((1, 3, step), rfc1902.OctetString(bytes(60_000))), ((1, 3, step, *[7] * 100), rfc1902.Integer(1))]

    [credential] = read_credentials(credentials(tmp_path, "127.0.0.1"))
    with (
        udp_server(agent(lambda name: huge(name[:3]))) as port,
        Session(net_of(), ip_address("127.0.0.1"), port, credential, time.monotonic() + 30) as session,
    ):
        rows = list(session.column((1, 3), 6))
    assert [(len(index), len(value)) for index, value in rows if isinstance(value, bytes)] == [(1, 1024)] * 3
    assert len(rows) == 3


def test_a_device_that_knows_too_many_hosts_hides_none_of_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    def device(last: int, hosts: int) -> tables.Device:
        made = tables.Device(IPv4Address(f"198.18.0.{last}"), description="x")
        for number in range(hosts):
            address = IPv4Address(f"198.18.{last}.{number}")
            made.neighbours.append(tables.Neighbour(address, f"02:00:00:00:{last:02x}:{number:02x}", 1))
            made.forwarded.append(tables.Forwarded("02:00:00:00:01:07", "port1", number))
        return made

    monkeypatch.setattr(snmp_tables, "MAX_OBSERVATIONS", 30)
    found = list(snmp_tables.bounded([device(1, 200), device(2, 3)]))
    named = [item.target.name for item in found if isinstance(item, Observation) and item.method == "snmp_arp"]
    assert len(found) < 40
    assert {f"198.18.2.{number}" for number in range(3)} < set(named)
    assert any(isinstance(item, Skipped) and item.what == "hosts" for item in found)


def test_a_mac_that_claims_all_addresses_is_not_told_for_each_of_them() -> None:
    made = tables.Device(IPv4Address("198.18.0.1"))
    made.neighbours = [
        tables.Neighbour(IPv4Address(number), "02:00:00:00:01:07", 1) for number in range(1 << 24, (1 << 24) + 1000)
    ]
    made.forwarded = [tables.Forwarded("02:00:00:00:01:07", "port1", vlan) for vlan in range(50)]
    plugged = [item for item in merge.observations([made], 1.0) if item.method == merge.FDB]
    assert len(plugged) == 50 * merge.MOST_ADDRESSES


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\x30\x80\x02\x01\x01",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x82\x01\x90" * 1000,
        b"\x30\x0a\x02\x01\x01\x04\x01x\xa2\x02\x30\x00",
        bytes(range(256)) * 200,
    ],
)
def test_rubbish_is_silence_or_a_bad_answer(tmp_path: Path, rubbish: bytes) -> None:
    assert words(ask(lambda _: [rubbish] * 20, tmp_path, seconds=1)) <= {"snmp_silent", "snmp_bad_answer", "deadline"}


def test_an_agent_that_drips_is_left_when_its_time_is_over(tmp_path: Path) -> None:
    found = ask(lambda _: [], tmp_path, seconds=1.0)
    assert words(found) == {"deadline"}
    assert found.observations == []


def test_values_of_the_wrong_type_say_nothing(tmp_path: Path) -> None:
    def odd(name: Oid) -> list[tuple[Oid, object]]:
        if len(name) > 16:
            return [((1, 9, 9), rfc1902.Integer(0))]
        return [((*name, 1, 2, 3, 4, 300), rfc1902.Counter64(2**64 - 1)), ((*name, 7, 7), rfc1902.IpAddress("1.2.3.4"))]

    found = ask(agent(odd), tmp_path)
    assert [item for item in found.observations if item.method != "snmp"] == []


@given(st.binary(max_size=300))
def test_no_bytes_break_the_first_look(raw: bytes) -> None:
    assert ber.acceptable(raw) in (True, False)
    assert not ber.acceptable(b"\x30\x80" + raw)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=100), st.binary(max_size=200), st.integers(0, 2**64 - 1)
)
def test_what_an_agent_may_send_is_accepted(tail: list[int], octets: bytes, number: int) -> None:
    reply = v2c.GetResponsePDU()
    v2c.apiPDU.set_defaults(reply)
    values = (rfc1902.OctetString(octets), rfc1902.Counter64(number), rfc1902.ObjectName((1, 3, *tail)))
    v2c.apiPDU.set_varbinds(reply, [(rfc1902.ObjectName((1, 3, *tail)), value) for value in values])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_pdu(message, reply)
    raw = encoder.encode(message)
    assert ber.acceptable(raw)
    assert not ber.acceptable(raw + b"\0")
    assert not ber.acceptable(raw[:-1])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x30\x82\x00\x20" * 40 + bytes(20),
        b"\x30\x0c\x02\x0a" + b"\1" * 10,
        b"\x30\x08\x06\x06\xff\xff\xff\xff\xff\x7f",
        b"\x30\x04\x06\x02\x2b\x80",
        b"\x30\x84\x00\x00\x30\x00" + b"\x05\x00" * 6144,
        b"\x30\x04\x1f\x81\x01\x00",
        b"\x30\x03\x01\x02\x00\x00",
    ],
)
def test_what_is_too_deep_too_long_or_too_many_is_refused(raw: bytes) -> None:
    assert not ber.acceptable(raw)


Cells = st.dictionaries(
    st.tuples(*[st.integers(0, 300)] * 3) | st.lists(st.integers(0, 2**32), max_size=24).map(tuple),
    st.one_of(st.integers(0, 9), st.binary(max_size=20), st.just((1, 3))),
    max_size=8,
)


@given(Cells)
def test_no_table_breaks_a_reader(cells: dict[Oid, tables.Value]) -> None:
    def column(_root: Oid) -> list[tuple[Oid, tables.Value]]:
        return sorted(cells.items())

    device = tables.Device(IPv4Address("198.18.0.1"))
    device.interfaces = tables.interfaces(column)
    tables.own_mac(column, device.address, device.interfaces)
    device.neighbours = [*tables.arp(column), *tables.physical(column)]
    device.forwarded = list(tables.forwarding(column, device))
    device.peers = [*tables.lldp(column, device), *tables.cdp(column, device)]
    for peer in device.peers:
        assert (peer.port + peer.name + peer.system + peer.remote_port).isprintable()
