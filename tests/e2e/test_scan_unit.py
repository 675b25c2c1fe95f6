"""`edusec scan --unit` the whole way: people and collector in a centre, the agent behind a router that masquerades."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector import setup
from tests.edusec.run_cli import argv
from tests.support.netns import Attachment, Namespace, Namespaces
from tests.support.processes import Processes, Running, wait_until
from tests.support.real_collector import COUNTY, SCHOOL, UNITS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PATIENCE = 60
MASQUERADE = """
table inet router {
    chain out { type nat hook postrouting priority srcnat; oifname "%(centre)s" masquerade; }
    chain through {
        type filter hook forward priority filter; policy drop;
        iifname "%(school)s" accept
        ct state established,related accept
    }
}
"""


@dataclass
class Country:
    """A centre with a collector, a school behind NAT with an agent, and a device of the school."""

    centre: Namespace
    school: Namespace
    device: Namespace
    address: str
    inside: str
    device_address: str
    folder: Path
    process: Processes
    agent: Running | None = None

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "EDUSEC_OPERATOR": str(self.folder / "collector" / "operator.toml"),
            "EDUSEC_SCOPE": str(self.folder / "scope.toml"),
            "LC_ALL": "C.UTF-8",
        }

    def slow_scan(self) -> Running:
        """Begin a scan of the device from the centre that takes most of a minute; returns once it runs."""
        slow = ("--ports", "8000-8999", "--engine", "connect", "--rate", "20", "--no-identify", "--json")
        return self.process(
            argv("--lang", "en", "scan", "--unit", SCHOOL, self.device_address, *slow),
            netns=self.centre,
            env=self.env,
            ready="running",
            seconds=PATIENCE,
        )

    def edusec(self, *words: str, space: Namespace | None = None) -> Running:
        """Run the command line to its end, in the centre unless said otherwise."""
        done = self.process(argv("--lang", "en", *words), netns=space or self.centre, env=self.env)
        done.wait(seconds=PATIENCE)
        return done

    def start(self, *words: str) -> Running:
        """Start the command line on a terminal, in the centre."""
        spawn = f"import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn({argv('--lang', 'en', *words)!r})))"
        return self.process([sys.executable, "-c", spawn], netns=self.centre, env=self.env)

    def run_agent(self) -> None:
        self.agent = self.process(
            [sys.executable, "-P", "-m", "agent", "run", "--config", str(self.folder / "agent.toml")],
            netns=self.school,
            env=self.env,
            ready="the agent works",
        )

    def agents(self) -> list[dict[str, Any]]:
        return json_lines_of(self.edusec("agent", "list", "--json"))


def json_lines_of(done: Running, *codes: int) -> list[dict[str, Any]]:
    assert done.returncode in (codes or (0, 1, 3)), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def country(
    netns: Namespaces, process: Processes, tmp_path: Path, needs: Callable[..., str], free_port: Callable[..., int]
) -> Country:
    nft = needs("nft", package="nftables")
    centre, router, school, device = netns(), netns(), netns(), netns()
    outside, uplink = netns.link(centre, router)
    within, gateway, leaf = netns.lan(router, school, device)
    router.sysctl("net.ipv4.ip_forward", 1)
    rules = MASQUERADE % {"centre": uplink.interface, "school": within.interface}
    router.run(["sh", "-c", f"{nft} -f - <<'END'\n{rules}\nEND\n"])
    for host in (school, device):
        host.run(["ip", "route", "add", "default", "via", str(within.v4.ip)])
    made = Country(centre, school, device, str(outside.v4.ip), _text(gateway), _text(leaf), tmp_path, process)
    data = tmp_path / "collector"
    setup.init(data, ["0.0.0.0:8443"], [made.address], lang="en")
    settings = data / "collector.toml"
    # The agent of this test reports once an hour: to this collector it is silent after a few seconds.
    settings.write_text(f"report_interval = 2\n{settings.read_text(encoding='utf-8')}", encoding="utf-8")
    process(
        [sys.executable, "-P", "-m", "collector", "run", "--data", str(data)],
        netns=centre,
        ready=r"edusec collector: https://",
    )
    (tmp_path / "units.csv").write_text(UNITS, encoding="utf-8")
    assert made.edusec("unit", "import", str(tmp_path / "units.csv")).returncode == 0
    token = made.edusec("agent", "token", "--unit", SCHOOL).stdout.strip()
    until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
    opened = made.edusec(
        *("scope", "add", f"{made.device_address}/32", "--authoriser", "tester", "--reason", "test", "--until", until)
    )
    assert opened.returncode == 0, opened.stderr
    state = f'state = "{tmp_path}/state"\nscope = "{tmp_path}/scope.toml"\nmetrics = "off"\nreport_interval = 3600\n'
    tasks = '[[task]]\nname = "v"\nprobe = "host_vitals"\ninterval = 3600\n'
    (tmp_path / "agent.toml").write_text(f"[agent]\n{state}{tasks}", encoding="utf-8")
    words = ("agent", "enroll", "--collector", f"https://{made.address}:8443", "--token", token)
    enrolled = made.edusec(*words, "--config", str(tmp_path / "agent.toml"), space=school)
    assert enrolled.returncode == 0, enrolled.stderr
    made.run_agent()
    wait_until(lambda: made.agents()[0]["state"] == "active", "the agent has reported", seconds=PATIENCE)
    return made


def _text(at: Attachment) -> str:
    return str(at.v4.ip)


def _judged_by(done: Running) -> tuple[str, list[str]]:
    found = json_lines_of(done)
    (run,) = (line for line in found if line["type"] == "run")
    return run["whitelist"], [line["standing"] for line in found if line["type"] == "service"]


def _colours(done: Running) -> dict[str, str]:
    return {line["rule"]: line["colour"] for line in json_lines_of(done) if line["type"] == "finding"}


def _seen_from_outside(address: str, port: int) -> str:
    """A scan of one open port, as nmap writes it."""
    now = int(time.time())
    return f"""<?xml version="1.0"?>
