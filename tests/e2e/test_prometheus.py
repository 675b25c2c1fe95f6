"""A real Prometheus finds the agent and the collector by HTTP service discovery, and scrapes both."""

import json
import re
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.uplink.enrol import enrol
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until
from tests.support.real_collector import SCHOOL, RealCollector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def collector(tmp_path: Path, process: Processes, free_port: Callable[..., int]) -> RealCollector:
    made = RealCollector(tmp_path / "collector", free_port(), process)
    made.make()
    return made


@pytest.fixture
def gateway(tmp_path: Path, process: Processes, free_port: Callable[..., int], collector: RealCollector) -> Gateway:
    """An agent that shows its metrics on loopback and reports them to the collector."""
    made = Gateway(tmp_path, process)
    enrol(made.state, collector.url, collector.token())
    made.configure(
        '[[task]]\nname = "vitals"\nprobe = "host_vitals"\ninterval = 5\n', metrics=f"127.0.0.1:{free_port()}"
    )
    made.run("--now")
    wait_until(lambda: bool(_told(collector)), "the agent reported its metrics address")
    return made


def _told(collector: RealCollector) -> str:
    (agent,) = collector.get("/api/v1/agents")["items"]
    return str(agent["metrics_url"])


def _scraped(collector: RealCollector) -> str:
    """What the collector shows to Prometheus."""
    token = (collector.data / "scrape.token").read_text(encoding="ascii").strip()
    request = urllib.request.Request(f"{collector.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=collector.data / "ca.crt")
    with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
        return str(answer.read().decode())


def _documented(collector: RealCollector) -> str:
    """The configuration of the documentation, with this collector's address and files."""
    (text,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    assert text.count("https://collector.example.edu.cn:8443") == 2
    text = text.replace("https://collector.example.edu.cn:8443", collector.url)
    text = text.replace("/etc/prometheus/edusec", str(collector.data))
    text = text.replace("      - url:", "      - refresh_interval: 1s\n        url:")
    return f"global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n{text}"


def test_prometheus_scrapes_what_the_collector_tells_it(
    tmp_path: Path,
    process: Processes,
    free_port: Callable[..., int],
    needs: Callable[..., str],
    collector: RealCollector,
    gateway: Gateway,
) -> None:
    program, promtool = needs("prometheus"), needs("promtool", package="prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text(_documented(collector), encoding="utf-8")
    checked = subprocess.run(
        [promtool, "check", "config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    port = free_port()
    process(
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        ready="Server is ready to receive web requests",
    )

    def query(expression: str) -> list[Any]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return list(json.load(answer)["data"]["result"])

    def answered(expression: str, count: int) -> list[Any]:
        """Wait until there are so many results at once: on a busy machine a scrape may come too late and leave none."""
        found: list[Any] = []

        def enough() -> bool:
            found[:] = query(expression)
            return len(found) == count

        wait_until(enough, expression, seconds=90)
        return found

    labels = {result["metric"]["role"]: result["metric"] for result in answered("up == 1", 2)}
    (known,) = collector.get("/api/v1/agents")["items"]
    assert {key: labels["agent"][key] for key in ("unit", "unit_name", "county", "county_name", "agent")} == {
        "unit": SCHOOL,
        "unit_name": "示例小学",
        "county": "640104",
        "county_name": "兴庆区",
        "agent": known["id"],
    }
    assert labels["agent"]["job"] == "edusec-agents"
    assert labels["collector"]["job"] == "edusec-collector"
    assert labels["collector"]["instance"] == collector.url.removeprefix("https://")
    answered('edusec_collector_reports_total{result="accepted"} > 0', 1)
    assert answered("edusec_agent_spool_bytes", 1)[0]["metric"]["county_name"] == "兴庆区"
    answered('edusec_collector_agents{state="active"} == 1', 1)


def test_promtool_finds_nothing_wrong_with_either(
    collector: RealCollector, gateway: Gateway, needs: Callable[..., str]
) -> None:
    promtool = needs("promtool", package="prometheus")
    with urllib.request.urlopen(_told(collector), timeout=30) as answer:
        of_agent = answer.read().decode()
    for text, own in ((_scraped(collector), "edusec_collector_"), (of_agent, "edusec_agent_")):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        assert own in text


def test_the_collector_shows_every_documented_metric(collector: RealCollector, gateway: Gateway) -> None:
    text = (OPERATIONS.parent / "interfaces.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(edusec_(?:collector|build)_[a-z0-9_]+)", text))
    assert len(documented) >= 12
    shown = set(re.findall(r"^# TYPE (edusec_\S+) ", _scraped(collector), re.MULTILINE))
    assert shown == documented
