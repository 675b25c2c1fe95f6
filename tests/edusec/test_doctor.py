"""`edusec doctor`: what is wrong is found, and what mends it is said."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.process import tls
from tests.edusec.run_cli import Done, edusec, json_lines
from tests.support.processes import Processes
from tests.support.real_collector import RealCollector

TODAY = datetime.now(UTC).date()


def _lines(done: Done) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in json_lines(done):
        assert line["schema"] == "edusec.doctor/1"
        assert line["state"] in ("ok", "warn", "fail", "unknown")
        assert line["fix"] or line["state"] in ("ok", "unknown"), line
        found.setdefault(line["check"], []).append(line)
    return found


def _one(done: Done, check: str) -> dict[str, Any]:
    (line,) = _lines(done)[check]
    return line


def test_a_sound_machine_without_collector_has_no_failure() -> None:
    done = edusec("doctor", "--json")
    lines = _lines(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert {line["state"] for line in lines["packages"]} == {"ok"}
    assert _one(done, "collector")["state"] == "unknown"
    assert set(lines) >= {
        "python",
        "packages",
        "extra cli",
        "scope",
        "collector",
        "privileges",
        "ipv6",
        "disk",
        "limits",
    }


def test_lines_are_for_people_in_both_languages() -> None:
    chinese, english = edusec("doctor", "--lang", "zh").stdout, edusec("doctor").stdout
    assert "正常" in chinese
    assert "\nok " in english
    assert len(chinese.splitlines()) == len(english.splitlines())
    assert "→ edusec up" in english


def test_another_package_of_our_name_fails(tmp_path: Path) -> None:
    info = tmp_path / "rules-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rules\nVersion: 9.9\n")
    (info / "RECORD").write_text("rules/elsewhere.py,,\nrules-9.9.dist-info/METADATA,,\nrules-9.9.dist-info/RECORD,,\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "elsewhere.py").touch()  # from Python 3.12 on, files that are not there do not count
    done = edusec("doctor", "--json", env={"PYTHONPATH": str(tmp_path)})
    failed = [line for line in _lines(done)["packages"] if line["state"] == "fail"]
    assert done.returncode == 1
    assert [line["fix"] for line in failed] == [f"{sys.executable} -m pip uninstall rules"]


def test_a_room_from_elsewhere_fails(tmp_path: Path) -> None:
    (tmp_path / "collector").mkdir()
    (tmp_path / "collector" / "__init__.py").write_text("")
    done = edusec("doctor", "--json", env={"PYTHONPATH": str(tmp_path)})
    failed = [line for line in _lines(done)["packages"] if line["state"] == "fail"]
    assert done.returncode == 1
    assert str(tmp_path) in failed[0]["detail"]


def _scope_file(tmp_path: Path, until: str) -> Path:
    file = tmp_path / "scope.toml"
    file.write_text(f'[[entry]]\nvalue = "198.18.0.0/24"\nauthoriser = "a"\nreason = "b"\nuntil = {until}\n')
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("until", "state", "fix"),
    [
        (str(TODAY - timedelta(1)), "warn", "edusec scope remove 198.18.0.0/24"),
        (str(TODAY + timedelta(3)), "warn", "edusec scope add 198.18.0.0/24 "),
        (str(TODAY + timedelta(90)), "ok", ""),
        ('"tomorrow"', "fail", "chmod 600 "),
    ],
)
def test_the_dates_of_the_scope_are_checked(tmp_path: Path, until: str, state: str, fix: str) -> None:
    line = _one(edusec("doctor", "--json", env={"EDUSEC_SCOPE": str(_scope_file(tmp_path, until))}), "scope")
    assert line["state"] == state
    assert line["fix"].startswith(fix)


def test_the_fix_of_an_expired_entry_mends_it(tmp_path: Path) -> None:
    env = {"EDUSEC_SCOPE": str(_scope_file(tmp_path, str(TODAY - timedelta(1))))}
    fix = _one(edusec("doctor", "--json", env=env), "scope")["fix"].split()
    assert fix.pop(0) == "edusec"
    assert edusec(*fix, env=env).returncode == 0
    assert _one(edusec("doctor", "--json", env=env), "scope")["state"] == "ok"


def test_a_collector_that_is_not_there_fails_and_leaves_the_rest_unknown(
    tmp_path: Path, free_port: Callable[..., int]
) -> None:
    tls.make_ca(tmp_path / "ca.crt", tmp_path / "ca.key", datetime.now(UTC))
    profile = tmp_path / "operator.toml"
    profile.write_text(f'url = "https://127.0.0.1:{free_port()}"\nca = "ca.crt"\ntoken = "edp1.very-secret"\n')
    done = edusec("doctor", "--json", env={"EDUSEC_OPERATOR": str(profile)})
    assert done.returncode == 1
    assert _one(done, "collector")["state"] == "fail"
    assert _one(done, "collector")["fix"].startswith("edusec collector run")
    assert {_one(done, check)["state"] for check in ("collector disk", "certificate", "clock", "operator token")} == {
        "unknown"
    }
    assert "very-secret" not in done.stdout + done.stderr


def test_a_collector_whose_disk_is_nearly_full_fails(
    tmp_path: Path, process: Processes, free_port: Callable[..., int]
) -> None:
    collector = RealCollector(tmp_path / "collector", free_port(), process, f"[room]\nfree_bytes = {1 << 50}\n")
    collector.make()
    done = edusec("doctor", "--json", env={"EDUSEC_OPERATOR": str(collector.data / "operator.toml")})
    assert done.returncode == 1
    assert {_one(done, check)["state"] for check in ("collector", "operator token")} == {"ok"}
    assert _one(done, "collector disk")["state"] == "fail"
    assert "agents keep them" in _one(done, "collector disk")["detail"]


def test_a_broken_profile_fails(tmp_path: Path) -> None:
    profile = tmp_path / "operator.toml"
    profile.write_text("url = 5\n")
    done = edusec("doctor", "--json", env={"EDUSEC_OPERATOR": str(profile)})
    assert done.returncode == 1
    assert str(profile) in _one(done, "collector")["detail"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_noticed(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = edusec("doctor", "--json", env={"XDG_DATA_HOME": str(tmp_path / "share")})
    assert _one(done, "disk")["state"] == "warn"
    assert "EDUSEC_SCANS" in _one(done, "disk")["fix"]


def test_too_few_open_files_are_noticed() -> None:
    import resource
    import subprocess

    from tests.edusec.run_cli import argv

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    done = subprocess.run(
        argv("doctor", "--json"), capture_output=True, text=True, timeout=60, check=False, preexec_fn=few
    )
    assert _one(done, "limits") == {
        "schema": "edusec.doctor/1",
        "check": "limits",
        "state": "warn",
        "detail": "256 open files (at most 256)",
        "fix": "sudo prlimit --pid $$ --nofile=1024:1024",
    }


def _agent_config(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "agent.toml").write_text(text.format(state=tmp_path / "state"), encoding="utf-8")
    return {"EDUSEC_HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("text", "check", "fix"),
    [
        ("[agent]\nsurprise = 1\n", "agent config", "edusec agent check --config "),
        ('[agent]\nstate = "{state}"\n', "agent", "edusec agent enroll --config "),
    ],
)
def test_an_agent_that_cannot_work_fails(tmp_path: Path, text: str, check: str, fix: str) -> None:
    done = edusec("doctor", "--json", env=_agent_config(tmp_path, text))
    assert done.returncode == 1
    assert _one(done, check)["state"] == "fail"
    assert fix in _one(done, check)["fix"]
