"""A gateway and its hosts in namespaces: real bridges, a real snmpd, and LLDP and CDP from real lldpd.

    asker ---- gateway (a bridge for each VLAN, snmpd, lldpd) ---- pc (VLAN 20, speaks CDP)
                                                             `---- switch (VLAN 10, speaks LLDP)

net-snmp has no module for BRIDGE-MIB and CISCO-CDP-MIB: those tables are the kernel's own forwarding table and what
lldpd heard, served by snmpd from a file (`pass_persist`).
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, wait_until

COMMUNITY = "not-public-at-all"
AUTH, PRIV = "auth-password", "priv-password"
_PORTS = {"port1": 1, "port2": 2}
BRIDGE, CDP = ".1.3.6.1.2.1.17", ".1.3.6.1.4.1.9.9.23.1.2.1.1"

_SERVE = """
import sys
def key(name):
    return [int(part) for part in name.strip(".").split(".")]
while word := sys.stdin.readline().strip():
    if word == "PING":
        print("PONG", flush=True)
        continue
    asked = sys.stdin.readline().strip()
    rows = dict(line.rstrip("\\n").split(" ", 1) for line in open(sys.argv[1]))
    after = sorted((name for name in rows if key(name) > key(asked)), key=key)
    name = (after or [None])[0] if word == "getnext" else asked if asked in rows else None
    print(*([name, *rows[name].split(" ", 1)] if name else ["NONE"]), sep="\\n", flush=True)
"""


@dataclass(frozen=True)
class SnmpLab:
    """The namespaces and what is true in them."""

    asker: Namespace
    gateway: Namespace
    address: str
    address6: str
    mac: str
    pc_mac: str
    switch_mac: str
    rows: Path

    def forget_vlans(self) -> None:
        """Serve the forwarding table as a switch without VLANs does: dot1dTpFdbTable (RFC 4188) alone."""
        rows = [line for line in self.rows.read_text().splitlines() if not line.startswith(f"{BRIDGE}.7")]
        self.rows.write_text("".join(f"{line}\n" for line in (*rows, *_plain_bridge(self.gateway))))


def credentials(folder: Path, *hosts: str, version: int = 2, community: str = COMMUNITY) -> str:
    """Write the file that opens agents; gives its path."""
    path = folder / f"credentials{version}.toml"
    user = f'user = "edu"\nauth = "sha256"\nauth_password = "{AUTH}"\npriv = "aes128"\npriv_password = "{PRIV}"'
    secret = f'community = "{community}"' if version == 2 else user
    path.write_text(f"[[agent]]\nhosts = {json.dumps(hosts)}\n{secret}\n")
    path.chmod(0o600)
    return str(path)


def build(netns: Namespaces, process: Processes, folder: Path, needs: Callable[..., str]) -> SnmpLab:
    """Make the lab; ready once the gateway knows its neighbours and snmpd shows what lldpd knows."""
    snmpd, lldpd, lldpcli = needs("snmpd"), needs("lldpd"), needs("lldpcli", package="lldpd")
    asker, gateway, pc, switch = (netns() for _ in range(4))
    _, there = netns.link(asker, gateway)
    for vlan, space, name in ((20, pc, "port1"), (10, switch, "port2")):
        _attach(gateway, space, name, vlan)
    for address in ("198.19.10.7", "198.19.20.7", "2001:db8:10::7", "2001:db8:20::7"):
        gateway.call(_knock, address)
        wait_until(lambda there=address: "lladdr" in _shown(gateway, there), f"{address} resolved")  # type: ignore[misc]
    rows = folder / "rows"
    rows.write_text("")
    (folder / "serve.py").write_text(_SERVE)
    serve = f"{sys.executable} {folder}/serve.py {rows}"
    (folder / "snmpd.conf").write_text(
        f"rocommunity {COMMUNITY}\nrocommunity6 {COMMUNITY}\ncreateUser edu SHA-256 {AUTH} AES {PRIV}\n"
        f"rouser edu authpriv\nagentaddress udp:161,udp6:161\nmaster agentx\nagentxsocket {folder}/agentx\n"
        f"pass_persist {BRIDGE} {serve}\npass_persist {CDP} {serve}\nsysname gateway-1.school.example\n"
    )
    process(
        [snmpd, "-f", "-Le", "-C", "-c", folder / "snmpd.conf", "-r"],
        netns=gateway,
        env={"PATH": os.environ["PATH"], "SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""},
        ready=lambda: ":161 " in gateway.run(["ss", "-Hlun"]).stdout,
    )
    Path("/run/lldpd").mkdir(exist_ok=True)  # lldpd locks itself up there
    near, far, phone = folder / "near", folder / "far", folder / "phone"
    for space, socket, name, how in (
        (gateway, near, "gateway-1", ["-c", "-x", "-X", folder / "agentx", "-I", "port1,port2"]),
        (switch, far, "acme-sw1.school.example", ["-S", "Acme switch", "-I", "eth0"]),
        (pc, phone, "acme-phone1", ["-ll", "-cc", "-P", "Acme X100", "-I", "eth0"]),
    ):
        socket.with_suffix(".conf").write_text(f"configure system hostname {name}\nconfigure lldp tx-interval 1\n")
        argv = [lldpd, "-d", "-O", socket.with_suffix(".conf"), "-u", socket, *how]
        process(argv, netns=space, ready="resume operations")
    heard: list[dict[str, Any]] = []

    def both() -> bool:
        heard[:] = _heard(gateway, lldpcli, near)
        names = {_first(item["chassis"], "name") for item in heard}
        return {"acme-sw1.school.example", "acme-phone1"} <= names

    wait_until(both, "LLDP and CDP neighbours at the gateway", seconds=60)
    rows.write_text("".join(f"{line}\n" for line in (*_bridge(gateway), *_cdp(gateway, heard))))
    macs = _mac(gateway, there.interface), _mac(pc, "eth0"), _mac(switch, "eth0")
    return SnmpLab(asker, gateway, str(there.v4.ip), str(there.v6.ip), *macs, rows)


def _attach(gateway: Namespace, space: Namespace, name: str, vlan: int) -> None:
    gateway.run(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space.name])
    gateway.run(["ip", "link", "add", f"vlan{vlan}", "type", "bridge"])
    gateway.run(["ip", "link", "set", f"vlan{vlan}", "up"])
    gateway.run(["ip", "link", "set", name, "master", f"vlan{vlan}", "up"])
    space.run(["ip", "link", "set", "eth0", "up"])
    for place, device, host in ((gateway, f"vlan{vlan}", 1), (space, "eth0", 7)):
        place.run(["ip", "address", "add", f"198.19.{vlan}.{host}/24", "dev", device])
        place.run(["ip", "address", "add", f"2001:db8:{vlan}::{host}/64", "dev", device, "nodad"])


def _knock(address: str) -> None:
    """Send one datagram to a closed port, so that the kernel resolves the neighbour."""
    import socket

    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"", (address, 9))


def _shown(space: Namespace, address: str) -> str:
    return space.run(["ip", "neigh", "show", "to", address]).stdout


def _mac(space: Namespace, device: str) -> str:
    return str(json.loads(space.run(["ip", "-j", "link", "show", "dev", device]).stdout)[0]["address"])


def _index(space: Namespace, device: str) -> int:
    return int(json.loads(space.run(["ip", "-j", "link", "show", "dev", device]).stdout)[0]["ifindex"])


def _bridge(gateway: Namespace) -> Iterator[str]:
    """Write what the kernel's bridges know as dot1dBasePortIfIndex, dot1qTpFdbTable and dot1qVlanFdbId."""
    for name, number in _PORTS.items():
        yield f"{BRIDGE}.1.4.1.2.{number} integer {_index(gateway, name)}"
    for vlan in (10, 20):
        yield f"{BRIDGE}.7.1.4.2.1.3.0.{vlan} unsigned {vlan}"
    for vlan, mac, port, status in _learned(gateway):
        yield f"{BRIDGE}.7.1.2.2.1.2.{vlan}.{mac} integer {port}"
        yield f"{BRIDGE}.7.1.2.2.1.3.{vlan}.{mac} integer {status}"


