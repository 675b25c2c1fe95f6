"""The daemon as a process: it works, obeys, and ends in good order."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import state
from agent.uplink.enrol import enrol
from tests.support.fake_collector import UNIT, UNIT_NAME, FakeCollector, refuse
from tests.support.gateway import Gateway
from tests.support.processes import Processes, wait_until
from wire.types import Policy, Responder, RunStatus, Task

pytestmark = pytest.mark.usefixtures("hostile")

TASK = """
[[task]]
name = "{name}"
probe = "hostile"
interval = {interval}
options = {{ how = "{how}", file = "{file}" }}
"""
HEAVY = {"asyncio", "dns", "email", "hashlib", "http.client", "logging", "msgspec", "prometheus_client", "psutil"} | {
    *("pysnmp", "rich", "scapy", "sqlalchemy", "sqlite_utils", "ssl", "typer")
}
MAX_RSS = 25 << 20


def task(name: str = "calm", how: str = "calm", interval: float = 1, file: str = "") -> str:
    return TASK.format(name=name, how=how, interval=interval, file=file)


@pytest.fixture
def gateway(tmp_path: Path, process: Processes, collector: FakeCollector) -> Gateway:
    made = Gateway(tmp_path, process)
    enrol(made.state, collector.url, collector.authority.token)
    made.configure(task())
    return made


def test_it_probes_reports_and_ends(gateway: Gateway, collector: FakeCollector) -> None:
    agent = gateway.run()
    wait_until(lambda: any(item.body is None for item in collector.store.sections), "an unchanged section arrives")
    assert agent.terminate() == 0
    section = collector.store.sections[0]
    assert (section.name, section.probe, section.status) == ("calm", "hostile", RunStatus.DONE)
    assert section.body is not None
    report = collector.store.reports[0]
    assert [entry.value for entry in report.scope] == ["127.0.0.0/8", "::1/128"]
    assert report.software.startswith("edusec/")
    assert gateway.spooled(str) == []
    assert "Traceback" not in agent.stderr


def test_status_works_beside_it_and_without_it(gateway: Gateway, collector: FakeCollector) -> None:
    collector.store.policy = Policy("p1", UNIT, UNIT_NAME, 1, targets=("a.example",))
    agent = gateway.run()
    wait_until(
        lambda: bool(collector.store.reports) and collector.store.reports[-1].policy == "p1", "it has the policy"
    )
    found = gateway.status()
    assert found["pid"] == agent.pid
    assert found["policy"]["digest"] == "p1"
    assert found["policy"]["targets"] == 1
    assert found["uplink"]["problem"] is None
    assert found["tasks"][0]["last"]["status"] == "done"
    collector.stop()
    wait_until(lambda: bool(gateway.status()["uplink"]["problem"]), "the trouble is seen")
    agent.terminate()
    assert gateway.status()["pid"] is None
    files = {path.name for path in gateway.state.iterdir()}
    done = gateway.command("--lang", "zh", "status")
    assert {path.name for path in gateway.state.iterdir()} == files  # a look as root leaves no files of root
    assert UNIT_NAME in done.stdout
    assert "未运行" in done.stdout
    assert "连接被拒绝" in done.stdout


def test_two_agents_never_share_a_folder(gateway: Gateway) -> None:
    agent = gateway.run()
    second = gateway.command("run")
    assert second.returncode == 2
    assert f"process {agent.pid}" in second.stderr


def test_it_is_idle_small_and_imports_nothing_heavy(gateway: Gateway, collector: FakeCollector) -> None:
    code = """
import os, signal, sys, threading, time
from agent.__main__ import main
def look():
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    rss = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")][0]
    print(rss * 1024, *sorted(sys.modules), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=look).start()
