"""`edusec up` as a newcomer runs it: real collector, real agent, real probes, on loopback only."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.edusec.run_cli import Done, argv, edusec, json_lines
from tests.support.netns import Namespaces
from tests.support.processes import Processes, Running, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCHOOL = "2164000001"
RUNNING = r"Ctrl-C"


@pytest.fixture(scope="module")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """One `edusec up --once` in a fresh folder, and the folder."""
    data = tmp_path_factory.mktemp("up") / "data"
    return data, edusec("up", "--once", "--data", data, "--fail-on", "none", seconds=200)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in listed]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


def _who_names(data: Path) -> list[str]:
    """The command lines of all processes that were given a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in found if str(data) in line]


def _up(process: Processes, data: Path, *words: str) -> Running:
    return process(argv("up", "--data", data, *words), ready=RUNNING, seconds=200)


def test_a_first_round_fits_on_a_screen(first_round: tuple[Path, Done]) -> None:
    data, done = first_round
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 8 <= len(lines) <= 40
    said = {line.split("  ")[0] for line in lines}
    assert said >= {"collector", "agent", "scope", "probed", "not covered", "assets", "services", "whitelist", "IPv6"}
    assert said >= {"bandwidth", "alerts", "data", "next"}
    assert "https://127.0.0.1:" in done.stdout
    assert "示例小学" in done.stdout
    assert "bit/s down" in done.stdout
    assert "GB/T 22239-2019" in done.stdout
    assert str(data) in done.stdout
    assert "\x1b" not in done.stdout


def test_every_task_of_the_sample_ran(first_round: tuple[Path, Done]) -> None:
    _, done = first_round
    probed = next(line for line in done.stdout.splitlines() if line.startswith("probed"))
    for probe in ("host_vitals", "open_ports", "asset_whitelist", "ipv6_reachability", "bandwidth"):
        assert f"{probe} (" in probed
    for trouble in ("crashed", "timed out", "cannot run"):
        assert trouble not in probed


def test_a_second_round_continues_with_the_same_agent_speaks_chinese_and_findings_give_exit_code_1(
    first_round: tuple[Path, Done],
) -> None:
    data, _ = first_round
    before = json.loads((data / "agent" / "identity.json").read_text(encoding="utf-8"))
    done = edusec("up", "--once", "--data", data, "--fail-on", "blue", "--lang", "zh", "--quiet", seconds=200)
    # The sample whitelist does not hold the ports that the demonstration opens itself.
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads((data / "agent" / "identity.json").read_text(encoding="utf-8")) == before
    for word in ("采集中心", "授权范围", "仅本机", "未覆盖", "白名单外", "带宽", "告警", "接下来"):
        assert word in done.stdout
    assert len(done.stdout.splitlines()) <= 40


def test_secrets_are_for_their_owner_only(first_round: tuple[Path, Done]) -> None:
    data, done = first_round
    for name in ("operator.toml", "collector/ca.key", "collector/server.key", "agent/identity.json"):
        assert (data / name).stat().st_mode & 0o077 == 0
    assert data.stat().st_mode & 0o077 == 0
    token = (data / "operator.toml").read_text(encoding="utf-8").rpartition("token = ")[2].strip().strip('"')
    assert token not in done.stdout + done.stderr