<nmaprun scanner="nmap" args="nmap -oX outside.xml" start="{now}" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="1" services="{port}"/>
<host starttime="{now}" endtime="{now}"><status state="up" reason="syn-ack" reason_ttl="0"/>
<address addr="{address}" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="{port}"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>
<runstats><finished time="{now}" exit="success"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>
"""


def test_a_unit_behind_nat_is_scanned_and_what_comes_back_is_as_at_home(country: Country) -> None:
    server = [sys.executable, "-m", "http.server", "--bind", country.device_address, "8081"]
    country.process(server, netns=country.device, ready=8081)
    # From the centre nobody gets in: neither to the device nor to the agent.
    for address in (country.device_address, country.inside):
        knocked = f"import socket; socket.create_connection(('{address}', 8081), 2)"
        assert country.centre.run([sys.executable, "-c", knocked], check=False).returncode != 0
    wide = ("--ports", "8000-8400", "--engine", "connect", "--rate", "80", "--no-identify")
    live = country.start("scan", "--unit", SCHOOL, country.device_address, *wide, "--fail-on", "none")
    live.wait_ready(re.compile(r"[1-9]\d*/401 [^\r\n]* sending [1-9]"), seconds=PATIENCE)
    assert live.wait(seconds=PATIENCE) == 0, live.stdout
    assert "running" in live.stdout
    assert re.search(rf"{country.device_address}\s+8081/tcp\s+open", live.stdout)

    # Ports are judged by what is approved for the unit, here by its county, unless a whitelist is given.
    entry = ("port", country.device_address, "--ports", "8081", "--expires", "never")
    who = ("--owner", "li", "--reason", "web", "--approver", "wang")
    assert country.edusec("whitelist", "add", *entry, *who, "--unit", COUNTY).returncode == 0
    given = country.folder / "given.csv"
    given.write_text(f"kind,value,ports,owner,reason,approver\nport,{country.inside},1,li,web,wang\n", encoding="utf-8")
    one = ("scan", "--unit", SCHOOL, country.device_address, "--ports", "8081", "--no-identify", "--fail-on", "none")
    assert _judged_by(country.edusec(*one, "--json")) == (f"unit:{SCHOOL}", ["listed"])
    assert _judged_by(country.edusec(*one, "--json", "--whitelist", str(given))) == (str(given), ["unlisted"])

    # What somebody who looks from the internet saw there, the collector knows: it weighs as it does in alerts.
    unlisted = (*one, "--json", "--whitelist", str(given))
    assert _colours(country.edusec(*unlisted)) == {"unlisted-port": "yellow"}
    seen = country.folder / "outside.xml"
    seen.write_text(_seen_from_outside(country.device_address, 8081), encoding="utf-8")
    taken = country.edusec("asset", "import", str(seen), "--unit", SCHOOL, "--vantage", "internet")
    assert taken.returncode == 0, taken.stderr
    assert _colours(country.edusec(*unlisted)) == {"unlisted-port": "orange"}

    outside = "203.0.113.9"
    # A file of targets is one: what is not in it is not asked for, as it would be without any target.
    file = country.folder / "targets.txt"
    file.write_text(f"{outside}  # nothing else\n", encoding="utf-8")
    done = country.edusec("scan", "--unit", SCHOOL, "--targets-file", str(file), "--ports", "8081", "--json")
    (run,) = (line for line in json_lines_of(done, 3) if line["type"] == "run")
    assert (run["coverage"], [outside in part["what"] for part in run["skipped"]]) == ([], [True])
    words = ("--ports", "8081,8082", "--json", "--fail-on", "none", "--reason", "look")
    done = country.edusec("scan", "--unit", SCHOOL, country.device_address, outside, *words)
    assert done.returncode == 3, done.stderr
    found = json_lines_of(done)
    (service,) = (line for line in found if line["type"] == "service")
    assert (service["address"], service["port"], service["state"]) == (country.device_address, 8081, "open")
    assert str(service["product"]).startswith("SimpleHTTP") or service["service"] == "http"
    (run,) = (line for line in found if line["type"] == "run")
    assert run["targets"] == [f"unit:{SCHOOL}", country.device_address, outside]
    (refused,) = run["skipped"]
    assert outside in refused["what"]
    assert refused["reason"].startswith(f"out_of_scope: edusec scope add {outside}")
    assert f"for the gateway of {SCHOOL}" in done.stderr

    # Without targets it is the agent's own scope, which here is this machine and the device.
    done = country.edusec("scan", "--unit", SCHOOL, "--ports", "8081", "--json", "--fail-on", "none")
    assert done.returncode == 0, done.stderr
    assert country.device_address in {line["address"] for line in json_lines_of(done) if line["type"] == "host"}
    known = json_lines_of(country.edusec("asset", "list", "--json"))
    assert country.device_address in {address for asset in known for address in asset["addresses"]}


def test_ctrl_c_ends_the_scan_at_the_agent(country: Country) -> None:
    running = country.slow_scan()
    running.send(signal.SIGINT)
    assert running.wait(seconds=PATIENCE) == 130, running.stderr
    assert "cancelling" in running.stderr
    (run,) = (line for line in json_lines_of(running, 130) if line["type"] == "run")
    assert run["status"] in ("partial", "cannot_run")
    assert run["reason"] == "stopped"


def test_a_second_ctrl_c_leaves_and_the_agent_goes_on_alone(country: Country) -> None:
    assert country.agent is not None
    running = country.slow_scan()
    country.agent.send(signal.SIGSTOP)  # so that what was cancelled does not end before the second one comes
    running.send(signal.SIGINT)
    running.wait_ready("cancelling", seconds=PATIENCE)
    running.send(signal.SIGINT)
    assert running.wait(seconds=PATIENCE) == 130, running.stderr
    assert "left alone" in running.stderr
    assert running.stdout == ""
    country.agent.send(signal.SIGCONT)


def test_an_order_keeps_to_the_quiet_hours_of_the_gateway(country: Country) -> None:
    assert country.agent is not None
    count = "table inet watch { chain in { type filter hook input priority 0; meta l4proto { tcp, udp } counter; }; }"
    country.device.run(["sh", "-c", f"nft -f - <<'END'\n{count}\nEND\n"])

    def heard() -> int:
        told = country.device.run(["nft", "list", "table", "inet", "watch"]).stdout
        (found,) = re.findall(r"counter packets (\d+)", told)
        return int(found)

    words = ("scan", "--unit", SCHOOL, country.device_address, "--ports", "8081", "--json", "--fail-on", "none")
    assert country.edusec(*words).returncode == 0
    loud = heard()
    assert loud > 0, "the counter counts"
    config = country.folder / "agent.toml"
    quiet = '[limits]\nquiet_hours = ["00:00-12:00", "12:00-00:00"]\n'
    config.write_text(config.read_text(encoding="utf-8").replace("[[task]]", f"{quiet}[[task]]"), encoding="utf-8")
    country.agent.send(signal.SIGHUP)
    country.agent.wait_ready("the configuration is in force", seconds=PATIENCE)
    done = country.edusec(*words)
    assert done.returncode == 3, done.stderr
    (run,) = (line for line in json_lines_of(done) if line["type"] == "run")
    assert {skipped["reason"].partition(":")[0] for skipped in run["skipped"]} == {"quiet_hours"}
    assert heard() == loud, "nothing left the gateway"


def test_an_agent_that_is_away_and_a_collector_that_is_away_are_told_apart(country: Country, tmp_path: Path) -> None:
    assert country.agent is not None
    country.agent.kill()
    running = country.process(
        argv("--lang", "en", "scan", "--unit", SCHOOL, "--ports", "1", "--json"),
        netns=country.centre,
        env=country.env,
        ready="waiting for the agent",
        seconds=PATIENCE,
    )
    assert re.search(r"last report \d{4}-\d\d-\d\d \d\d:\d\d, the next (is|was) due", running.stderr)
    assert re.search(r"waiting up to 1:0\d for an agent to take it \(--wait sets this\)", running.stderr)
    running.send(signal.SIGINT)
    assert running.wait(seconds=PATIENCE) == 130
    assert "the order is withdrawn, no agent will run it" in running.stderr
    wait_until(lambda: country.agents()[0]["state"] == "silent", "nothing is heard of it", seconds=PATIENCE)
    done = country.edusec("scan", "--unit", SCHOOL, "--ports", "1", "--json", "--wait", "1")
    assert done.returncode == 3, done.stderr
    assert re.search(r"the next was due .*: \d+:\d\d late", done.stderr)
    assert "waiting up to 0:01" in done.stderr
    (run,) = (line for line in json_lines_of(done) if line["type"] == "run")
    assert (run["status"], run["reason"].partition(":")[0]) == ("timed_out", "agent_silent")
    # It comes back late: neither what was withdrawn nor what has expired is run, what is asked now is.
    country.run_agent()
    done = country.edusec("scan", "--unit", SCHOOL, country.device_address, "--ports", "1", "--fail-on", "none")
    assert done.returncode == 0, done.stderr
    assert country.agent.stderr.count("an order has come") == 1
    profile = tmp_path / "collector" / "operator.toml"
    away = tmp_path / "collector" / "away.toml"
    away.write_text(profile.read_text(encoding="utf-8").replace(":8443", ":1"), encoding="utf-8")
    done = country.edusec("scan", "--unit", SCHOOL, "--operator", str(away))
    assert done.returncode == 5
    assert "cannot reach the collector" in done.stderr
    nobody = country.edusec("scan", "--unit", "640104")
    assert nobody.returncode == 2
    assert "has no agent" in nobody.stderr