sys.exit(main(sys.argv[2:]))
"""
    gateway.configure(task("often", interval=1) + task("seldom", "numbered", 2), metrics="127.0.0.1:0")
    now = gateway.folder / "now"
    ran = gateway.process([sys.executable, "-P", "-c", code, now, "run", "--config", gateway.config, "--now"])
    wait_until(lambda: len(collector.store.sections) >= 3, "sections arrive")
    now.touch()
    assert ran.wait() == 0, ran.stderr
    rss, *modules = ran.stdout.split()
    assert HEAVY & set(modules) == set()
    assert [name for name in modules if name.startswith("probes.") and not name.startswith("probes.kit")] == []
    assert int(rss) <= MAX_RSS


def test_metrics_of_a_working_agent(
    gateway: Gateway, collector: FakeCollector, needs: Callable[..., str], free_port: Callable[..., int]
) -> None:
    promtool = needs("promtool", package="prometheus")
    port = free_port()
    gateway.configure(task(), metrics=f"127.0.0.1:{port}")
    gateway.run(ready=port)
    wait_until(lambda: len(collector.store.sections) >= 1, "a section arrives")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'edusec_agent_probe_runs_total{task="calm",probe="hostile",status="done"}' in text
    assert "edusec_agent_spool_limit_bytes 67108864" in text
    wait_until(lambda: bool(collector.store.reports[-1].metrics_url), "its address is reported")
    assert collector.store.reports[-1].metrics_url == f"http://127.0.0.1:{port}/metrics"


def test_a_taken_metrics_port_does_not_stop_the_work(gateway: Gateway, collector: FakeCollector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway.configure(task(), metrics=f"127.0.0.1:{taken.getsockname()[1]}")
        agent = gateway.run()
        wait_until(lambda: len(collector.store.sections) >= 1, "a section arrives")
    assert "no metrics at" in agent.stderr


def test_a_reload_takes_new_tasks_and_refuses_bad_ones(gateway: Gateway, collector: FakeCollector) -> None:
    agent = gateway.run("--now")
    wait_until(lambda: "calm" in collector.store.names(), "the first task ran")
    gateway.configure(task("other"))
    agent.send(signal.SIGHUP)
    wait_until(lambda: "other" in collector.store.names(), "the new task ran")
    gateway.configure("colour = 1\n" + task("third", how="calm").replace("how =", "hwo ="))
    agent.send(signal.SIGHUP)
    wait_until(lambda: "the one before stays in force" in agent.stderr, "the fault is said")
    assert "agent.colour: is not known" in agent.stderr
    before = len(collector.store.sections)
    wait_until(lambda: len(collector.store.sections) > before, "it goes on as before")
    assert "third" not in collector.store.names()


def test_the_collectors_tasks_and_policy_are_taken_and_kept(gateway: Gateway, collector: FakeCollector) -> None:
    gateway.configure()
    collector.store.policy = Policy("p1", UNIT, UNIT_NAME, 1, tasks=(Task("handed", "hostile", 1, {"how": "telling"}),))
    agent = gateway.run()
    wait_until(lambda: "handed" in collector.store.names(), "the handed down task ran")
    section = next(item for item in collector.store.sections if item.name == "handed")
    assert section.body is not None
    assert section.body.observations[0].values["policy"] == UNIT
    wait_until(lambda: collector.store.reports[-1].policy == "p1", "it reports which policy it holds")
    agent.kill()
    collector.store.sections.clear()
    collector.store.policy = None
    gateway.run()
    wait_until(lambda: "handed" in collector.store.names(), "the policy is still in force")
    assert collector.store.reports[-1].policy == "p1"


def test_only_the_bandwidth_probe_may_reach_the_responder(gateway: Gateway, collector: FakeCollector) -> None:
    collector.store.policy = Policy("p1", UNIT, UNIT_NAME, 1, responder=Responder("127.0.0.1", 8444, "t"))
    gateway.configure(task("telling", "telling"))
    gateway.run()
    wait_until(lambda: "telling" in collector.store.names(), "it ran")
    section = next(item for item in collector.store.sections if item.name == "telling")
    assert section.body is not None
    assert section.body.observations[0].values["scope"] == ("127.0.0.0/8", "::1/128")


def test_once_makes_one_round_and_delivers(gateway: Gateway, collector: FakeCollector) -> None:
    gateway.configure(task("a", interval=3600) + task("b", "failing", 3600) + task("c", "unable", 3600), interval=None)
    agent = gateway.run("--once", ready=None)
    assert agent.wait() == 0
    assert sorted(collector.store.names()) == ["a", "b", "c"]
    assert "crashed: ValueError" in agent.stderr


def test_once_says_when_it_could_not_deliver(gateway: Gateway, collector: FakeCollector) -> None:
    collector.stop()
    agent = gateway.run("--once", ready=None)
    assert agent.wait() == 5
    assert len(gateway.spooled(str)) == 1


def test_a_stop_ends_the_probes_and_delivers_what_they_had(
    gateway: Gateway, collector: FakeCollector, tmp_path: Path
) -> None:
    place = tmp_path / "pid"
    gateway.configure(task("deaf", "deaf", 600, str(place)), interval=600)
    agent = gateway.run("--now")
    wait_until(lambda: place.exists() and bool(place.read_text()), "the probe runs")
    assert agent.terminate() == 0
    assert not Path("/proc", place.read_text()).exists()
    (section,) = collector.store.sections
    assert (section.status, section.reason) == (RunStatus.PARTIAL, "stopped")


def test_a_run_that_was_only_stopped_is_no_news(gateway: Gateway, collector: FakeCollector) -> None:
    gateway.configure(task("mute", "mute", 600), interval=600)
    agent = gateway.run("--now")
    wait_until(lambda: bool(collector.store.reports), "it is at work")
    agent.terminate()
    assert collector.store.sections == []


def test_a_killed_agent_leaves_no_process(gateway: Gateway, collector: FakeCollector, tmp_path: Path) -> None:
    place = tmp_path / "pids"
    gateway.configure(task("breeding", "breeding", 600, str(place)))
    agent = gateway.run("--now")
    wait_until(lambda: place.exists() and bool(place.read_text()), "the probe runs")
    agent.send(signal.SIGKILL)
    agent.wait()
    pids = [Path("/proc", pid) for pid in place.read_text().split()]
    wait_until(
        lambda: not any(pid.exists() and b"Z" not in (pid / "stat").read_bytes().rpartition(b")")[2] for pid in pids),
        "all have ended",
    )


def test_a_damaged_spool_is_no_crash_loop(gateway: Gateway, collector: FakeCollector) -> None:
    (gateway.state / state.SPOOL).write_bytes(os.urandom(50_000))
    agent = gateway.run()
    wait_until(lambda: len(collector.store.sections) >= 1, "a section arrives")
    assert agent.stderr.count("a new spool was begun") == 1


def test_a_spool_that_cannot_be_opened_is_waited_for(gateway: Gateway) -> None:
    (gateway.state / state.SPOOL).mkdir()
    agent = gateway.run(ready="the spool cannot be opened")
    assert agent.terminate() == 0


def test_a_refused_credential_is_said_and_nothing_is_lost(gateway: Gateway, collector: FakeCollector) -> None:
    collector.store.script.extend([lambda _: refuse(401, "unauthorised", "revoked")] * 50)
    agent = gateway.run("--now", ready="does not accept this agent's credential")
    wait_until(lambda: len(gateway.spooled(str)) >= 1, "it goes on observing")
    agent.terminate()
    assert len(gateway.spooled(str)) >= 1


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, tempfile.TemporaryDirectory() as folder:
        receiver.bind(f"{folder}/notify")
        receiver.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        yield receiver


def test_the_service_manager_is_kept_informed(
    gateway: Gateway, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    agent = gateway.run()
    _until(manager, "READY=1\nSTATUS=")
    _until(manager, "WATCHDOG=1")
    agent.send(signal.SIGHUP)
    _until(manager, "RELOADING=1")
    _until(manager, "READY=1")
    agent.send(signal.SIGTERM)
    _until(manager, "STOPPING=1")
    assert agent.wait() == 0


def _until(manager: socket.socket, start: str) -> None:
    while not manager.recv(1000).decode().startswith(start):
        pass


@pytest.mark.parametrize("words", [("run",), ("status",)])
def test_an_agent_without_identity_says_how_to_get_one(
    words: tuple[str, ...], tmp_path: Path, process: Processes
) -> None:
    gateway = Gateway(tmp_path, process)
    gateway.configure()
    done = gateway.command(*words)
    assert done.returncode == 2
    assert "edusec agent enroll --collector URL --token TOKEN" in done.stderr


def test_a_configuration_with_faults_starts_nothing(gateway: Gateway) -> None:
    gateway.configure(task(how="calm").replace("how =", "hwo ="))
    done = gateway.command("run")
    assert done.returncode == 2
    assert "task 1: options: hostile: 'hwo' is not an option" in done.stderr


def test_a_killed_agent_starts_again_at_once(gateway: Gateway, collector: FakeCollector) -> None:
    for _ in range(3):
        gateway.run().kill()
    agent = gateway.run()
    with contextlib.suppress(json.JSONDecodeError):
        assert gateway.status()["pid"] == agent.pid
    assert agent.terminate() == 0