def test_it_runs_until_told_to_stop_and_operators_can_work_with_it(
    first_round: tuple[Path, Done], process: Processes
) -> None:
    data, _ = first_round
    running = _up(process, data)
    children = _children(running.pid)
    assert len(children) == 2
    env = {"EDUSEC_HOME": str(data)}

    units = json_lines(edusec("unit", "list", "--json", env=env))
    assert [unit["code"] for unit in units] == ["640000", "640100", "640104", "2164000001", "3164000002"]
    (agent,) = json_lines(edusec("agent", "list", "--json", env=env))
    assert (agent["unit"], agent["state"]) == (SCHOOL, "active")
    # The neighbour table of this machine may name others, without a packet sent to them.
    assets = json_lines(edusec("asset", "list", "--json", env=env))
    (asset,) = [asset for asset in assets if "127.0.0.1" in asset["addresses"]]
    shown = json_lines(edusec("asset", "show", asset["id"], "--json", env=env))[0]
    assert {service["address"] for service in shown["services"]} >= {"127.0.0.1"}
    assert {proof["kind"] for proof in shown["evidence"]} >= {"agent"}
    assert json_lines(edusec("asset", "show", "127.0.0.1", "--json", env=env))[0]["id"] == asset["id"]
    news = json_lines(edusec("asset", "drift", "--kind", "new", "--json", env=env))
    assert all(line["schema"] == "edusec.drift/1" and line["what"] == "new" for line in news)
    alone = edusec("asset", "merge", asset["id"], asset["id"], "--reason", "x", env=env)
    assert (alone.returncode, "already" in alone.stderr) == (2, True)
    assert edusec("asset", "split", asset["id"], "--reason", "x", env=env).returncode == 2
    assert edusec("doctor", "--json", env=env).returncode == 0

    approval = ("--owner", "=王老师", "--reason", "x", "--approver", "y", "--unit", SCHOOL)
    for expires, standing in (("2099-12-31", "listed"), ("2026-01-01", "expired")):
        entry = ("host", "192.0.2.77", "--expires", expires, *approval)
        assert edusec("whitelist", "add", *entry, env=env).returncode == 0
        (line,) = [
            line for line in json_lines(edusec("whitelist", "list", "--json", env=env)) if line["value"] == "192.0.2.77"
        ]
        assert (line["standing"], line["owner"]) == (standing, "=王老师")
    refused = edusec("whitelist", "add", "port", "192.0.2.77", "--expires", "soon", *approval, env=env)
    assert refused.returncode == 2
    assert "add.csv" not in refused.stderr
    named = [line.partition(": ")[0] for line in refused.stderr.splitlines()[1:]]
    assert set(named) == {"--expires", "--ports"}

    alert = json_lines(edusec("alert", "list", "--rule", "unlisted-port", "--json", env=env))[0]
    acknowledged = edusec("alert", "ack", alert["id"], "--note", "已知", "--json", env=env)
    assert [(line["state"], line["note"]) for line in json_lines(acknowledged)] == [("acknowledged", "已知")]
    wait_until(lambda: "acknowledged" in running.stdout, "the change is shown as a line")

    second = edusec("up", "--data", data, "--once")
    assert second.returncode == 2
    assert str(running.pid) in second.stderr

    running.send(signal.SIGINT)
    assert running.wait() == 0
    assert all(_gone(child) for child in children)
    assert edusec("unit", "list", env=env).returncode == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_ends_it_in_good_order(
    first_round: tuple[Path, Done], process: Processes, number: signal.Signals
) -> None:
    running = _up(process, first_round[0])
    children = _children(running.pid)
    running.send(number)
    assert running.wait() == 0
    assert all(_gone(child) for child in children)


def test_children_end_with_a_killed_parent(first_round: tuple[Path, Done], process: Processes) -> None:
    running = _up(process, first_round[0])
    family = _children(running.pid)
    family += [grandchild for child in family for grandchild in _children(child)]
    running.send(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    wait_until(lambda: all(_gone(pid) for pid in family), "the children ended")
    # Nothing stale is left: the next one simply starts.
    assert edusec("up", "--once", "--data", first_round[0], "--fail-on", "none", seconds=200).returncode == 0


def test_a_dead_child_ends_it_and_says_why(first_round: tuple[Path, Done], process: Processes) -> None:
    running = _up(process, first_round[0])
    collector, agent = _children(running.pid)
    os.kill(agent, signal.SIGKILL)
    assert running.wait() == 3
    assert "agent.log" in running.stderr
    assert _gone(collector)


def test_a_taken_port_is_said_so(first_round: tuple[Path, Done]) -> None:
    data, _ = first_round
    url = next(line for line in (data / "operator.toml").read_text(encoding="utf-8").splitlines() if "url" in line)
    port = int(url.rstrip('"').rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        done = edusec("up", "--once", "--data", data)
    assert (done.returncode, done.stdout) == (2, "")
    assert f":{port}" in done.stderr


@pytest.mark.parametrize("said", ["starting the collector", "starting the agent", "waiting for"])
def test_ctrl_c_at_any_moment_goes_no_further_and_the_next_run_goes_on_from_there(
    process: Processes, tmp_path: Path, said: str
) -> None:
    data = tmp_path / "data"
    running = process(argv("up", "--once", "--data", data), ready=said, seconds=200)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
    assert running.wait() == 130
    assert running.stderr.endswith("\nstopping ...\n")
    assert running.stdout == ""
    assert _who_names(data) == []
    assert edusec("up", "--once", "--data", data, "--fail-on", "none", seconds=200).returncode == 0


@pytest.mark.parametrize("place", ["/proc/edusec", "/dev/null/edusec"])
def test_a_folder_that_cannot_be_made_is_said_so(place: str) -> None:
    done = edusec("up", "--once", "--data", place)
    assert done.returncode == 4
    assert place in done.stderr


def test_it_needs_no_network_but_loopback(netns: Namespaces, tmp_path: Path, free_port: Callable[..., int]) -> None:
    space = netns()
    words = argv("up", "--once", "--data", tmp_path / "data", "--listen", "127.0.0.1:9443", "--fail-on", "none")
    done = space.run(words, check=False, seconds=200)
    assert done.returncode == 0, done.stderr
    assert "https://127.0.0.1:9443" in done.stdout
    counters = space.run(["ip", "-j", "-s", "link"]).stdout
    assert [link["ifname"] for link in json.loads(counters)] == ["lo"]
