"""A real collector on loopback and small clients for it: what the tests of this folder knock at."""

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from collector import setup
from tests.support.processes import Processes, Running
from wire.codec import compress, decode, encode
from wire.digest import section_digest
from wire.types import (
    Answer,
    Body,
    Coverage,
    Enrolment,
    EnrolmentRequest,
    Observation,
    Outcome,
    Refusal,
    Report,
    RunStatus,
    Section,
    SectionKind,
    Target,
    TargetKind,
    Transport,
)

PATIENCE = 60
UNITS = """code,name,parent
640000,宁夏回族自治区,
640100,银川市,640000
640104,兴庆区,640100
640106,金凤区,640100
3464000001,兴庆区第一中学,640104
3464000002,兴庆区第二小学,640104
3464000003,金凤区第三中学,640106
"""
SCHOOL, SECOND_SCHOOL, OTHER_COUNTY_SCHOOL = "3464000001", "3464000002", "3464000003"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def refusal(self) -> Refusal:
        """The body as a refusal; fails when it is none."""
        return decode(Refusal, self.body)


@dataclass
class Door:
    """A collector that runs, with its data folder."""

    data: Path
    running: Running
    processes: Processes
    tries: int = 1
    """How often to ask one that is impatient, and may hang up on a busy machine before it was asked."""
    ca: Path = field(init=False)

    def __post_init__(self) -> None:
        """Find the CA."""
        self.ca = self.data / "ca.crt"

    @property
    def url(self) -> str:
        """Where it listens."""
        return (self.data / "addresses").read_text(encoding="ascii").strip()

    @property
    def port(self) -> int:
        """The port of that."""
        return int(self.url.rpartition(":")[2])

    @property
    def admin(self) -> str:
        """The first administrator's token."""
        return str(tomllib.loads((self.data / "operator.toml").read_text(encoding="utf-8"))["token"])

    @property
    def scraper(self) -> str:
        """The scrape token."""
        return (self.data / "scrape.token").read_text(encoding="ascii").strip()

    @property
    def log(self) -> str:
        """What it logged."""
        return self.running.stderr

    def line(self) -> ssl.SSLSocket:
        """A TLS connection, for those who speak HTTP by hand."""
        context = ssl.create_default_context(cafile=self.ca)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname="localhost")

    def connection(self) -> http.client.HTTPSConnection:
        """An HTTP connection that may carry many requests."""
        context = ssl.create_default_context(cafile=self.ca)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=context)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Any = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPSConnection | None = None,
    ) -> Heard:
        """Exchange one request; a body that is not bytes travels as JSON."""
        given = dict(headers or {})
        if token:
            given["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        if connection is not None:
            return _exchange(connection, method, path, body, given)
        for left in reversed(range(self.tries)):
            with contextlib.closing(self.connection()) as line:
                try:
                    return _exchange(line, method, path, body, given)
                except (OSError, http.client.HTTPException):
                    if not left:
                        raise
        raise AssertionError("it is tried once at least")

    def get(self, path: str, token: str | None = None) -> Any:
        """Read JSON as the administrator, or as someone else."""
        heard = self.ask("GET", path, token=self.admin if token is None else token)
        assert heard.status == 200, heard
        return heard.json()

    def send_file(self, path: str, content: bytes | str, token: str | None = None) -> Heard:
        """Send the bytes of a file."""
        raw = content.encode() if isinstance(content, str) else content
        kind = {"Content-Type": "application/octet-stream"}
        return self.ask("POST", path, raw, token=self.admin if token is None else token, headers=kind)

    def plant(self) -> None:
        """Import the sample tree."""
        heard = self.send_file("/api/v1/units/import?filename=units.csv", UNITS)
        assert heard.status == 200, heard

    def token(self, unit: str = SCHOOL, token: str | None = None, ttl: float = 3600) -> str:
        """Make an enrolment token."""
        heard = self.ask(
            "POST",
            "/api/v1/enrolment-tokens",
            {"unit": unit, "ttl_seconds": ttl},
            token=self.admin if token is None else token,
        )
        assert heard.status == 201, heard
        return str(heard.json()["token"])

    def spend(self, secret: str, name: str = "gateway") -> Heard:
        """Try to enrol with the secret part of a token."""
        request = EnrolmentRequest(secret, name, "test")
        return self.ask("POST", "/api/v1/enrol", encode(request), headers={"Content-Type": "application/json"})

    def enrol(self, unit: str = SCHOOL) -> "Gateway":
        """Enrol an agent."""
        heard = self.spend(self.token(unit).split(".")[1])
        assert heard.status == 200, heard
        enrolment = decode(Enrolment, heard.body)
        return Gateway(self, enrolment.agent, enrolment.credential)

    def add_people(self, *people: tuple[str, str]) -> list[str]:
        """Stop it, add people by role and unit, start it again; give their tokens."""
        self.running.terminate()
        tokens = []
        for role, unit in people:
            profile = self.data.parent / f"{role}-{unit}.toml"
            setup.add_person(self.data, f"{role} {unit}", role, unit, profile)
            tokens.append(str(tomllib.loads(profile.read_text(encoding="utf-8"))["token"]))
        self.restart()
        return tokens

    def restart(self) -> None:
        """Start it again after its end, at another port."""
        self.running = start_collector(self.processes, self.data)


def _exchange(
    line: http.client.HTTPSConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> Heard:
    line.request(method, path, body, dict(headers))
    answer = line.getresponse()
    content = answer.read()
    return Heard(answer.status, {key.lower(): value for key, value in answer.getheaders()}, content)


@dataclass
class Gateway:
    """An enrolled agent, played by the test."""

    door: Door
    agent: str
    credential: str
    spool: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: int = 0

    def report(self, *sections: Section, sequence: int | None = None, **changed: Any) -> Report:
        """Make the next report."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        parts: dict[str, Any] = {
            "agent": self.agent,
            "spool": self.spool,
            "sequence": sequence,
            "batch": secrets.token_hex(8),
            "created": time.time(),
            "software": "test",
            "sections": sections or (ports(),),
        }
        return Report(**(parts | changed))

    def send(self, report: Report | bytes, connection: http.client.HTTPSConnection | None = None) -> Heard:
        """Send a report, or bytes that pretend to be one."""
        body = report if isinstance(report, bytes) else compress(encode(report))
        kind = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return self.door.ask(
            "POST", "/api/v1/reports", body, token=self.credential, headers=kind, connection=connection
        )

    def sent(self, *sections: Section, **changed: Any) -> Answer:
        """Send a report that must be accepted."""
        heard = self.send(self.report(*sections, **changed))
        assert heard.status == 200, heard
        return decode(Answer, heard.body)


def ports(*open_ports: int, address: str = "192.0.2.10", name: str = "ports", when: float | None = None) -> Section:
    """A covering scan of one address that found these ports open."""
    now = time.time() if when is None else when
    seen = tuple(
        Observation(
            "open_ports", "connect", Target(TargetKind.SERVICE, address, port, Transport.TCP), Outcome.OPEN, now
        )
        for port in open_ports or (22, 80)
    )
    body = Body(seen, (Coverage((f"{address}/32",), 4, "1-1024", Transport.TCP),))
    digest = section_digest("open_ports", RunStatus.DONE, "", body)
    return Section(name, "open_ports", SectionKind.STATE, RunStatus.DONE, digest, now - 1, now, "", body)


def sample(value: float, when: float | None = None, name: str = "speed") -> Section:
    """One measurement."""
    now = time.time() if when is None else when
    seen = Observation(
        "bandwidth",
        "tcp",
        Target(TargetKind.HOST, "collector"),
        Outcome.MEASURED,
        now,
        {"download_bps": value},
    )
    body = Body((seen,))
    digest = section_digest("bandwidth", RunStatus.DONE, "", body)
    return Section(name, "bandwidth", SectionKind.MEASUREMENT, RunStatus.DONE, digest, now - 1, now, "", body)


def collector_command(*arguments: str | Path) -> list[str | Path]:
    """The collector's own door, with the interpreter of the tests."""
    return [sys.executable, "-P", "-m", "collector", *arguments]


def init_collector(data: Path, settings: str = "", tables: str = "") -> None:
    """Make a data folder that listens on a free port of loopback; `settings` and `tables` go into its configuration."""
    setup.init(data, ["127.0.0.1:0"], [], lang="en")
    file = data / "collector.toml"
    file.write_text(f"{settings}\n{file.read_text(encoding='utf-8')}\n{tables}\n", encoding="utf-8")


@contextlib.contextmanager
def running_door(folders: pytest.TempPathFactory, tables: str = "") -> Iterator[Door]:
    """A collector with the sample tree, for tests that share one."""
    processes = Processes(folders.mktemp("processes"))
    data = folders.mktemp("shared") / "data"
    try:
        init_collector(data, tables=tables)
        door = Door(data, start_collector(processes, data), processes)
        door.plant()
        yield door
    finally:
        processes.close()


def start_collector(processes: Processes, data: Path) -> Running:
    """Run a collector until it listens."""
    return processes(collector_command("run", "--data", data), ready=r"edusec collector: https://")
