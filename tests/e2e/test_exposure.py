"""A school behind NAT whose gateway forwards two ports: what the internet reaches is told from what does not.

The same laboratory serves `edusec scan` and agents with a collector: a gateway with an agent of its own, real servers
behind it, and a machine outside that has no way in but the forwarded ports.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.edusec.run_cli import argv
from tests.support import debian
from tests.support.netns import Namespace
from tests.support.processes import Processes, Running, wait_until
from tests.support.real_collector import SCHOOL, UNITS
from tests.support.servers.lab import LINK, PREFIX, Lab, lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SERVERS = ("dnsmasq", "openssh", "xrdp")
NEVER, RESOLVER = "high-risk-port-internet", "open-resolver"
TCP, UDP = "22,53,445,3389,8080", "53"
_NAT = """
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        iifname "{wan}" tcp dport 3389 dnat to {rdp}
        iifname "{wan}" udp dport 53 dnat to {dns}
    }}
}}
"""


@dataclass
class School:
    """The laboratory: `gateway` forwards from its `public` address; `outside` is on the internet."""

    lab: Lab
    folder: Path
    process: Processes
    outside: Namespace
    public: str

    def scope(self, who: str, *prefixes: str) -> Path:
        """Write what somebody may scan."""
        file = self.folder / f"{who}-scope.toml"
        until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
        for prefix in prefixes:
            words = ("--authoriser", "tester", "--reason", "test", "--until", until, "--scope", str(file))
            added = self.edusec(self.lab.asking, "scope", "add", prefix, *words)
            assert added.returncode == 0, added.stderr
        return file

    def edusec(self, space: Namespace, *words: str) -> Running:
        """Run the command line somewhere, to its end."""
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "EDUSEC_OPERATOR": str(self.folder / "collector" / "operator.toml"),
        }
        done = self.process(argv("--lang", "en", *words), netns=space, env=env)
        done.wait(seconds=100)
        return done

    def lines(self, space: Namespace, *words: str) -> list[dict[str, Any]]:
        done = self.edusec(space, *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def inside(self) -> list[str]:
        return [self.lab.places[name].address for name in SERVERS]


@pytest.fixture(scope="module")
def school(_namespaces_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    nft = debian.needs("nft", package="nftables")
    folder = tmp_path_factory.mktemp("school")
    processes = Processes(folder / "processes")
    try:
        with lab(SERVERS) as running:
            if running.absent:
                pytest.skip("; ".join(running.absent.values()))
            outside, gateway = running.spaces(), running.asking
            _, wan = running.spaces.link(outside, gateway)
            gateway.sysctl("net.ipv4.ip_forward", 1)
            running.owning.run(["ip", "route", "add", "default", "via", LINK.replace("0/24", "1")])
            rules = folder / "nat.nft"
            address = {name: running.places[name].address for name in SERVERS}
            rules.write_text(_NAT.format(wan=wan.interface, rdp=address["xrdp"], dns=address["dnsmasq"]))
            gateway.run([nft, "-f", rules])
            yield School(running, folder, processes, outside, str(wan.v4.ip))
            processes.close()
    finally:
        processes.close()


def _found(lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        rule: sorted(line["subject"]["label"] for line in lines if line["type"] == "finding" and line["rule"] == rule)
        for rule in (NEVER, RESOLVER)
    }


def test_a_scan_finds_what_is_forwarded_from_outside_only(school: School) -> None:
    gateway, asked = school.lab.asking, ("--ports", TCP, "--udp", UDP, "--json", "--fail-on", "none")
    outside = ("--scope", str(school.scope("outside", school.public)), "--vantage", "internet")
    found: dict[str, list[str]] = {}
    for _ in range(3):  # on a busy machine a server may miss its moment
        lines = school.lines(school.outside, "scan", school.public, *asked, *outside)
        found = _found(lines)
        if found[RESOLVER]:
            break
    assert found == {NEVER: [f"{school.public} 3389/tcp"], RESOLVER: [f"{school.public} 53/udp"]}
    assert lines[0]["vantage"] == "internet"
    # The same ports from the gateway, and ssh, to which nothing is forwarded: that says nothing of the internet.
    inside = ("--scope", str(school.scope("inside", PREFIX)))
    lines = school.lines(gateway, "scan", *school.inside(), *asked, *inside)
    opened = {line["port"] for line in lines if line["type"] == "service" and line["state"] == "open"}
    assert {22, 3389} <= opened
    assert _found(lines) == {NEVER: [], RESOLVER: []}


def _agent(school: School, name: str, space: Namespace, url: str, targets: list[str], *vantage: str) -> None:
    """Enrol an agent somewhere and let it run."""
    config = school.folder / f"{name}.toml"
    scope = school.scope(name, *([PREFIX] if space is school.lab.asking else targets))
    tasks = "".join(
        f'[[task]]\nname = "{probe}"\nprobe = "{probe}"\ninterval = 5\n'
        f'options = {{ targets = {json.dumps(targets)}, ports = "{ports}" }}\n'
        for probe, ports in (("open_ports", TCP), ("udp_ports", UDP))
    )
    config.write_text(
        f'[agent]\nstate = "{school.folder}/{name}-state"\nscope = "{scope}"\nmetrics = "off"\nreport_interval = 1\n'
        f"{tasks}",
        encoding="utf-8",
    )
    token = school.edusec(school.lab.asking, "agent", "token", "--unit", SCHOOL, *vantage).stdout.strip()
    words = ("--collector", url, "--token", token, "--name", name, "--config", str(config))
    enrolled = school.edusec(space, "agent", "enroll", *words)
    assert enrolled.returncode == 0, enrolled.stderr
    run = [sys.executable, "-P", "-m", "agent", "run", "--now", "--config", str(config)]
    school.process(run, netns=space, ready="the agent works")


def test_agents_inside_and_outside_raise_alerts_for_what_is_forwarded_and_nothing_else(school: School) -> None:
    gateway, folder = school.lab.asking, school.folder
    data, url = folder / "collector", f"https://{school.public}:8443"
    where = ("--listen", f"{school.public}:8443", "--name", school.public)
    init = school.process([sys.executable, "-P", "-m", "collector", "init", "--data", str(data), *where], netns=gateway)
    assert init.wait() == 0, init.stderr
    run = [sys.executable, "-P", "-m", "collector", "run", "--data", str(data)]
    school.process(run, netns=gateway, ready=r"edusec collector: https://")
    (folder / "units.csv").write_text(UNITS, encoding="utf-8")
    assert school.edusec(gateway, "unit", "import", str(folder / "units.csv")).returncode == 0
    nobody = school.edusec(gateway, "asset", "list", "--exposure", "internet")
    assert "unknown: --exposure unknown" in nobody.stderr
    _agent(school, "gateway", gateway, url, school.inside())
    _agent(school, "outside", school.outside, url, [school.public], "--vantage", "internet")

    def exposures() -> dict[tuple[str, str, int], str]:
        return {
            (service["address"], service["transport"], service["port"]): service["exposure"]
            for asset in school.lines(gateway, "asset", "list", "--json")
            for service in asset["services"]
            if service["state"] == "open"
        }

    forwarded = {(school.public, "tcp", 3389), (school.public, "udp", 53)}
    places = {name: school.lab.places[name] for name in SERVERS}
    behind = {(place.address, place.server.transport.value, place.port) for place in places.values()}
    wait_until(lambda: forwarded | behind <= exposures().keys(), "both agents have reported", seconds=120)

    def alerts() -> dict[str, list[str]]:
        listed = school.lines(gateway, "alert", "list", "--json")
        assert all(not alert["baseline"] for alert in listed if alert["rule"] in (NEVER, RESOLVER))
        return {
            rule: sorted(alert["subject"]["label"] for alert in listed if alert["rule"] == rule)
            for rule in (NEVER, RESOLVER)
        }

    expected = {NEVER: [f"{school.public}:3389/tcp"], RESOLVER: [f"{school.public}:53/udp"]}
    wait_until(lambda: alerts() == expected, "what the outside machine heard is judged", seconds=60)
    told = exposures()
    assert {key for key, value in told.items() if value == "internet"} == forwarded
    assert {told[key] for key in behind} == {"unknown"}  # nobody on the internet can ask for those addresses
    (asset,) = school.lines(gateway, "asset", "list", "--exposure", "internet", "--json")
    shown = school.edusec(gateway, "asset", "show", asset["id"]).stdout
    assert "internet (outside, " in shown
