"""A real collector in a process of its own on loopback, for tests of what talks to one."""

import json
import ssl
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector import setup
from tests.support.processes import Processes, Running, wait_until

UNITS = """code,name,kind,parent,division_code
640000,宁夏回族自治区,province,,640000
640100,银川市,city,640000,640100
640104,兴庆区,county,640100,640104
2164000001,示例小学,school,640104,640104
"""
COUNTY = "640104"
SCHOOL = "2164000001"


@dataclass(slots=True)
class RealCollector:
    """One collector with its data folder and TOML of its own; it can be killed and started again."""

    data: Path
    port: int
    process: Processes
    settings: str = ""
    log: list[Running] = field(default_factory=list)

    def make(self) -> None:
        """Make the data folder and start, with one school in it."""
        setup.init(self.data, [f"127.0.0.1:{self.port}"], ["127.0.0.1"], lang="zh")
        with (self.data / "collector.toml").open("a", encoding="ascii") as config:
            config.write('\n[scrape]\nports = "1024-65535"\n')  # agents of tests take any that is free
            config.write(self.settings)
        self.start()
        self.send("/api/v1/units/import?filename=units.csv", UNITS.encode(), kind="text/csv")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, if it does not run, and wait until it takes writes."""
        if self.log and self.log[-1].returncode is None:
            return
        self.log.append(self.process([sys.executable, "-P", "-m", "collector", "run", "--data", self.data]))
        wait_until(self._answers, "the collector answers", seconds=60)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.log[-1].kill()

    def token(self, unit: str = SCHOOL) -> str:
        """Make an enrolment token."""
        made = self.send("/api/v1/enrolment-tokens", json.dumps({"unit": unit, "ttl_seconds": 600}).encode())
        return str(made["token"])

    def get(self, path: str) -> Any:
        """Ask as the administrator; gives the JSON."""
        return self._call(urllib.request.Request(self.url + path))

    def send(self, path: str, body: bytes, kind: str = "application/json") -> Any:
        """Post as the administrator; gives the JSON."""
        return self._call(urllib.request.Request(self.url + path, body, {"Content-Type": kind}, method="POST"))

    def numbers(self) -> list[str]:
        """Give the number of each measurement of the test probe `counting`."""
        found: Mapping[str, Any] = self.get("/api/v1/measurements?probe=counting&limit=10000")
        return [str(item["values"]["number"]) for item in found["items"]]

    def _call(self, request: urllib.request.Request) -> Any:
        profile = tomllib.loads((self.data / "operator.toml").read_text(encoding="utf-8"))
        request.add_header("Authorization", f"Bearer {profile['token']}")
        context = ssl.create_default_context(cafile=profile["ca"])
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                raw = answer.read()
                return json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{request.full_url}: {error.code} {error.read()!r}") from None

    def _answers(self) -> bool:
        assert self.log[-1].returncode is None, self.log[-1].stderr
        try:
            return bool(self.get("/healthz"))
        except (OSError, AssertionError):
            return False
