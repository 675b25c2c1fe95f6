"""Scans on order through a real collector and a real agent: the whole way, refusals, cancelling, and power cuts."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agent.uplink.enrol import enrol
from tests.support.extra_probes import with_test_probes
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until
from tests.support.real_collector import SCHOOL, RealCollector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ACCEPT = '[orders]\nprobes = ["open_ports", "marking"]\n'
FINAL = {"ended", "cancelled", "expired", "lost"}
PATIENCE = 60


@dataclass
class Site:
    """A school with its agent, and the collector that people ask."""

    collector: RealCollector
    gateway: Gateway
    marks: Path

    def ask(self, probe: str = "marking", **fields: Any) -> str:
        """Ask for a scan; gives its id."""
        if probe == "marking":
            options = {"place": str(self.marks), **fields.pop("options", {})}
        else:
            options = fields.pop("options", {})
        wanted = {"unit": SCHOOL, "probe": probe, "options": options, "targets": [], "reason": "test", **fields}
        return str(self.collector.send("/api/v1/scans", json.dumps(wanted).encode())["id"])

    def order(self, scan: str) -> dict[str, Any]:
        """Give the one order of a scan."""
        (found,) = self.collector.get(f"/api/v1/scans/{scan}")["orders"]
        return dict(found)

    def over(self, scan: str) -> dict[str, Any]:
        """Wait until a scan is over and give its order."""
        wait_until(lambda: self.order(scan)["state"] in FINAL, "the order is over", seconds=PATIENCE)
        return self.order(scan)

    def result(self, scan: str) -> dict[str, Any]:
        """Give the section of a scan."""
        return dict(self.collector.get(f"/api/v1/scans/{scan}/results/{self.order(scan)['id']}"))

    def runs(self) -> Counter[str]:
        """Count how often each tag was run."""
        return Counter(self.marks.read_text(encoding="utf-8").split() if self.marks.exists() else [])


@pytest.fixture
def site(tmp_path: Path, process: Processes, free_port: Callable[..., int]) -> Site:
    collector = RealCollector(tmp_path / "collector", free_port(), process)
    collector.make()
    gateway = Gateway(tmp_path, process, {"PYTHONPATH": with_test_probes(tmp_path / "probes")})
    enrol(gateway.state, collector.url, collector.token())
    # No task of its own reports for an hour: what comes at once comes by the orders' own way.
    gateway.configure(f'{ACCEPT}[[task]]\nname = "v"\nprobe = "host_vitals"\ninterval = 3600\n', interval=3600)
    return Site(collector, gateway, tmp_path / "marks")


def test_an_order_runs_within_seconds_and_its_result_comes_back(site: Site) -> None:
    agent = site.gateway.run()
    wait_until(lambda: site.collector.get("/api/v1/agents")["items"][0]["state"] == "active", "it has reported")
    # More than a minute before the next report: only the held question can bring this.
    scan = site.ask("open_ports", options={"ports": f"{site.collector.port}"}, targets=["127.0.0.1"])
    order = site.over(scan)
    assert (order["state"], order["status"]) == ("ended", "done")
    section = site.result(scan)
    ports = [seen["target"].get("port") for seen in section["body"]["observations"]]
    assert site.collector.port in ports
    names = {section["name"] for section in site.collector.get("/api/v1/agents")["items"][0]["sections"]}
    assert "scan/open_ports" in names
    # Once more: the same result travels whole again.
    again = site.ask("open_ports", options={"ports": f"{site.collector.port}"}, targets=["127.0.0.1"])
    assert site.over(again)["observations"] == order["observations"]
    assert site.result(again)["body"]
    assert agent.terminate() == 0


def test_the_scope_and_the_configuration_of_the_gateway_decide(site: Site) -> None:
    agent = site.gateway.run()
    outside = site.ask("open_ports", options={"ports": "1"}, targets=["127.0.0.1", "198.18.0.1"])
    order = site.over(outside)
    assert order["status"] == "partial"
    (skipped,) = site.result(outside)["body"]["skipped"]
    assert "198.18.0.1" in skipped["what"]
    assert skipped["reason"].startswith("out_of_scope: edusec scope add 198.18.0.1")
    refused = site.over(site.ask("host_vitals"))
    assert (refused["status"], refused["reason"].partition(":")[0]) == ("cannot_run", "not_accepted")
    files = site.over(site.ask("open_ports", options={"fingerprints": ["/etc/passwd"]}))
    assert (files["status"], files["reason"].partition(":")[0]) == ("cannot_run", "bad_options")
    assert agent.terminate() == 0
    site.gateway.configure("[orders]\naccept = false\n")
    agent = site.gateway.run()
    order = site.over(site.ask("open_ports"))
    assert order["reason"] == "not_accepted: [orders] accept = true"
    assert agent.terminate() == 0


def test_progress_is_seen_and_cancelling_keeps_what_was_found(site: Site) -> None:
    agent = site.gateway.run()
    scan = site.ask(options={"tag": "long", "seconds": 60})
    wait_until(lambda: site.order(scan)["done"] > 0, "progress is seen", seconds=PATIENCE)
    waiting = site.ask(options={"tag": "never"})
    assert site.collector.send(f"/api/v1/scans/{waiting}/cancel", b"")["orders"][0]["state"] in FINAL | {"cancelling"}
    site.collector.send(f"/api/v1/scans/{scan}/cancel", b"")
    order = site.over(scan)
    assert (order["state"], order["reason"]) == ("ended", "stopped")
    assert site.over(waiting)["state"] == "cancelled"
    assert site.runs() == {"long": 1}
    assert agent.terminate() == 0


def test_an_agent_that_was_cut_off_in_the_middle_says_so_and_does_not_run_it_again(site: Site) -> None:
    agent = site.gateway.run()
    scan = site.ask(options={"tag": "cut", "seconds": 60})
    wait_until(lambda: site.runs()["cut"] == 1, "it runs", seconds=PATIENCE)
    withdrawn = site.ask(options={"tag": "withdrawn"})
    wait_until(lambda: agent.stderr.count("an order has come") == 2, "the agent has it on disk", seconds=PATIENCE)
    agent.kill()
    site.collector.send(f"/api/v1/scans/{withdrawn}/cancel", b"")
    late = site.ask(options={"tag": "late"}, valid=1)
    held = site.ask(options={"tag": "held"})
    wait_until(lambda: site.order(late)["state"] == "expired", "nobody took it in time", seconds=PATIENCE)
    agent = site.gateway.run()
    order = site.over(scan)
    assert (order["status"], order["reason"]) == ("cannot_run", "interrupted")
    assert site.over(held)["status"] == "done"
    assert site.order(withdrawn)["state"] == "cancelled"
    assert site.runs() == {"cut": 1, "held": 1}
    assert agent.terminate() == 0


def test_power_cuts_on_both_sides_run_nothing_twice_and_forget_nothing(site: Site) -> None:
    random = Random()
    agent = site.gateway.run()
    scans = []
    for number in range(8):
        scans.append(site.ask(options={"tag": f"t{number}", "seconds": 0.3}, valid=3600, request=f"r{number}"))
        time.sleep(random.uniform(0, 1.2))
        if random.random() < 0.5:
            agent.kill()
            agent = site.gateway.run()
        else:
            site.collector.kill()
            site.collector.start()
            # Asked for again after the cut, as a client does that got no answer.
            again = site.ask(options={"tag": f"t{number}", "seconds": 0.3}, valid=3600, request=f"r{number}")
            assert again == scans[-1]
        wait_until(lambda: sum(site.order(scan)["state"] not in FINAL for scan in scans) < 6, "room", seconds=PATIENCE)
    orders = [site.over(scan) for scan in scans]
    assert {order["state"] for order in orders} == {"ended"}
    runs = site.runs()
    for number, order in enumerate(orders):
        if order["status"] == "done":
            assert runs[f"t{number}"] == 1
        else:
            assert (order["status"], order["reason"]) == ("cannot_run", "interrupted")
            assert runs[f"t{number}"] <= 1
    assert agent.terminate() == 0
