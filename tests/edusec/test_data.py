"""`edusec data`: what an operator imports is kept, listed, used by a scan, and removed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.edusec.run_cli import edusec
from tests.support.processes import Processes

SERVER = """key = "http_header.server"
[[fingerprint]]
title = "School box"
pattern = '^SimpleHTTP/([0-9.]+)'
certainty = 0.99
says = { "service.product" = "School box", "service.version" = "{1}", "hw.device" = "printer" }
examples = [{ text = "SimpleHTTP/0.6", says = { "service.version" = "0.6" } }]
"""
RECOG = (
    '<fingerprints matches="ssh.banner"><fingerprint pattern="^A$"><description>A</description><example>A</example>'
    '</fingerprint><fingerprint pattern="^B("><description>B</description></fingerprint></fingerprints>'
)


def test_own_fingerprints_are_used_by_the_next_scan(
    tmp_path: Path, process: Processes, free_port: Callable[..., int]
) -> None:
    own = tmp_path / "school.toml"
    own.write_text(SERVER)
    done = edusec("data", "import", own)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(row["source"], row["fingerprints"]) for row in _fingerprints()[1:]] == [("school", 1)]
    port = free_port()
    process(["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", tmp_path], ready=port)
    lines = edusec("scan", "127.0.0.1", "--ports", str(port), "--json", "--quiet").stdout.splitlines()
    service = next(line for line in map(json.loads, lines) if line["type"] == "service")
    assert (service["product"], service["version"], service["device"]) == ("School box", "0.6", "printer")
    assert service["confidence"] == 0.99
    assert edusec("data", "remove", "school").returncode == 0
    assert len(_fingerprints()) == 1


def _fingerprints() -> list[dict[str, Any]]:
    """What is listed, without lists of MAC prefixes that packages brought to this machine."""
    listed = [json.loads(line) for line in edusec("data", "list", "--json").stdout.splitlines()]
    return [row for row in listed if row["fingerprints"]]


def test_what_cannot_be_used_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "ssh.xml").write_text(RECOG)
    done = edusec("data", "import", tmp_path)
    assert done.returncode == 3
    assert "ssh.xml: fingerprint 2 (B): " in done.stderr
    assert "1" in done.stdout


def test_a_file_of_another_kind_changes_nothing(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello\n")
    done = edusec("data", "import", other)
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    missing = edusec("data", "import", tmp_path / "nowhere")
    assert missing.returncode == 2
    assert len(_fingerprints()) == 1


def test_mac_prefixes_are_imported_listed_and_removed(tmp_path: Path) -> None:
    own = tmp_path / "cameras.txt"
    own.write_text("44:19:b6\tHikvision \x1b[2J\u202e\n525400\tQEMU\n")
    done = edusec("data", "import", own)
    assert (done.returncode, done.stderr) == (0, "")
    assert "imported 1 MAC prefixes, left out 1 that name no maker" in done.stdout
    listed = {row["source"]: row for row in map(json.loads, edusec("data", "list", "--json").stdout.splitlines())}
    assert (listed["cameras"]["prefixes"], listed["cameras"]["fingerprints"]) == (1, 0)
    assert listed["edusec"]["prefixes"] == 0
    own.write_text("44:19:b6\tOther\nZZ\tHikvision\n")
    broken = edusec("data", "import", own)
    assert broken.returncode == 2
    assert "cameras.txt:2:prefix: must be 2 to 12 hex digits, not 'ZZ'" in broken.stderr
    (kept,) = Path(listed["cameras"]["file"]).parent.iterdir()
    assert kept.read_text() == "4419B6\tHikvision \x1b[2J\u202e\n"
    assert edusec("data", "remove", "cameras").returncode == 0
    assert "cameras" not in edusec("data", "list", "--json").stdout


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/usr/share/ieee-data/mam.csv", "ieee-data"),
        ("/usr/share/ieee-data/oui36.txt", "ieee-data"),
        ("/usr/share/arp-scan/ieee-oui.txt", "arp-scan"),
        ("/usr/share/nmap/nmap-mac-prefixes", "nmap"),
    ],
)
def test_the_files_that_packages_bring_are_imported(path: str, package: str) -> None:
    if not Path(path).is_file():
        pytest.skip(f"needs {path}: apt-get install {package}")
    done = edusec("data", "import", path)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [json.loads(line) for line in edusec("data", "list", "--json").stdout.splitlines()]
    assert any(row["source"] == Path(path).stem and row["prefixes"] > 4000 for row in listed)
    used = [row for row in listed if row["file"].startswith("/usr/share/")]
    assert [row["prefixes"] > 30_000 for row in used] == [True]  # one list that some package brought, as it is
