"""A real agent and a real collector through what happens to collectors: backups, revocation, long outages."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.uplink.enrol import enrol
from tests.support.extra_probes import with_test_probes
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until
from tests.support.real_collector import RealCollector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
TASKS = """
[[task]]
name = "ports"
probe = "open_ports"
interval = 1
options = { ports = "1-20" }

[[task]]
name = "count"
probe = "counting"
interval = 1
"""


@pytest.fixture
def collector(tmp_path: Path, process: Processes, free_port: Callable[..., int]) -> RealCollector:
    made = RealCollector(tmp_path / "collector", free_port(), process)
    made.make()
    return made


@pytest.fixture
def gateway(tmp_path: Path, process: Processes, collector: RealCollector) -> Gateway:
    made = Gateway(tmp_path, process, {"PYTHONPATH": with_test_probes(tmp_path / "probes")})
    enrol(made.state, collector.url, collector.token())
    made.configure(TASKS)
    return made


def agent_of(collector: RealCollector) -> dict[str, Any]:
    (found,) = collector.get("/api/v1/agents")["items"]
    return dict(found)


def sections(collector: RealCollector) -> dict[str, dict[str, Any]]:
    return {section["name"]: section for section in agent_of(collector)["sections"]}


def test_a_collector_from_a_backup_gets_everything_it_forgot(
    gateway: Gateway, collector: RealCollector, tmp_path: Path
) -> None:
    collector.kill()
    shutil.copytree(collector.data, tmp_path / "backup")
    collector.start()
    agent = gateway.run("--now")
    wait_until(lambda: {"ports", "count"} <= sections(collector).keys(), "both tasks have reported")
    wait_until(lambda: len(collector.numbers()) >= 3, "measurements arrive")
    agent.kill()
    collector.kill()
    shutil.rmtree(collector.data)
    shutil.copytree(tmp_path / "backup", collector.data)
    collector.start()
    assert sections(collector) == {}
    agent = gateway.run("--now")
    wait_until(lambda: {"ports", "count"} <= sections(collector).keys(), "both tasks have reported again")
    # Where IPv6 is switched off, ::1 is left out and said so.
    assert sections(collector)["ports"]["status"] in {"done", "partial"}
    assert agent.terminate() == 0
    assert gateway.spooled(str) == []


def test_a_revoked_agent_keeps_its_spool_and_can_enrol_again(gateway: Gateway, collector: RealCollector) -> None:
    agent = gateway.run("--now")
    wait_until(lambda: len(collector.numbers()) >= 1, "a measurement arrives")
    collector.send(f"/api/v1/agents/{agent_of(collector)['id']}/revoke", b"")
    wait_until(lambda: "does not accept this agent's credential" in agent.stderr, "it is told")
    before = set(collector.numbers())
    wait_until(lambda: len(gateway.spooled(str)) >= 4, "it goes on observing")
    agent.terminate()
    kept = set(gateway.spooled(lambda observation: str(observation.get("values", {}).get("number", ""))))
    assert kept - {""}
    done = gateway.command("enroll", "--force", "--collector", collector.url, "--token", collector.token())
    assert done.returncode == 0, done.stderr
    agent = gateway.run("--now")
    wait_until(lambda: kept - {""} <= set(collector.numbers()), "what was kept arrives")
    assert before <= set(collector.numbers())
    assert agent.terminate() == 0


def test_the_policy_reaches_the_probes(gateway: Gateway, collector: RealCollector) -> None:
    listed = "kind,value,ports,owner,reason,approver\nhost,127.0.0.1,,a,b,c\n"
    collector.send("/api/v1/whitelist/import?filename=w.csv&unit=2164000001", listed.encode(), kind="text/csv")
    gateway.configure('[[task]]\nname = "whitelist"\nprobe = "asset_whitelist"\ninterval = 1\n')
    agent = gateway.run("--now")
    wait_until(lambda: gateway.status()["policy"]["whitelist"] == 1, "the whitelist is handed down")
    wait_until(lambda: "whitelist" in sections(collector), "the task has reported")
    wait_until(lambda: agent_of(collector)["metrics_url"] == "", "metrics are off, so no address is given")
    assert agent.terminate() == 0


def test_an_outage_costs_nothing(gateway: Gateway, collector: RealCollector) -> None:
    collector.kill()
    agent = gateway.run("--now")
    wait_until(lambda: len(gateway.spooled(str)) >= 6, "it goes on without a collector", seconds=60)
    number = [item for item in gateway.spooled(lambda o: str(o.get("values", {}).get("number", ""))) if item]
    collector.start()
    wait_until(lambda: set(number) <= set(collector.numbers()), "all of it arrives")
    assert len(collector.numbers()) == len(set(collector.numbers()))
    assert agent.terminate() == 0
    assert agent_of(collector)["dropped"] == 0
