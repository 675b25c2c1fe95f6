"""What services say of themselves, judged: by `edusec scan`, and by way of agent and collector in `edusec alert list`.

One laboratory of real servers, some badly looked after and some well kept, serves both.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.edusec.run_cli import argv
from tests.support.processes import Processes, Running, wait_until
from tests.support.real_collector import SCHOOL, UNITS
from tests.support.servers.lab import PREFIX, Lab, lab
from tests.support.servers.model import SERVERS
from tests.support.servers.weak import WEAK

pytest.importorskip("cryptography")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NAMES = ("redis", "mosquitto", "memcached", "exim", "samba", "tigervnc", "xrdp", "dovecot", "openssh", *WEAK)
PORTS = "22,25,80,110,143,443,445,1883,2121,3389,5901,6379,8081,8082,8443,9443,10443,11211"
LISTED = "smb-unsigned"
EXPECTED = {
    "no-login-critical": [("redis", 6379), ("tigervnc", 5901)],
    "no-login-high": [("memcached", 11211), ("mosquitto", 1883)],
    "tls-outdated": [("nginx_weak", 443)],
    "tls-outdated-too": [("nginx_weak", 9443)],
    "certificate-expired": [("nginx_weak", 443)],
    "certificate-expiring": [("nginx_weak", 8443)],
    "certificate-self-signed": [("nginx_weak", 9443)],
    "certificate-weak": [("nginx_weak", 443)],
    "web-default-page": [("nginx_weak", 80)],
    "web-login-clear-text": [("nginx_weak", 8081)],
    "mail-login-clear-text": [("dovecot_weak", 110), ("dovecot_weak", 143), ("exim_weak", 25)],
    "clear-text-login-elsewhere": [("vsftpd_moved", 2121)],
    "rdp-without-nla": [("xrdp", 3389)],
    "smb1-spoken": [("samba_smb1", 445)],
    LISTED: [("samba", 445)],
}
"""Where each rule has something to say; nowhere else, whatever else is open there."""
BY_PORT = {
    "common-risk-port-high", "high-risk-port-critical", "high-risk-port-high", "clear-text-management", "unlisted-port",
}  # fmt: skip
"""Rules that look at nothing but the port."""


@dataclass
class Campus:
    """The laboratory, and a folder with a scope and a whitelist for whoever asks it."""

    lab: Lab
    folder: Path
    process: Processes

    def edusec(self, *words: str) -> Running:
        """Run the command line where the servers are asked from, to its end."""
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "EDUSEC_SCOPE": str(self.folder / "scope.toml"),
            "EDUSEC_OPERATOR": str(self.folder / "collector" / "operator.toml"),
        }
        done = self.process(argv("--lang", "en", *words), netns=self.lab.asking, env=env)
        done.wait(seconds=100)
        return done

    def lines(self, *words: str) -> list[dict[str, Any]]:
        done = self.edusec(*words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def expected(self) -> dict[str, list[str]]:
        """What the rules should say, as addresses and ports of the servers that are here."""
        places = self.lab.places
        return {
            rule: found
            for rule, pairs in EXPECTED.items()
            if (found := sorted(f"{places[name].address}:{port}/tcp" for name, port in pairs if name in places))
        }


@pytest.fixture(scope="module")
def campus(_namespaces_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    folder = tmp_path_factory.mktemp("campus")
    processes = Processes(folder / "processes")
    try:
        with lab(NAMES, known={**SERVERS, **WEAK}) as running:
            made = Campus(running, folder, processes)
            until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
            opened = made.edusec(
                *("scope", "add", PREFIX, "--authoriser", "tester", "--reason", "test", "--until", until)
            )
            assert opened.returncode == 0, opened.stderr
            samba = running.places["samba"].address
            (folder / "list.csv").write_text(
                f"kind,value,transport,ports,owner,reason,approver,expires\nport,{samba},tcp,445,li,files,wang,\n",
                encoding="utf-8",
            )
            yield made
            processes.close()
    finally:
        processes.close()


def test_a_scan_judges_what_services_say(campus: Campus) -> None:
    targets = [place.address for place in campus.lab.places.values()]
    words = ("--ports", PORTS, "--whitelist", str(campus.folder / "list.csv"), "--json", "--fail-on", "none")
    found: dict[str, list[str]] = {}
    for _ in range(3):  # on a busy machine a server may miss its moment
        lines = campus.lines("scan", *targets, *words)
        found = {}
        for line in lines:
            if line["type"] == "finding" and line["subject"]["kind"] == "service" and line["rule"] not in BY_PORT:
                found.setdefault(line["rule"], []).append(line["subject"]["label"].replace(" ", ":"))
        found = {rule: sorted(labels) for rule, labels in found.items()}
        if found == campus.expected():
            break
    assert found == campus.expected()
    # It answers a request in clear text, to say that it wants none.
    assert [line["service"] for line in lines if line["type"] == "service" and line["port"] == 10443] == ["https"]


def test_agent_and_collector_raise_the_same_as_alerts(campus: Campus) -> None:
    folder, space = campus.folder, campus.lab.asking
    data = folder / "collector"
    where = ("--listen", "127.0.0.1:8443", "--name", "127.0.0.1")
    init = campus.process([sys.executable, "-P", "-m", "collector", "init", "--data", str(data), *where], netns=space)
    assert init.wait() == 0, init.stderr
    run = [sys.executable, "-P", "-m", "collector", "run", "--data", str(data)]
    campus.process(run, netns=space, ready=r"edusec collector: https://")
    (folder / "units.csv").write_text(UNITS, encoding="utf-8")
    assert campus.edusec("unit", "import", str(folder / "units.csv")).returncode == 0
    listed = campus.edusec("whitelist", "import", str(folder / "list.csv"), "--unit", SCHOOL)
    assert listed.returncode == 0, listed.stderr
    token = campus.edusec("agent", "token", "--unit", SCHOOL).stdout.strip()
    targets = json.dumps([place.address for place in campus.lab.places.values()])
    (folder / "agent.toml").write_text(
        f'[agent]\nstate = "{folder}/state"\nscope = "{folder}/scope.toml"\nmetrics = "off"\nreport_interval = 1\n'
        '[[task]]\nname = "ports"\nprobe = "open_ports"\ninterval = 5\n'
        f'options = {{ targets = {targets}, ports = "{PORTS}" }}\n',
        encoding="utf-8",
    )
    config = ("--config", str(folder / "agent.toml"))
    enrolled = campus.edusec("agent", "enroll", "--collector", "https://127.0.0.1:8443", "--token", token, *config)
    assert enrolled.returncode == 0, enrolled.stderr
    campus.process([sys.executable, "-P", "-m", "agent", "run", "--now", *config], netns=space, ready="the agent works")

    def told() -> dict[str, list[str]]:
        listed = campus.lines("alert", "list", "--json")
        alerts = [alert for alert in listed if alert["baseline"] or alert["subject"]["kind"] == "service"]
        # The first scan: one alert for each rule. Certificates that are about to expire are told one by one.
        labels = {
            alert["rule"]: sorted(alert["evidence"]["examples"]) if alert["baseline"] else [alert["subject"]["label"]]
            for alert in alerts
            if alert["rule"] not in BY_PORT
        }
        assert max(Counter(alert["rule"] for alert in alerts).values(), default=1) == 1
        assert {alert["rule"] for alert in alerts if not alert["baseline"]} <= {"certificate-expiring"}
        return labels

    expected = campus.expected()
    wait_until(lambda: told().items() >= expected.items(), "the reports are judged", seconds=100)
    assert {rule for rule in told() if not rule.startswith("unlisted")} == set(expected)
