"""DHCP servers answer to port 68 of this machine: heard with CAP_NET_RAW, beside its own client, and no lease taken."""

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.services.protocols import dhcp
from tests.probes.rig import LAB, net_of, run
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes
from wire.types import TargetKind

DOMAIN = "school.example"
ROUTER, DNS = "198.18.1.254", "198.18.1.253"


@dataclass(frozen=True)
class Lab:
    """A machine and the servers on its link by name, and where they keep what they leased."""

    here: Namespace
    servers: dict[str, Attachment]
    leases: list[Path]


@pytest.fixture
def lab(netns: Namespaces, process: Processes, tmp_path: Path, needs: Callable[..., str]) -> Lab:
    dnsmasq = needs("dnsmasq", package="dnsmasq-base")
    dhcpd, kea = needs("dhcpd", package="isc-dhcp-server"), needs("kea-dhcp4", package="kea-dhcp4-server")
    here, *spaces = [netns() for _ in range(4)]
    _, *at = netns.lan(here, *spaces)
    network = at[0].v4.network
    low, high = str(network[100]), str(network[120])
    leases = [tmp_path / f"{name}.leases" for name in ("dnsmasq", "dhcpd", "kea")]
    for file in leases[:2]:
        file.touch()

    options = [f"--dhcp-option=3,{ROUTER}", f"--dhcp-option=6,{DNS}", f"--domain={DOMAIN}"]
    process(
        [
            *(dnsmasq, "-k", "--conf-file=/dev/null", "--port=0", "--user=root", "--log-facility=-"),
            *(
                f"--interface={at[0].interface}",
                f"--dhcp-range={low},{high},1h",
                f"--dhcp-leasefile={leases[0]}",
                f"--pid-file={tmp_path}/pid",
                *options,
            ),
        ],
        netns=spaces[0],
        ready="DHCP, IP range",
    )
    (tmp_path / "dhcpd.conf").write_text(
        f"authoritative; subnet {network.network_address} netmask {network.netmask} {{ range {low} {high}; "
        f'option routers {ROUTER}; option domain-name-servers {DNS}; option domain-name "{DOMAIN}"; }}\n'
    )
    files = ["-cf", str(tmp_path / "dhcpd.conf"), "-lf", str(leases[1])]
    process(
        [dhcpd, "-4", "-f", "-d", "--no-pid", *files, at[1].interface], netns=spaces[1], ready="Server starting service"
    )
    told = [("routers", ROUTER), ("domain-name-servers", DNS), ("domain-name", DOMAIN)]
    config = {
        "interfaces-config": {"interfaces": [at[2].interface], "dhcp-socket-type": "raw"},
        "lease-database": {"type": "memfile", "persist": True, "name": str(leases[2])},
        "option-data": [{"name": name, "data": data} for name, data in told],
        "subnet4": [{"subnet": str(network), "pools": [{"pool": f"{low} - {high}"}]}],
        "loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
    }
    (tmp_path / "kea.json").write_text(json.dumps({"Dhcp4": config}))
    env = {"KEA_LOCKFILE_DIR": str(tmp_path), "KEA_PIDFILE_DIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin"}
    process([kea, "-c", tmp_path / "kea.json"], ready="DHCP4_STARTED", env=env, netns=spaces[2])
    return Lab(here, dict(zip(("dnsmasq", "dhcpd", "kea"), at, strict=True)), leases)


def test_real_servers_say_who_they_are_and_lease_nothing(lab: Lab, needs: Callable[..., str]) -> None:
    setpriv = needs("setpriv", package="util-linux")
    asked = {"targets": [str(at.v4.ip) for at in lab.servers.values()], "ports": "67"}
    own_client = lab.here.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    with own_client:
        own_client.bind(("0.0.0.0", dhcp.CLIENT_PORT))
        found = lab.here.call(run, "udp_ports", asked, net_of(*LAB))
        own_client.settimeout(10)
        assert own_client.recv(2048)[0] == 2  # nothing was taken away from whoever has the port
    told = {item.target.name: item.values for item in found.observations if item.target.kind is TargetKind.SERVICE}
    for name, at in lab.servers.items():
        said = {key: value for key, value in told[str(at.v4.ip)].items() if key.startswith("dhcp.")}
        expected = {"server": str(at.v4.ip), "router": ROUTER, "dns": DNS, "domain": DOMAIN}
        assert said == {f"dhcp.{key}": value for key, value in expected.items()}, name
    assert found.silent == []
    assert not [file for file in lab.leases if "198.18.1.1" in file.read_text()]

    code = (
        "import json\nfrom tests.probes.rig import LAB, net_of, run\n"
        f"found = run('udp_ports', {asked!r}, net_of(*LAB))\n"
        "print(json.dumps([[name for name, _ in found.open()], [prefix for item in found.silent for prefix in"
        " item.prefixes], [item.values.get('why') for item in found.observations if item.target.kind == 'agent']]))"
    )
    drop = [setpriv, "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--"]
    heard, silent, why = json.loads(lab.here.run([*drop, sys.executable, "-c", code]).stdout)
    assert heard == [str(lab.servers["dnsmasq"].v4.ip)]  # it alone answers to the port that asked
    assert {str(lab.servers[name].v4.ip) for name in ("dhcpd", "kea")} <= {
        str(address) for prefix in silent for address in ip_network(prefix)
    }
    assert why == ["no_replies"]


def test_what_bears_another_mark_or_is_no_answer_is_none_of_ours(netns: Namespaces) -> None:
    here, there = netns(), netns()
    near, far = netns.link(here, there)
    server = there.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((str(far.v4.ip), 67))
    server.settimeout(0.1)
    over = threading.Event()

    def lie() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                asked = server.recv(2048)
                good = b"\x02" + asked[1:]
                for lies in (good[:4] + b"abcd" + good[8:], asked, good[:239], b"\x02"):
                    server.sendto(lies, (str(near.v4.ip), dhcp.CLIENT_PORT))

    liar = threading.Thread(target=lie, daemon=True)
    liar.start()
    try:
        found = here.call(run, "udp_ports", {"targets": [str(far.v4.ip)], "ports": "67"}, net_of(*LAB))
    finally:
        over.set()
        liar.join()
        server.close()
    assert found.open() == set()
    assert [item.prefixes for item in found.silent] == [(f"{far.v4.ip}/32",)]
    assert found.observations == []  # it was listened to, so there is nothing to explain


@given(st.binary(max_size=400), st.integers(0, 300), st.integers(0, 255))
def test_any_answer_is_read_or_is_none(rest: bytes, place: int, value: int) -> None:
    asked = dhcp.inform()
    message = bytearray(b"\x02" + asked[1:240] + rest)
    message[min(place, len(message) - 1)] = value
    heard = dhcp.read(asked, bytes(message))
    assert heard is None or all(text.isprintable() for text in heard.facts.values())
