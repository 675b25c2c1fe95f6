"""A real Prometheus with the sample configuration finds, scrapes and judges a real collector and its agent."""

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.uplink.enrol import enrol
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until
from tests.support.real_collector import SCHOOL, RealCollector
from tests.support.repository import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SAMPLE = ROOT / "deploy" / "prometheus"


class Prometheus:
    """One Prometheus on loopback, asked over its own interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def targets(self) -> dict[str, dict[str, Any]]:
        return {target["labels"]["job"]: target for target in self.ask("targets")["activeTargets"]}

    def both_up(self) -> bool:
        try:
            found = self.targets()
        except OSError:
            return False
        return {job for job, target in found.items() if target["health"] == "up"} == {
            "edusec-collector",
            "edusec-agents",
        }

    def rules(self) -> dict[str, dict[str, Any]]:
        return {rule["name"]: rule for group in self.ask("rules")["groups"] for rule in group["rules"]}


def _configure(folder: Path, collector: RealCollector, nobody: int) -> Path:
    """Give the sample with this collector's address and files, in a hurry, and with no Alertmanager."""
    text = (SAMPLE / "prometheus.yml").read_text(encoding="utf-8")
    for sample, here in (
        ("collector.example:8443", f"127.0.0.1:{collector.port}"),
        ("/etc/prometheus/edusec", str(collector.data)),
        ("localhost:9093", f"127.0.0.1:{nobody}"),
        ("_interval: 60s", "_interval: 1s"),
        ("refresh_interval: 5m", "refresh_interval: 1s"),
    ):
        assert sample in text
        text = text.replace(sample, here)
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    shutil.copy(SAMPLE / "edusec.rules.yml", folder)
    return folder / "prometheus.yml"


@pytest.fixture
def prometheus(
    tmp_path: Path, process: Processes, free_port: Callable[..., int], needs: Callable[..., str]
) -> Prometheus:
    """Give a Prometheus beside a collector and one enrolled agent that lets itself be scraped."""
    program = needs("prometheus")
    collector = RealCollector(tmp_path / "collector", free_port(), process)
    collector.make()
    gateway = Gateway(tmp_path / "gateway", process)
    gateway.folder.mkdir()
    enrol(gateway.state, collector.url, collector.token())
    gateway.configure(metrics=f"127.0.0.1:{free_port()}")
    gateway.run("--now")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    port = free_port()
    process(
        [
            program,
            f"--config.file={_configure(folder, collector, free_port())}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        ready=port,
        cwd=folder,
    )
    return Prometheus(f"http://127.0.0.1:{port}")


def test_the_sample_finds_and_scrapes_collector_and_agent(prometheus: Prometheus) -> None:
    wait_until(prometheus.both_up, "collector and agent are scraped", seconds=90)
    agent = prometheus.targets()["edusec-agents"]
    assert agent["labels"].items() >= {"unit": SCHOOL, "unit_name": "示例小学", "county": "640104"}.items()
    assert {target["lastError"] for target in prometheus.targets().values()} == {""}
    # Each rule has been worked out on real samples, and a healthy pair raises nothing about itself.
    wait_until(
        lambda: {rule["health"] for rule in prometheus.rules().values()} == {"ok"},
        "every rule is evaluated",
        seconds=60,
    )
    sample = yaml.safe_load((SAMPLE / "edusec.rules.yml").read_text(encoding="utf-8"))
    rules = prometheus.rules()
    assert set(rules) == {rule["alert"] for group in sample["groups"] for rule in group["rules"]}
    findings = {"EdusecRedAlertsFiring", "EdusecOrangeAlertsFiring"}
    assert {name for name, rule in rules.items() if rule["state"] == "firing"} - findings == set()
    assert prometheus.ask("query?query=count(edusec_build_info)")["result"][0]["value"][1] == "2"
