"""A school's gateway and what is behind its uplink, in namespaces: the vantage point that the NET and TRF checks judge.

client (both families), old client (IPv4 only) - agent - gate (the campus firewall) - provider - server. Real unbound
(one plain, one with dns64, one that is "independent"), nsd, dnsmasq, nginx, tayga, snmpd. All addresses are made up.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.probes.ipv6.ipv6_lab import GATES, RESOLVER4, RESOLVER6, SCOPE, Lab
from tests.raw.lab import usable
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes, Running

ROOT6, ROOT4 = "3000:5::53:1", "198.18.253.1"
OTHER6, OTHER4 = "3000:5::53:b", "198.18.253.11"
DNS64_6, DNS64_4 = "3000:5::53:64", "198.18.253.64"
SIX, FOUR, OLD = "3000:5::80", "198.18.100.80", "198.18.100.81"
PREFIX64 = "3000:64::"
POOL64 = "198.18.65.0/24"
DELEGATED = "3000:8:1::/48"
LARGE = 160_000
AGENT_TIMEOUT = 2.0


class VantageLab(Lab):
    """The namespaces and servers; `run` gives what `edusec ipv6 local` says."""

    def __init__(self, netns: Namespaces, process: Processes, needs: Callable[..., str], folder: Path) -> None:
        """Build everything; nothing is wrong in it."""
        self.folder, self._process, self._needs, self.needs = folder, process, needs, needs
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.agent, self.gate, self.provider, self.server, self.client, self.old = (netns() for _ in range(6))
        self.router = self.gate
        self.uplink, self.gate_in = netns.link(self.agent, self.gate)
        self.gate_out, self.provider_in = netns.link(self.gate, self.provider)
        self.provider_out, self.server_end = netns.link(self.provider, self.server)
        self.lan, self.client_end, self.old_end = netns.lan(self.agent, self.client, self.old)
        for space in (self.agent, self.gate, self.provider):
            space.sysctl("net.ipv6.conf.all.forwarding", 1)
            space.sysctl("net.ipv4.ip_forward", 1)
        self.agent.sysctl("net.ipv4.ping_group_range", "0 2147483647")
        for family in ("ipv4", "ipv6"):
            # Where all namespaces together have more than 128, the kernel forgets one that was silent for a minute.
            self.agent.sysctl(f"net.{family}.neigh.{self.lan.interface}.gc_stale_time", 86_400)
        usable(self.agent, self.gate, self.provider, self.server, self.client, self.old)
        self._addresses()
        self._routes()
        self._remember()
        for address in (ROOT6, ROOT4, SIX, FOUR, OLD, *GATES):
            self.own(self.server, address)
        needs("nft", package="nftables")
        self._serve()

    def _addresses(self) -> None:
        for space, interface, address in (
            (self.agent, self.uplink.interface, "3000:7::1/64"),
            (self.gate, self.gate_in.interface, "3000:7::2/64"),
            (self.agent, self.lan.interface, "3000:8:1:1::1/64"),
            (self.client, self.client_end.interface, "3000:8:1:1::2/64"),
            (self.gate, self.gate_out.interface, "3000:9::1/64"),
            (self.provider, self.provider_in.interface, "3000:9::2/64"),
            (self.provider, self.provider_out.interface, "3000:a::1/64"),
            (self.server, self.server_end.interface, "3000:a::2/64"),
        ):
            space.run(["ip", "address", "add", address, "dev", interface, "nodad"])
        for space in (self.agent, self.client, self.gate, self.provider, self.server):
            # As a source address only a global one counts as IPv6 here; those of the test rig are for documentation.
            space.run(["ip", "-6", "address", "flush", "scope", "global", "to", "2001:db8::/32"], check=False)
        for interface in (self.old_end.interface,):
            self.old.run(["ip", "-6", "address", "flush", "dev", interface, "scope", "global"], check=False)
        # What a DHCPv6 client leaves behind for the prefix that it got (RFC 7084, WPD-5).
        self.agent.run(["ip", "-6", "route", "add", "unreachable", DELEGATED, "dev", "lo"])

    def _routes(self) -> None:
        gate4, provider4 = str(self.gate_in.v4.ip), str(self.provider_in.v4.ip)
        for space, prefix, hop in (
            (self.agent, "::/0", "3000:7::2"), (self.agent, "0.0.0.0/0", gate4),
            (self.client, "::/0", "3000:8:1:1::1"), (self.client, "0.0.0.0/0", str(self.lan.v4.ip)),
            (self.old, "0.0.0.0/0", str(self.lan.v4.ip)),
            (self.gate, "::/0", "3000:9::2"), (self.gate, "0.0.0.0/0", provider4),
            (self.gate, DELEGATED, "3000:7::1"), (self.gate, "fd00:7::/64", "3000:7::1"),
            (self.gate, str(self.lan.v4.network), str(self.uplink.v4.ip)),
            (self.provider, "::/0", "3000:9::1"), (self.provider, "0.0.0.0/0", str(self.gate_out.v4.ip)),
            (self.provider, "3000:5::/32", "3000:a::2"),
            (self.provider, "198.18.100.0/24", str(self.server_end.v4.ip)),
            (self.provider, "198.18.253.0/24", str(self.server_end.v4.ip)),
            (self.server, "::/0", "3000:a::1"), (self.server, "0.0.0.0/0", str(self.provider_out.v4.ip)),
        ):  # fmt: skip
            space.run(["ip", "-6" if ":" in prefix else "-4", "route", "add", prefix, "via", hop])

    def _remember(self) -> None:
        """Keep the clients in the agent's table: the kernel counts neighbours of all namespaces together, and where
        other labs have many, it forgets this one's."""
        for space, end, address in (
            (self.client, self.client_end, "3000:8:1:1::2"),
            (self.client, self.client_end, str(self.client_end.v4.ip)),
            (self.old, self.old_end, str(self.old_end.v4.ip)),
        ):
            mac = json.loads(space.run(["ip", "-j", "link", "show", end.interface]).stdout)[0]["address"]
            words = ["lladdr", mac, "dev", self.lan.interface, "nud", "permanent"]
            self.agent.run(["ip", "neigh", "replace", address, *words])

    def _serve(self) -> None:
        big = " ".join(f'"{"x" * 200}{number}"' for number in range(4))
        zone = (
            "$TTL 60\n. SOA a.rootlab. a. 1 3600 600 86400 60\n. NS a.rootlab.\n"
            f"a.rootlab. AAAA {ROOT6}\na.rootlab. A {ROOT4}\n"
            f"dual.test. AAAA {SIX}\ndual.test. A {FOUR}\nold.test. A {OLD}\nbig.test. TXT {big}\n"
            "ipv4only.arpa. A 192.0.0.170\nipv4only.arpa. A 192.0.0.171\n"
        )
        self.nsd("root", (ROOT6, ROOT4), {"": zone})
        self.unbound("plain", (RESOLVER6, RESOLVER4))
        self.unbound("other", (OTHER6, OTHER4))
        self.unbound("dns64", (DNS64_6, DNS64_4), f"dns64-prefix: {PREFIX64}/96", modules="dns64 iterator")
        self.write("html/large", "x" * LARGE)
        self.write("html/index.html", "school")
        listen = f"listen [{SIX}]:80; listen {FOUR}:80; listen {OLD}:80;"
        self.nginx(self.server, "web", f"server {{ {listen} gzip off; root {self.folder}/html; }}\n")

    def start(self, argv: list[object], space: Namespace, ready: object = "ready") -> Running:
        """Start one more program in a namespace."""
        return self._process([str(word) for word in argv], ready=ready, netns=space)

    def filter(self, space: Namespace, *rules: str, hook: str = "forward") -> Callable[[], None]:
        """Let a namespace drop (or whatever the rules say); gives what undoes it."""
        table = f"inet fault{hook}"
        space.run(["nft", f"add table {table}"])
        space.run(["nft", f"add chain {table} c {{ type filter hook {hook} priority 0; }}"])
        for rule in rules:
            space.run(["nft", f"add rule {table} c {rule}"])

        def undo() -> None:
            space.run(["nft", f"delete table {table}"])

        return undo

    def run(self, *words: str, **changed: list[str]) -> tuple[int, dict[str, dict[str, Any]]]:
        """Run `edusec ipv6 local --json` at the vantage point; gives its exit code and its checks by id."""
        settings: dict[str, list[str]] = {
            "self-targets": [f"[{gate}]:80" for gate in GATES],
            "dual-targets": ["http://dual.test/"],
            "large-targets": ["http://dual.test/large"],
            "resolvers": [RESOLVER6, RESOLVER4],
            "independent-resolvers": [OTHER6],
            "edns-name": ["big.test"],
            "edns-type": ["TXT"],
            "nft-file": [str(self.folder / "nft.json")],
            "firewall-ports": ["22,80"],
            "timeout": [str(AGENT_TIMEOUT)],
            "tries": ["8"],
            **{name.replace("_", "-"): values for name, values in changed.items()},
        }
        flags = [word for name, values in settings.items() for value in values for word in (f"--{name}", value)]
        argv = [
            *self.agent.prefix,
            sys.executable,
            "-P",
            "-m",
            "edusec",
            "ipv6",
            "local",
            "--no-lan",
            "--json",
            "--quiet",
        ]
        argv += ["--scope", self._scope(), *flags, *words]
        done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=120, check=False)
        assert done.returncode in (0, 1, 3), done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {line["id"]: line for line in lines if line["type"] == "check"}

    def probe(self, name: str, *words: str) -> dict[str, dict[str, Any]]:
        """Run one probe by itself at the vantage point; gives its observations by method."""
        scope = self._scope()
        argv = [*self.agent.prefix, sys.executable, "-P", "-m", "edusec", "probe", "run", name, "--json", "--quiet"]
        done = subprocess.run(
            [*argv, "--scope", scope, *words], capture_output=True, encoding="utf-8", timeout=120, check=False
        )
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)["body"]["observations"]
        return {line["method"]: line for line in found}

    def _scope(self) -> str:
        scope, until = self.folder / "scope.toml", str(datetime.now(UTC).date() + timedelta(1))
        if not scope.exists():
            for value in SCOPE:
                argv = [sys.executable, "-P", "-m", "edusec", "scope", "add", value, "--authoriser", "a person",
                        "--reason", "the lab", "--until", until, "--scope", str(scope)]  # fmt: skip
                subprocess.run(argv, check=True, capture_output=True, timeout=60)
        return str(scope)

    def dump(self) -> None:
        """Write what nftables holds at the vantage point, as root does there each minute."""
        done = self.agent.run(["nft", "-j", "list", "ruleset"])
        self.write("nft.json", done.stdout)
