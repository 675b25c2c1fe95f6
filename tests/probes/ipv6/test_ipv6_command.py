"""`edusec ipv6 check` as an operator meets it, on any machine: nothing here leaves this machine."""

import json
from pathlib import Path

import pytest

from probes.kit.ipv6.catalogue.checks import CATALOGUE
from probes.kit.ipv6.site.judge import V6_CHECKS
from probes.kit.ipv6.traffic.counted import TRF_CHECKS
from probes.kit.ipv6.vantage.judge import LOOK_OUT, NET_CHECKS
from probes.kit.ipv6.zone.judge import ZONE_CHECKS
from tests.edusec.run_cli import edusec, json_lines
from tests.edusec.test_client import Server

SITE = "www.school.test"


def test_without_proof_of_its_own_ipv6_everything_is_unknown(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = edusec("ipv6", "check", SITE, "--json", "-o", out, "--resolvers", "127.0.0.1")
    assert done.returncode == 3, done.stderr
    lines = json_lines(done)
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == lines
    assert {line["schema"] for line in lines} == {"edusec.ipv6/1"}
    sites = [line for line in lines if line["type"] == "check" and line["target"] == SITE]
    assert [line["id"] for line in sites] == [name for name in CATALOGUE if name in {*V6_CHECKS, *ZONE_CHECKS}]
    assert {line["id"] for line in sites} == {*V6_CHECKS, *ZONE_CHECKS}
    assert {line["verdict"] for line in sites} == {"unknown"}
    level = next(line for line in lines if line["type"] == "level")
    assert (level["confirmed"], level["possible"]) == (0, 4)


@pytest.mark.parametrize(("lang", "words"), [("zh", ("未知", "等级")), ("en", ("unknown", "level"))])
def test_the_table_speaks_both_languages(lang: str, words: tuple[str, ...]) -> None:
    done = edusec("ipv6", "check", SITE, "--no-zone", "--lang", lang)
    assert done.returncode == 3
    assert all(word in done.stdout for word in words)
    assert "DNS-" not in done.stdout


def test_targets_that_three_closed_doors_prove_but_no_scope_allows(tmp_path: Path) -> None:
    gates = [word for number in (1, 2, 3) for word in ("--self-targets", f"[3000::{number}]:443")]
    done = edusec("ipv6", "check", SITE, "--json", "--no-zone", "--resolvers", "127.0.0.1", *gates)
    lines = json_lines(done)
    assert done.returncode == 3
    assert any("edusec scope add 3000::1" in line.get("reason", "") for line in lines)
    assert not any(line.get("verdict") in ("pass", "fail") for line in lines)


def test_a_file_of_sites_with_a_fault_names_its_line(tmp_path: Path) -> None:
    sites = tmp_path / "sites.txt"
    sites.write_text("# ours\nwww.school.test\n\nftp://school.test/  # no\n", encoding="utf-8")
    done = edusec("ipv6", "check", "--file", sites)
    assert done.returncode == 2
    assert f"{sites}:4: " in done.stderr
    sites.write_bytes(b"\xff\xfe\x00")
    assert edusec("ipv6", "check", "--file", sites).returncode == 2


def test_bad_words_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    for words in (
        [],
        [SITE, "--self-targets", "198.18.0.1"],
        [SITE, "--root-hint", "198.18.0.1"],
        [SITE, "--ports", "99999"],
        [SITE, "--tries", "1000"],
    ):
        done = edusec("ipv6", "check", *words)
        assert done.returncode == 2, words
        assert done.stdout == ""
    done = edusec("ipv6", "check", SITE, "--ca-file", tmp_path / "none.pem", "--no-zone")
    assert done.returncode == 3
    assert "none.pem" in done.stdout


def test_registered_sites_come_from_the_collector(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        listed = [("website", "www.a.test"), ("network", "10.1.0.0/16"), ("system", "www.b.test")]
        items = [{"kind": kind, "address": address} for kind, address in listed]
        server.answers = [(200, json.dumps({"items": items, "cursor": None}).encode())]
        done = server.run("ipv6", "check", "--registered", "--unit", "640104", "--no-zone", "--json")
    finally:
        server.close()
    assert done.returncode == 3, done.stderr
    assert [line["target"] for line in json_lines(done) if line["type"] == "level"] == ["www.a.test", "www.b.test"]
    assert server.asked == ["GET /api/v1/register?under=640104&limit=500 Bearer edp1.very-secret"]


def test_local_says_what_to_set_and_that_it_could_not_judge() -> None:
    done = edusec("ipv6", "local", "--json", "--no-lan", "--resolvers", "127.0.0.1", "--nft-file", "/nonexistent")
    assert done.returncode in (1, 3), done.stderr  # 1 where this machine lacks an address or a route
    lines = {line["id"]: line for line in json_lines(done) if line["type"] == "check"}
    assert tuple(lines) == (*NET_CHECKS, *TRF_CHECKS)
    assert lines["NET-SELF"]["code"] == "no_gate_targets"
    assert {lines[name]["verdict"] for name in LOOK_OUT} == {"unknown"}
    assert all(line["fix"]["zh"] and line["fix"]["en"] for line in lines.values() if line["verdict"] != "pass")


@pytest.mark.parametrize(("lang", "words"), [("zh", ("NET-SELF", "未知")), ("en", ("NET-SELF", "unknown"))])
def test_local_speaks_both_languages(lang: str, words: tuple[str, ...]) -> None:
    done = edusec("ipv6", "local", "--no-lan", "--no-traffic", "--lang", lang, "--resolvers", "127.0.0.1")
    assert done.returncode in (1, 3)
    assert all(word in done.stdout for word in words)
    assert "TRF-" not in done.stdout


def test_local_refuses_bad_words() -> None:
    for words in (["--firewall-hosts", "a=b"], ["--delegated", "10.0.0.0/8"], ["--self-targets", "198.18.0.1"]):
        done = edusec("ipv6", "local", *words)
        assert done.returncode == 2, words
        assert done.stdout == ""
