"""One agent with many LANs, each a switch with a router, clients and one fault; all judged by one run of the probe."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.raw.lab import usable
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes, wait_until

DUID = "0002000009bfa1b2c3d4e5f6"
"""DUID-EN with the enterprise number of ISC, as both real servers of the lab are told to have."""
CLIENTS = 4
_AUTOCONFIGURED = ("stable_secret", "")


@dataclass
class Lan:
    """One LAN of the agent. `here` is the agent's interface, `there` the router's; `clients` their interfaces."""

    name: str
    here: Attachment
    there: Attachment
    router: Namespace
    switch: Namespace
    number: int
    rogue: Namespace | None = None
    rogue_end: Attachment | None = None
    clients: Namespace | None = None
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = f"2001:db8:{self.number:x}::"

    @property
    def interface(self) -> str:
        """The agent's interface."""
        return self.here.interface

    def link_local(self, space: Namespace, interface: str) -> str:
        """The link-local address of an interface."""
        words = space.run(["ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link"]).stdout.split()
        return words[3].partition("/")[0]


class LanLab:
    """Makes LANs and starts the real servers on them."""

    def __init__(self, netns: Namespaces, process: Processes, needs: Callable[..., str], folder: Path) -> None:
        self.agent, self.folder = netns(), folder
        self.lans: dict[str, Lan] = {}
        self._netns, self._process, self._needs = netns, process, needs

    def lan(self, name: str, *, rogue: bool = False, clients: int = 0, querier: bool = True) -> Lan:
        """Make a LAN; its switch asks for multicast listeners unless told otherwise."""
        router = self._netns()
        other = self._netns() if rogue else None
        spaces = (self.agent, router, *((other,) if other else ()))
        ends = self._netns.lan(*spaces)
        number = int(ends[0].interface.removeprefix("veth"))
        switch = self._netns._made[-1]
        made = Lan(name, ends[0], ends[1], router, switch, number, other, ends[2] if other else None)
        router.sysctl("net.ipv6.conf.all.forwarding", 1)
        if querier:
            self._query(switch)
        if clients:
            made.clients = self._clients(made, clients)
        self.lans[name] = made
        return made

    def _query(self, switch: Namespace) -> None:
        words = ["mcast_snooping", "1", "mcast_querier", "1", "mcast_query_interval", "100"]
        words += ["mcast_startup_query_interval", "100"]
        switch.run(["ip", "link", "set", "br0", "type", "bridge", *words])

    def _clients(self, lan: Lan, count: int) -> Namespace:
        """Hosts as one namespace with several interfaces; each answers for its own addresses only."""
        space = self._netns()
        for key in ("arp_ignore", "arp_announce"):
            space.sysctl(f"net.ipv4.conf.all.{key}", 1 if key == "arp_ignore" else 2)
        for index in range(count):
            name = f"c{index}"
            lan.switch.run(["ip", "link", "add", "name", f"p{name}", "type", "veth", "peer", "name", name, "netns",
                            space.name])  # fmt: skip
            lan.switch.run(["ip", "link", "set", f"p{name}", "master", "br0", "up"])
            space.run(["ip", "address", "add", f"198.18.{lan.number}.{100 + index}/24", "dev", name])
            space.run(["ip", "link", "set", name, "up"])
        return space

    def write(self, name: str, text: str) -> Path:
        """Write a configuration."""
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return file

    def radvd(self, lan: Lan, *, settings: str = "", prefix: str | None = "", dns: tuple[str, ...] = ()) -> None:
        """Announce the LAN's own prefix unless another (or None) is given."""
        shown = f"{lan.prefix}/64" if prefix == "" else prefix
        parts = [f"prefix {shown} {{ AdvOnLink on; AdvAutonomous {'off' if 'Managed' in settings else 'on'}; }};"]
        text = (
            f"interface {lan.there.interface} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 5;\n"
            f"{settings or 'AdvOtherConfigFlag on;'}\n{parts[0] if shown else ''}\n"
            + "".join(f"RDNSS {address} {{ }};\n" for address in dns)
            + "};\n"
        )
        config = self.write(f"{lan.name}.radvd", text)
        argv = [self._needs("radvd"), "-n", "-C", config, "-p", self.folder / f"{lan.name}.pid", "-m", "stderr"]
        self._process(argv, ready="version .* started", netns=lan.router)

    def dnsmasq(self, lan: Lan, *words: str) -> None:
        """Answer DNS on the router's addresses of the LAN, and whatever else the words say."""
        argv = [self._needs("dnsmasq", package="dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null",
                "--no-resolv", "--no-hosts", "--log-facility=-", "--user=root", "--pid-file=",
                f"--interface={lan.there.interface}", "--bind-dynamic", *words]  # fmt: skip
        self._process(argv, ready="started", netns=lan.router)

    def kea(self, lan: Lan, dns: str) -> None:
        """Give settings by DHCPv6, but no addresses."""
        config = {
            "Dhcp6": {
                "interfaces-config": {"interfaces": [lan.there.interface]},
                "server-id": {"type": "EN", "enterprise-id": 2495, "identifier": "A1B2C3D4E5F6", "persist": False},
                "lease-database": {"type": "memfile", "persist": False},
                "option-data": [{"name": "dns-servers", "data": dns}],
                "subnet6": [{"subnet": f"{lan.prefix}/64", "interface": lan.there.interface}],
                "loggers": [{"name": "kea-dhcp6", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
            }
        }
        file = self.write(f"{lan.name}.kea", json.dumps(config))
        folder = self.folder / f"{lan.name}-kea"
        folder.mkdir()
        env = {"KEA_LOCKFILE_DIR": str(folder), "KEA_PIDFILE_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin"}
        self._process([self._needs("kea-dhcp6", package="kea-dhcp6-server"), "-c", file], ready="DHCP6_STARTED",
                      env=env, netns=lan.router)  # fmt: skip

    def attack(self, lan: Lan, program: str, *words: str) -> None:
        """Start a program of thc-ipv6 at the other end of the switch."""
        assert lan.rogue is not None
        self._process([self._needs(program, package="thc-ipv6"), *words], netns=lan.rogue)

    def good(self, lan: Lan) -> None:
        """Everything that a LAN should have."""
        own = str(lan.there.v6.ip)
        self.radvd(lan, dns=(own,))
        self.dnsmasq(lan)
        self.kea(lan, own)

    def settle(self) -> None:
        """Wait until all links are in use."""
        usable(self.agent, *(lan.router for lan in self.lans.values()))
        usable(*(lan.rogue for lan in self.lans.values() if lan.rogue))

    def autoconfigure(self, lan: Lan, *, eui64: bool, interfaces: tuple[int, ...] = tuple(range(CLIENTS))) -> None:
        """Let clients make addresses of what is announced, and greet the agent so that it knows them."""
        assert lan.clients is not None
        space = lan.clients
        for index in range(CLIENTS):
            # 0: EUI-64, 3: random (addr_gen_mode in ip-sysctl.rst); set while the link is down to take effect.
            space.run(["ip", "link", "set", f"c{index}", "down"])
            space.sysctl(f"net.ipv6.conf.c{index}.disable_ipv6", 0 if index in interfaces else 1)
            space.sysctl(f"net.ipv6.conf.c{index}.addr_gen_mode", 0 if eui64 else 3)
            space.sysctl(f"net.ipv6.conf.c{index}.accept_ra", 1)
            space.run(["ip", "link", "set", f"c{index}", "up"])
        for index in interfaces:
            wait_until(
                lambda index=index: lan.prefix[:-1] in space.run(["ip", "-6", "address", "show", f"c{index}"]).stdout,  # type: ignore[misc]
                f"an address of {lan.name} on c{index}",
            )
        for index in range(CLIENTS):
            space.call(_greet, f"c{index}", str(lan.here.v4.ip))
            if index in interfaces:
                space.call(_greet, f"c{index}", str(lan.here.v6.ip))


def _greet(interface: str, address: str) -> None:
    """Send one datagram out of an interface, so that the other side learns who is there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.sendto(b"hello", (address, 9))
