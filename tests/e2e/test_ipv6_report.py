"""From the lab's web and name servers to the report: an agent checks what was registered, and the levels stand after
three rounds.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.probes.ipv6.ipv6_lab import GATES, RESOLVER6, ROOT6, SCOPE, Lab
from tests.probes.ipv6.ipv6_sites import faults, start
from tests.support.netns import Namespaces
from tests.support.processes import Processes, Running, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
PATIENCE = 120
SCHOOL, COUNTY = "2132000101", "320102"
UNITS = f"""code,name,kind,parent,division_code
320000,江苏省,province,,320000
320100,南京市,city,320000,320100
{COUNTY},玄武区,county,320100,320102
{SCHOOL},示例小学,school,{COUNTY},320102
"""
REGISTER = """address,name,owner
https://www.good.test/,门户,张三
www.noaaaa.test,旧站,李四
www.links2.test,新闻,王五
"""
TASKS = """
[[task]]
name = "sites"
probe = "site_ipv6"
interval = 1
options = {{ {shared}, ca_file = "{ca}", page_rate = 500.0, workers = 3, tries = 3 }}

[[task]]
name = "zones"
probe = "zone_ipv6"
interval = 1
options = {{ {shared}, root_hints = ["{root}"] }}
"""


class Centre:
    """A collector and one agent, both at the lab's vantage point."""

    def __init__(self, lab: Lab, folder: Path, process: Processes) -> None:
        self.lab, self.folder, self.process = lab, folder, process
        self.env = {**os.environ, "EDUSEC_OPERATOR": str(folder / "collector" / "operator.toml"), "LC_ALL": "C.UTF-8"}

    def edusec(self, *words: str, lang: str = "en") -> Running:
        argv = [sys.executable, "-P", "-m", "edusec", "--lang", lang, *words]
        done = self.process(argv, netns=self.lab.agent, env=self.env)
        assert done.wait(seconds=PATIENCE) == 0, done.stderr
        return done

    def collector(self) -> None:
        data = str(self.folder / "collector")
        init = ["collector", "init", "--data", data, "--listen", "127.0.0.1:8443", "--name", "127.0.0.1"]
        self.edusec(*init)
        settings = Path(data, "collector.toml")
        settings.write_text(f"report_interval = 1\n{settings.read_text(encoding='utf-8')}", encoding="utf-8")
        argv = [sys.executable, "-P", "-m", "collector", "run", "--data", data]
        self.process(argv, netns=self.lab.agent, ready=r"edusec collector: https://")

    def agent(self) -> None:
        until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
        scope = str(self.folder / "scope.toml")
        for prefix in SCOPE:
            words = ("--authoriser", "a person", "--reason", "the lab", "--until", until, "--scope", scope)
            self.edusec("scope", "add", prefix, *words)
        gates = ", ".join(f'"[{gate}]:80"' for gate in GATES)
        shared = f'resolvers = ["{RESOLVER6}"], self_targets = [{gates}], timeout = 2.5'
        config = self.folder / "agent.toml"
        state = f'state = "{self.folder}/state"\nscope = "{scope}"\nmetrics = "off"\nreport_interval = 1\n'
        tasks = TASKS.format(shared=shared, ca=self.lab.folder / "ca.pem", root=ROOT6)
        config.write_text(f"[agent]\n{state}{tasks}", encoding="utf-8")
        token = self.edusec("agent", "token", "--unit", SCHOOL).stdout.strip()
        words = ("--collector", "https://127.0.0.1:8443", "--token", token, "--config", str(config))
        self.edusec("agent", "enroll", *words)
        argv = [sys.executable, "-P", "-m", "agent", "run", "--config", str(config)]
        self.process(argv, netns=self.lab.agent, env=self.env, ready="the agent works")

    def report(self, *words: str) -> dict[str, Any]:
        (line,) = self.edusec("ipv6", "report", "--json", "--unit", *(words or (COUNTY,))).stdout.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def centre(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> Centre:
    lab = Lab(netns, process, needs, tmp_path / "lab")
    start(lab, faults())
    made = Centre(lab, tmp_path, process)
    made.collector()
    (tmp_path / "units.csv").write_text(UNITS, encoding="utf-8")
    (tmp_path / "sites.csv").write_text(REGISTER, encoding="utf-8")
    made.edusec("unit", "import", str(tmp_path / "units.csv"))
    made.edusec("site", "import", str(tmp_path / "sites.csv"), "--unit", SCHOOL)
    made.agent()
    return made


def test_what_was_registered_is_checked_and_reported(centre: Centre, tmp_path: Path) -> None:
    wait_until(lambda: centre.report()["total"]["websites"]["unknown"] == 0, "all levels stand", seconds=PATIENCE)
    found = centre.report()
    assert [found["total"]["websites"][name] for name in ("passed", "total", "met")] == [1, 3, "no"]
    assert found["total"]["target"] == 0.9
    # No network is registered, so nobody can say that the school complies; its websites say that it does not.
    assert found["total"]["schools"] == {"passed": 0, "total": 1, "unknown": 0, "range": "0%", "met": "no"}
    assert found["coverage"]["reporting"]["passed"] == 1

    def of_this_week() -> int:
        weeks = centre.report(COUNTY, "--trend")["weeks"]
        return int(weeks[-1]["websites"]["passed"]) if weeks else 0

    wait_until(lambda: of_this_week() == 1, "the week is written", seconds=PATIENCE)
    assert found["forecast_estimate"][0]["websites"]["passed"] == 2
    listed = centre.edusec("ipv6", "report", "--unit", COUNTY, "--sites", lang="zh").stdout
    for words in ("1/3 33% 未达标", "本系统估算", "www.noaaaa.test"):
        assert words in listed
    file = tmp_path / "links.csv"
    centre.edusec("ipv6", "report", "--unit", COUNTY, "-o", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8-sig"))))
    assert {row["source page"] for row in rows} == {"www.noaaaa.test", "www.links2.test"}
    links = [row for row in rows if row["check"] == "WEB-L2"]
    assert links
    assert all(row["link URL"].startswith("http") and row["evidence"] and row["link level"] == "2" for row in links)
    (aaaa,) = (row for row in rows if row["check"] == "WEB-AAAA")
    assert (aaaa["AAAA record"], aaaa["registered"]) == ("no", "yes")
    assert aaaa["how to mend it"]
