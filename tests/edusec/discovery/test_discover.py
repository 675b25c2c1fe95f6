"""`edusec discover` as an operator meets it, in a namespace of its own."""

import csv
import io
import ipaddress
import json
import os
import re
import shlex
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


def test_the_addresses_of_a_device_are_one(netns: Namespaces, scope: Path, tmp_path: Path) -> None:
    here, maker, phone = netns(), netns(), netns()
    at = netns.lan(here, maker, phone)
    usable(here, maker, phone)
    maker.run(["ip", "link", "set", at[1].interface, "address", "00:16:3e:00:00:0a"])
    maker.run(["ip", "address", "add", "198.18.1.77/24", "dev", at[1].interface])
    usable(maker)
    file, networks = tmp_path / "found.csv", ("198.18.1.0/24", "2001:db8:1::/64")
    done = inside(here, *networks, "--json", "-o", str(file), scope=scope)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    devices = {line["device_id"]: line for line in lines if line["type"] == "device"}
    one, other = devices[str(at[1].v4.ip)], devices[str(at[2].v4.ip)]
    assert {str(at[1].v4.ip), "198.18.1.77", str(at[1].v6.ip)} <= {*one["addresses"]}
    assert (one["macs"], one["local_mac"], one["joined_by"]) == (["00:16:3e:00:00:0a"], False, ["mac"])
    assert {str(at[2].v4.ip), str(at[2].v6.ip)} <= {*other["addresses"]}
    assert (other["local_mac"], other["this_machine"]) == (True, False)
    assert [line["this_machine"] for line in devices.values()].count(True) == 1
    hosts = {line["address"]: line["device_id"] for line in lines if line["type"] == "host"}
    assert hosts == {address: ident for ident, line in devices.items() for address in line["addresses"]}
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert {row["address"]: row["device_id"] for row in rows} == hosts
    shown = inside(here, *networks, "--lang", "en", scope=scope)
    # Another run may hear the ports of the laboratory's switch too, or miss them: it counts what it shows.
    table = re.findall(r"^(\d*) .* (?:seen|reported) ", shown.stdout, re.MULTILINE)
    assert f"{sum(map(bool, table))} devices with {len(table)} addresses" in shown.stdout
    assert {place.v4.ip for place in at} <= {*map(ipaddress.ip_address, re.findall(r"198\.18\.1\.\d+", shown.stdout))}
    assert "(local): a MAC that the system made up" in shown.stdout


def test_the_maker_of_a_card_is_named_by_its_mac(netns: Namespaces, scope: Path, tmp_path: Path) -> None:
    here, camera, phone = netns(), netns(), netns()
    at = netns.lan(here, camera, phone)
    camera.run(["ip", "link", "set", at[1].interface, "address", "44:19:b6:00:00:0a"])
    phone.run(["ip", "link", "set", at[2].interface, "address", "46:19:b6:00:00:0a"])
    usable(here, camera, phone)
    own = tmp_path / "own.txt"
    own.write_text("4419B6 Hikvision\n4619B6 Nobody\n")
    assert edusec("data", "import", own).returncode == 0
    file = tmp_path / "found.jsonl"
    done = inside(here, "198.18.1.0/24", "--methods", "arp", "--lang", "en", "-o", str(file), scope=scope)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = [line for line in done.stdout.splitlines() if f" {at[1].v4.ip} " in line]
    assert "Hikvision (MAC)" in row
    assert "by nothing but the MAC prefix (list: own), confidence 0.5" in done.stdout
    assert "Nobody" not in done.stdout
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    makers = {line["address"]: line["maker"] for line in lines if line["type"] == "host"}
    assert makers[str(at[1].v4.ip)]["name"] == "Hikvision"
    assert makers[str(at[1].v4.ip)]["evidence"] == "mac_prefix"
    assert makers[str(at[2].v4.ip)] is None
    scanned = here.run(argv("scan", str(at[1].v4.ip), "--ports", "1", "--json", "--scope", scope), check=False)
    (found,) = [line for line in map(json.loads, scanned.stdout.splitlines()) if line["type"] == "host"]
    assert (found["mac"], found["maker"]) == ("44:19:b6:00:00:0a", makers[str(at[1].v4.ip)])
    again = here.run(argv("scan", "--last", "--format", "xml"))
    assert 'addr="44:19:B6:00:00:0A" addrtype="mac" vendor="Hikvision"' in again.stdout
    table = here.run(argv("scan", "--last", "--format", "csv")).stdout
    assert next(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"))))["maker"] == "Hikvision"


def test_a_dry_run_tells_each_way_of_asking_in_both_languages(netns: Namespaces, scope: Path) -> None:
    here, there = netns(), netns()
    at, _ = netns.link(here, there)
    usable(here, there)
    shown = inside(here, "--dry-run", "--lang", "en", scope=scope)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "253 addresses, 759 packets at most" in shown.stdout
    assert "one HTTP request each" in shown.stdout
    assert "Nothing was sent." in shown.stdout
    assert "没有发送" in inside(here, "--dry-run", "--lang", "zh", scope=scope).stdout
    words = ("198.18.1.0/28", "--methods", "arp", "--methods", "ssdp", "--dry-run", "--json")
    plain = json.loads(inside(here, *words, scope=scope).stdout)
    assert plain["schema"] == "edusec.discovery-preview/1"
    assert [(step["method"], step["interface"]) for step in plain["steps"]] == [
        ("arp", at.interface), ("ssdp", at.interface),
    ]  # fmt: skip


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


def test_the_commands_that_would_authorise_name_the_file_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "of the school.toml"
    file.touch(0o600)
    for verb in ("discover", "scan"):
        refused = edusec(verb, "192.0.2.0/30", "--scope", file, "--lang", "en")
        assert refused.returncode == 2, refused
        _, *words = shlex.split(refused.stderr.splitlines()[-1])
        assert words[-2:] == ["--scope", str(file)]
    asked = edusec("probe", "run", "udp_ports", "--targets", "192.0.2.1", "--scope", file)
    assert f"--until DATE --scope {shlex.quote(str(file))}" in asked.stdout, asked.stderr
    assert edusec(*words).returncode == 0  # as it was printed
    assert "192.0.2.0/30" in edusec("scope", "list", "--scope", file).stdout
