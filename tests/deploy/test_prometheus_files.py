"""The Prometheus files are valid, their alerts fire on their faults, and they name metrics that exist."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.languages import CHINESE, ENGLISH
from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "prometheus"

TEXTS = ("summary", "description")


@pytest.fixture
def promtool(needs: Callable[..., str]) -> Callable[..., None]:
    program = needs("promtool", package="prometheus")

    def run(*args: str) -> None:
        done = subprocess.run([program, *args], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_the_sample_configuration_is_valid(promtool: Callable[..., None]) -> None:
    # Syntax only: the token and the certificate that it names are the operator's.
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_the_alerting_rules_are_valid(promtool: Callable[..., None]) -> None:
    promtool("check", "rules", "edusec.rules.yml")


def test_each_alert_fires_on_its_fault_and_on_nothing_else(promtool: Callable[..., None]) -> None:
    promtool("test", "rules", "edusec.rules.test.yml")


def test_each_alert_has_both_tests_and_follows_the_convention() -> None:
    groups = yaml.safe_load((FOLDER / "edusec.rules.yml").read_text(encoding="utf-8"))["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    for name, rule in alerts.items():
        assert re.fullmatch(r"Edusec([A-Z][a-z]+)+", name)
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {*TEXTS, *(f"{key}_zh" for key in TEXTS)}
        zh = [
            re.sub(r"\{\{[^}]*\}\}|：(?:edusec|systemctl) [a-z- ]+", "", rule["annotations"][f"{key}_zh"])
            for key in TEXTS
        ]
        assert all(CHINESE.search(text) and not ENGLISH.search(text) for text in zh), name
        assert not any(CHINESE.search(rule["annotations"][key]) for key in TEXTS), name
    checks = [
        check
        for test in yaml.safe_load((FOLDER / "edusec.rules.test.yml").read_text(encoding="utf-8"))["tests"]
        for check in test["alert_rule_test"]
    ]
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == set(alerts)
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == set(alerts)


def test_alerts_use_metrics_that_are_documented() -> None:
    text = (ROOT / "docs" / "interfaces.md").read_text(encoding="utf-8")
    section = text[text.index("\n## Metrics") :].split("\n## ")[1]
    documented = set(re.findall(r"`(edusec_\w+)", section))
    used = set(re.findall(r"\bedusec_\w+", (FOLDER / "edusec.rules.yml").read_text(encoding="utf-8")))
    assert {name.removesuffix("_bucket") for name in used} - documented == set()


def test_the_files_refer_to_each_other() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert all(Path(FOLDER, name).is_file() for name in config["rule_files"])
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    rules = (FOLDER / "edusec.rules.yml").read_text(encoding="utf-8")
    assert set(re.findall(r'job="([^"]+)"', rules)) == jobs
