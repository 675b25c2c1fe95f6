"""The service files start what exists, with no more rights than the design allows."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.units import FOLDER, NAMES, service

OPENWRT = ROOT / "deploy" / "openwrt" / "edusec-agent.init"


@pytest.fixture(params=NAMES)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a unit whose program is one that exists here, because systemd looks whether it can be run."""
    name: str = request.param
    text = (FOLDER / name).read_text(encoding="utf-8")
    copy = tmp_path / name
    copy.write_text(re.sub(r"/opt/edusec/bin/\w+", sys.executable, text), encoding="utf-8")
    return copy


def _analyse(program: str, *args: str | Path) -> str:
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_understands_the_units(unit: Path, needs: Callable[..., str]) -> None:
    said = _analyse(needs("systemd-analyze", package="systemd"), "verify", unit)
    assert unit.name not in said, said


def test_the_units_expose_little(unit: Path, needs: Callable[..., str]) -> None:
    # 25 stands for 2.5 of 10; the same scale calls an unconfined service 9.6.
    _analyse(needs("systemd-analyze", package="systemd"), "security", "--offline=yes", "--threshold=25", unit)


def test_only_the_agent_may_send_raw_packets() -> None:
    agent, collector = (service(name) for name in NAMES)
    assert agent["AmbientCapabilities"] == agent["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert collector["AmbientCapabilities"] == collector["CapabilityBoundingSet"] == ""
    for settings in (agent, collector):
        assert settings["Type"] == "notify"
        assert int(settings["WatchdogSec"]) > 0
        assert settings["NoNewPrivileges"] == "yes"
        assert settings["ProtectSystem"] == "strict"
        assert settings["MemoryMax"]
        assert settings["User"] != "root"


def test_the_users_of_the_units_are_made() -> None:
    made = re.findall(r"^u (\S+)", (FOLDER / "edusec.sysusers").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(made) == sorted(service(name)["User"] for name in NAMES)


def test_state_lies_where_the_unit_may_write() -> None:
    for name, option in zip(NAMES, ("--state", "--data"), strict=True):
        settings = service(name)
        words = shlex.split(settings["ExecStart"])
        assert words[words.index(option) + 1] == f"/var/lib/{settings['StateDirectory']}"


def test_the_openwrt_script_is_valid_shell() -> None:
    _analyse("sh", "-n", OPENWRT)


def test_both_service_managers_start_the_agent_alike() -> None:
    unit_words = shlex.split(service("edusec-agent.service")["ExecStart"])[1:]
    command = re.search(r"procd_set_param command \S+ (.*)", OPENWRT.read_text(encoding="utf-8"))
    assert command
    script_words = shlex.split(command[1])
    options = [word for word in unit_words if word.startswith("-")]
    assert unit_words[:4] == script_words[:4] == ["-P", "-m", "agent", "run"]
    assert options == [word for word in script_words if word.startswith("-")]
