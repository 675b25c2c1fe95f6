"""`edusec discover` as an operator meets it, in a namespace of its own."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.edusec.run_cli import argv, edusec
from tests.raw.lab import usable
from tests.support.netns import Namespace, Namespaces


def inside(space: Namespace, *words: str, scope: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*space.prefix, *argv("discover", *words, "--scope", scope)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
        env=dict(os.environ),
    )


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    file = tmp_path / "scope.toml"
    until = (datetime.now(UTC) + timedelta(days=9)).date()
    for value in ("198.18.1.0/24", "2001:db8:1::/64"):
        words = ["--authoriser", "tester", "--reason", "test", "--until", str(until)]
        assert edusec("scope", "add", value, *words, env={"EDUSEC_SCOPE": str(file)}).returncode == 0
    return file


def test_the_hosts_of_a_network(netns: Namespaces, scope: Path, tmp_path: Path) -> None:
    here, one, two = netns(), netns(), netns()
    at = netns.lan(here, one, two)
    usable(here, one, two)
    shown = inside(here, scope=scope)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for place in at:
        assert str(place.v4.ip) in shown.stdout
    assert f"covered {at[0].v4.network}" in shown.stdout
    file = tmp_path / "found.jsonl"
    done = inside(here, "2001:db8:1::/64", "--json", "-o", str(file), scope=scope)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == file.read_text(encoding="utf-8")
    run, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["schema"] for line in (run, *found)} == {"edusec.discovery/1"}
    assert (run["type"], run["status"], run["coverage"]) == ("run", "done", [])
    hosts = {line["address"]: line for line in found if line["type"] == "host"}
    for place in at[1:]:
        assert hosts[str(place.v6.ip)]["outcome"] == "seen"
        assert hosts[str(place.v6.ip)]["method"] == "nd"
    assert not [name for name in hosts if "." in name]  # that family was not asked for
    words = ("probe", "run", "discovery", "--targets", str(at[1].v4.ip), "--methods", "arp", "--json")
    ran = subprocess.run(
        [*here.prefix, *argv(*words, "--scope", scope)], capture_output=True, encoding="utf-8", timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert str(at[1].v4.ip) in ran.stdout
    assert str(at[2].v4.ip) not in ran.stdout


def test_what_is_outside_the_scope_or_no_target_is_refused(scope: Path) -> None:
    for words, said in (
        (["10.1.0.0/24"], "edusec scope add 10.1.0.0/24"),
        (["2001:db8:2::/64"], "edusec scope add 2001:db8:2::/64"),
        (["nonsense!"], "nonsense!"),
        (["127.0.0.1", "--methods", "shout"], "'shout' is not allowed"),
        (["127.0.0.1", "-o", "/no/such/folder/x"], "/no/such/folder"),
    ):
        done = edusec("discover", *words, "--scope", scope)
        assert done.returncode == 2, done
        assert said in done.stderr
