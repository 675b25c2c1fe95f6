"""Makes the folder of `edusec up`: a collector on loopback, the sample units and whitelist, one enrolled agent."""

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from edusec.client import Collector, Profile, load_profile
from edusec.demo.children import Child, run
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local.files import write_atomically
from probes.open_ports import DEFAULT_PORTS
from wire.faults import reason
from wire.installed import command_for

UNIT = "2164000001"
"""The sample school that the agent belongs to."""
USUAL_PORT = 8443
_TOKEN_SECONDS = 600
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """The folder and what lies in it."""

    folder: Path

    @property
    def collector(self) -> Path:
        """Data folder of the collector."""
        return self.folder / "collector"

    @property
    def operator(self) -> Path:
        """The operator profile, where other commands find it."""
        return self.folder / "operator.toml"

    @property
    def agent_config(self) -> Path:
        """Configuration of the agent."""
        return self.folder / "agent.toml"

    @property
    def agent_state(self) -> Path:
        """Identity, spool and policy of the agent."""
        return self.folder / "agent"

    def log(self, module: str) -> Path:
        """Log file of a child."""
        return self.folder / f"{module}.log"


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[Place]:
    """Hold the folder for this process alone; raises Stop when another `edusec up` does."""
    import fcntl

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stop(
            t(
                f"{folder}：{reason(error).zh}。请换一个目录：edusec up --data 目录",
                f"{folder}: {error.strerror}; choose another folder: edusec up --data DIR",
            ),
            ExitCode.PRIVILEGE,
        ) from None
    try:
        # The kernel lets go of this lock when its holder dies, so that it is never stale.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode("ascii", "replace").strip()
        os.close(handle)
        raise Stop(
            t(
                f"{folder} 正被另一个 edusec up 使用（进程 {holder}）；先停止它，或用 --data 另选目录",
                f"{folder} is in use by another edusec up (process {holder}); stop it first, or choose another --data",
            )
        ) from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield Place(folder)
    finally:
        os.close(handle)


def make_collector(place: Place, listen: str | None) -> Profile:
    """Make the collector's data folder unless it is there; gives the administrator's profile."""
    try:
        from collector.setup import init
    except ModuleNotFoundError as error:
        raise Stop(
            t(
                f"edusec up 需要采集中心的组件（缺 {error.name}）：{command_for('collector')}",
                f"edusec up needs the collector's parts ({error.name} is missing): {command_for('collector')}",
            )
        ) from None
    if place.operator.exists():
        profile = load_profile(place.operator)
        _require_same(profile, listen)
        return profile
    begun = (place.collector / "collector.toml").exists()  # by a run that was cut short: its addresses stay
    endpoints = [] if begun else _endpoints(listen)
    init(place.collector, endpoints, () if begun else ("127.0.0.1", "localhost", "::1"), lang=current())
    if not begun:
        with (place.collector / "collector.toml").open("a", encoding="ascii") as config:
            config.write('\n[scrape]\nports = "1024-65535"  # the agent takes any that is free\n')
    profile = load_profile(place.collector / "operator.toml")
    write_atomically(place.operator, (place.collector / "operator.toml").read_bytes())
    place.operator.chmod(0o600)
    return profile


def start_collector(place: Place, profile: Profile, pause: Callable[[float], None]) -> Child:
    """Start the collector and wait until it takes writes; `pause` waits for seconds, or raises to give up."""
    _require_free(profile)
    child = Child("collector", ("run", "--data", str(place.collector)), place.log("collector"))
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(profile):
            child.require_alive()
            if time.monotonic() > deadline:
                raise Stop(t("采集中心没有按时启动", "the collector did not start in time"), ExitCode.UNREACHABLE)
            pause(_LOOK_SECONDS)
    except BaseException:
        child.stop()
        raise
    return child


def register_samples(profile: Profile) -> None:
    """Import the sample units and whitelist into a collector that has no units yet."""
    with Collector(profile) as collector:
        if next(collector.items("/api/v1/units"), None) is not None:
            return
        sample = files("edusec") / "sample"
        collector.send_file("/api/v1/units/import", (sample / "units.csv").read_bytes(), filename="units.csv")
        collector.send_file(
            "/api/v1/whitelist/import", (sample / "whitelist.csv").read_bytes(), filename="whitelist.csv", unit=UNIT
        )


def enrol_agent(place: Place, profile: Profile) -> None:
    """Write the agent's configuration and enrol it, unless it has an identity already."""
    if not place.agent_config.exists():
        sample = (files("edusec") / "sample" / "agent.toml").read_text(encoding="utf-8")
        # Beside the usual ones, those that this demonstration itself opens: otherwise an empty machine shows nothing.
        metrics = _free_port()
        ports = ",".join((DEFAULT_PORTS, *map(str, (*_own_ports(profile), metrics))))
        text = Template(sample).substitute(
            state=place.agent_state, scope=place.folder / "scope.toml", metrics=metrics, ports=ports
        )
        write_atomically(place.agent_config, text.encode())
    if (place.agent_state / "identity.json").exists():
        return
    with Collector(profile) as collector:
        made = collector.post("/api/v1/enrolment-tokens", {"unit": UNIT, "ttl_seconds": _TOKEN_SECONDS})
    own = ("--config", str(place.agent_config), "--state", str(place.agent_state))
    # The token goes through standard input: a command line is for everyone on the machine to read.
    run("agent", ("enroll", "--collector", profile.url, "--token", "-", *own), said=made["token"] + "\n")


def start_agent(place: Place) -> Child:
    """Start the agent."""
    own = ("--config", str(place.agent_config), "--state", str(place.agent_state))
    return Child("agent", ("run", "--now", *own), place.log("agent"))


def _endpoints(listen: str | None) -> list[str]:
    if listen is not None:
        return [listen]
    hosts = ["127.0.0.1", "::1"] if _can_bind("::1", 0) else ["127.0.0.1"]
    ports = itertools.chain([USUAL_PORT], iter(_free_port, None))
    port = next(port for port in ports if _is_free(hosts, port))
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]


def _is_free(hosts: Sequence[str], port: int) -> bool:
    """Tell whether the port, and the one above it for the bandwidth responder, are free on every host."""
    return all(_can_bind(host, number) for host in hosts for number in (port, port + 1))


def _can_bind(host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _own_ports(profile: Profile) -> tuple[int, int]:
    port = urlsplit(profile.url).port or USUAL_PORT
    return port, port + 1


def _require_same(profile: Profile, listen: str | None) -> None:
    if listen is not None and listen.rpartition(":")[2] != str(urlsplit(profile.url).port):
        raise Stop(
            t(
                f"{profile.file} 里的采集中心在 {profile.url}；要换地址请用新的 --data 目录",
                f"the collector of {profile.file} is at {profile.url}; for another address use a new --data folder",
            )
        )


def _require_free(profile: Profile) -> None:
    parts = urlsplit(profile.url)
    host, port = parts.hostname or "127.0.0.1", parts.port or USUAL_PORT
    try:
        ip_address(host)
    except ValueError:
        return
    if not _can_bind(host, port):
        raise Stop(
            t(
                f"端口 {port} 已被占用。查看占用者：ss -ltnp 'sport = :{port}'；或另选目录：edusec up --data 目录",
                f"port {port} is taken. By whom: ss -ltnp 'sport = :{port}'; "
                "or choose another folder: edusec up --data DIR",
            )
        )


def _answers(profile: Profile) -> bool:
    try:
        with Collector(profile) as collector:
            collector.get("/healthz")
    except Stop as stop:
        if stop.code is ExitCode.UNREACHABLE:
            return False
        raise
    return True