def _plain_bridge(gateway: Namespace) -> Iterator[str]:
    """Write the same as dot1dTpFdbTable."""
    for _, mac, port, status in _learned(gateway):
        yield f"{BRIDGE}.4.3.1.2.{mac} integer {port}"
        yield f"{BRIDGE}.4.3.1.3.{mac} integer {status}"


def _learned(gateway: Namespace) -> Iterator[tuple[str, str, int, int]]:
    """Give VLAN, MAC as an index, port and status (3 learned, 4 its own) of what the kernel's bridges know."""
    for entry in json.loads(gateway.run(["bridge", "-j", "fdb", "show"]).stdout):
        if entry["ifname"] in _PORTS and not int(entry["mac"][:2], 16) & 1:
            mac = ".".join(str(int(part, 16)) for part in entry["mac"].split(":"))
            status = 4 if entry.get("state") == "permanent" else 3
            yield entry["master"].removeprefix("vlan"), mac, _PORTS[entry["ifname"]], status


def _heard(gateway: Namespace, lldpcli: str, socket: Path) -> list[dict[str, Any]]:
    shown = json.loads(gateway.run([lldpcli, "-u", socket, "-f", "json0", "show", "neighbors", "details"]).stdout)
    return list(shown["lldp"][0].get("interface", []))


def _first(table: list[dict[str, Any]], key: str) -> str:
    return str(table[0].get(key, [{"value": ""}])[0]["value"])


def _cdp(gateway: Namespace, heard: list[dict[str, Any]]) -> Iterator[str]:
    """Write what was heard by CDP as cdpCacheTable; lldpd joins platform and version into one description."""
    for item in heard:
        if "CDP" not in item["via"]:
            continue
        place = f"{_index(gateway, item['name'])}.{item['rid']}"
        yield f"{CDP}.3.{place} integer 1"
        address = _first(item["chassis"], "mgmt-ip")
        yield f"{CDP}.4.{place} octet {' '.join(f'{int(part):02x}' for part in address.split('.'))}"
        platform, _, version = _first(item["chassis"], "descr").partition(" running on\n")
        yield f"{CDP}.5.{place} string {version.splitlines()[0]}"
        yield f"{CDP}.6.{place} string {_first(item['chassis'], 'name')}"
        yield f"{CDP}.7.{place} string {_first(item['port'], 'descr')}"
        yield f"{CDP}.8.{place} string {platform}"
