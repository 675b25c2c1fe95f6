"""The probe `snmp_tables` against a real snmpd whose neighbours, bridge, LLDP and CDP are real."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.probes.rig import Run, entry, net_of, run
from tests.probes.snmp.snmp_lab import AUTH, COMMUNITY, PRIV, SnmpLab, build, credentials
from tests.support.netns import Namespaces
from tests.support.processes import Processes

pytest.importorskip("pysnmp")


def read(lab: SnmpLab, address: str, file: str) -> Run:
    """Run the probe from the asker; the hosts behind the gateway are in nobody's scope."""
    given = {"targets": (address,), "credentials": file}
    return lab.asker.call(run, "snmp_tables", given, net_of(entry(address, "161")))


@pytest.fixture
def folder(process: Processes) -> Iterator[Path]:
    """A folder that servers under other users can reach; they end before it goes."""
    path = Path(tempfile.mkdtemp(prefix="edusec-snmp-"))
    path.chmod(0o755)
    yield path
    process.close()
    shutil.rmtree(path)


def test_other_vlans_are_seen_through_the_gateway(
    netns: Namespaces, process: Processes, folder: Path, tmp_path: Path, needs: Callable[..., str]
) -> None:
    lab = build(netns, process, folder, needs)
    both = credentials(tmp_path, lab.address, lab.address6)
    found = read(lab, lab.address, both)
    assert found.skipped == []
    assert found.coverage == []
    device = found.of(lab.address, "snmp").values
    assert device["name"] == "gateway-1.school.example"
    assert device["hostname"] == "gateway-1.school.example"
    assert device["mac"] == lab.mac
    assert "vendor" not in device  # Net-SNMP is an agent, and no maker of devices
    assert str(device["system"]).startswith("Linux ")
    assert str(device["description"]).startswith("Linux ")
    assert "port2 -> acme-sw1.school.example eth0" in device["cables"]  # type: ignore[operator]
    for vlan, mac in ((20, lab.pc_mac), (10, lab.switch_mac)):
        for name, method in ((f"198.19.{vlan}.7", "snmp_arp"), (f"2001:db8:{vlan}::7", "snmp_nd")):
            seen = found.of(name, method).values
            assert (seen["mac"], seen["gateway"], seen["interface"]) == (mac, lab.address, f"vlan{vlan}")
            plugged = found.of(name, "snmp_fdb").values
            assert (plugged["switch"], plugged["port"], plugged["vlan"]) == (lab.address, f"port{3 - vlan // 10}", vlan)
    switch = found.of("198.19.10.7", "lldp").values
    assert switch["hostname"] == "acme-sw1.school.example"
    assert (switch["mac"], switch["port"], switch["remote_port"]) == (lab.switch_mac, "port2", "eth0")
    assert switch["description"] == "Acme switch"
    assert "station" in switch["capabilities"]  # type: ignore[operator]
    phone = found.of("198.19.20.7", "cdp").values
    assert (phone["hostname"], phone["model"]) == ("acme-phone1", "Acme X100")
    assert (phone["port"], phone["remote_port"]) == ("port1", "eth0")
    assert "Linux " in str(phone["description"])
    assert "port1 -> acme-phone1 eth0" in device["cables"]  # type: ignore[operator]
    assert {item.outcome for item in found.observations} == {"seen"}

    user = read(lab, lab.address, credentials(tmp_path, lab.address, version=3))
    assert {(item.method, item.target.name) for item in user.observations} == {
        (item.method, item.target.name) for item in found.observations
    }
    six = read(lab, lab.address6, both)
    assert six.of("198.19.20.7", "snmp_arp").values["mac"] == lab.pc_mac

    lab.forget_vlans()
    plain = read(lab, lab.address, both)
    for name, mac, port in (("198.19.20.7", lab.pc_mac, "port1"), ("198.19.10.7", lab.switch_mac, "port2")):
        plugged = plain.of(name, "snmp_fdb").values
        assert (plugged["mac"], plugged["port"], plugged.get("vlan")) == (mac, port, None)

    shut = read(lab, lab.address, credentials(tmp_path, lab.address, community="another"))
    assert shut.observations == []
    assert [(item.what, item.reason.partition(":")[0]) for item in shut.skipped] == [(lab.address, "snmp_silent")]
    for one in (found, user, six, plain, shut):
        for secret in (COMMUNITY, AUTH, PRIV, "another"):
            assert secret not in repr(one)
