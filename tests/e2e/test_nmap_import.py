"""`edusec asset import`: what a real nmap wrote goes through a real collector into the inventory, over CLI and HTTP."""

import json
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.edusec.run_cli import Done, edusec, json_lines
from tests.support.netns import Namespaces
from tests.support.processes import Processes
from tests.support.real_collector import SCHOOL, RealCollector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def scan(netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path) -> Path:
    """What nmap wrote of a host with a web server, closed ports, ports that drop, and UDP ports that say nothing."""
    nmap = needs("nmap", package="nmap")
    needs("nft", package="nftables")
    here, there = netns(), netns()
    _, theirs = netns.link(here, there)
    process([sys.executable, "-m", "http.server", "8080"], netns=there, ready=8080)
    there.run(["nft", ("add table inet w; add chain inet w in { type filter hook input priority 0; "
                       "tcp dport 9000-9004 drop; udp dport 9053-9055 drop; }")])  # fmt: skip
    file = tmp_path / "学校.xml"
    words = [nmap, "-n", "-T5", "--max-retries", "1", str(theirs.v4.ip)]
    here.run([*words, "-sS", "-p", "8078-8084,9000-9004", "-oX", str(file)])
    here.run([*words, "-sU", "-p", "9053-9056", "-oX", str(tmp_path / "udp.xml")])
    return file


@pytest.fixture
def plain(needs: Callable[..., str], free_port: Callable[..., int], tmp_path: Path) -> Path:
    """What nmap wrote of a few ports of this machine, one of them open."""
    file = tmp_path / "plain.xml"
    with socket.create_server(("127.0.0.1", 0)) as door:
        ports = f"{door.getsockname()[1]},{free_port()}"
        words = [needs("nmap", package="nmap"), "-n", "-sT", "-p", ports, "127.0.0.1", "-oX", file]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    return file


@pytest.fixture
def collector(tmp_path: Path, process: Processes, free_port: Callable[..., int]) -> RealCollector:
    made = RealCollector(tmp_path / "collector", free_port(), process)
    made.make()
    return made


def _import(collector: RealCollector, file: Path, unit: str = SCHOOL) -> Done:
    return edusec("asset", "import", file, "--unit", unit, "--profile", collector.data / "operator.toml", "--json")


def _upload(collector: RealCollector, content: bytes, filename: str, unit: str = SCHOOL) -> tuple[int, Any]:
    """Send a file as any HTTP client would; gives the status and the JSON that came back."""
    profile = tomllib.loads((collector.data / "operator.toml").read_text(encoding="utf-8"))
    request = urllib.request.Request(
        f"{collector.url}/api/v1/assets/import?{urlencode({'filename': filename, 'unit': unit})}",
        content,
        {"Content-Type": "application/xml", "Authorization": f"Bearer {profile['token']}"},
        method="POST",
    )
    context = ssl.create_default_context(cafile=profile["ca"])
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _state(collector: RealCollector) -> list[Any]:
    """All that an import could change."""
    return [collector.get(f"/api/v1/{what}") for what in ("assets", "agents", "drift", "alerts")]


def test_a_scan_of_nmap_enters_the_inventory_over_both_doors(scan: Path, collector: RealCollector) -> None:
    done = _import(collector, scan)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(line["added"], line["changed"], line["unchanged"]) for line in json_lines(done)] == [(2, 0, 0)]
    listed = edusec("asset", "list", "--profile", collector.data / "operator.toml")
    (row,) = listed.stdout.splitlines()[1:]
    assert "8080/tcp" in row
    (asset,) = collector.get("/api/v1/assets")["items"]
    assert (asset["unit"], asset["presence"]) == (SCHOOL, "present")
    services = {(item["transport"], item["port"], item["state"], item["product"]) for item in asset["services"]}
    assert services == {("tcp", 8080, "open", None)}
    # What nmap calls open|filtered is no service, and nobody can tell whether there is one.
    assert json_lines(_import(collector, scan.with_name("udp.xml")))[0]["added"] == 1
    (asset,) = collector.get("/api/v1/assets")["items"]
    assert [service["port"] for service in asset["services"]] == [8080]
    # The same file by the other door is the same scan.
    assert _upload(collector, scan.read_bytes(), scan.name) == (
        200,
        {"added": 0, "changed": 0, "unchanged": 2, "warnings": []},
    )
    assert collector.get("/api/v1/assets")["items"] == [asset]
    missing = _import(collector, scan, "2164999999")
    assert (missing.returncode, _upload(collector, scan.read_bytes(), "x.xml", "2164999999")[0]) == (2, 404)


def _hostile(whole: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Files that mean harm or are broken, each with what must be said of it."""
    head, _, rest = whole.partition(b"<nmaprun")
    lines = whole.split(b"\n")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    entity = b'<?xml version="1.0"?>\n<!DOCTYPE nmaprun [<!ENTITY l0 "lol">' + laughs.encode() + b"]>\n"
    yield "billion-laughs.xml", entity + b'<nmaprun args="&l9;"' + rest, ":xml: "
    secret = b'<!DOCTYPE nmaprun [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'
    yield "external.xml", secret + b'<nmaprun args="&a;"' + rest, ":xml: "
    yield "truncated.xml", whole[: len(whole) // 2], ":xml: "
    yield "unfinished.xml", b"\n".join(lines[: next(n for n, line in enumerate(lines) if b"<runstats>" in line)]), ":"
    yield "wrong-root.xml", head + b"<html><nmaprun" + rest + b"</html>", ":xml: "
    yield "empty.xml", b"", ":1:xml: "
    yield "deep.xml", b"<nmaprun>" + b"<host>" * 100_000, ":xml: "
    yield "huge.xml", whole + b" " * (32 << 20), ""
    yield "port.xml", whole.replace(b'portid="', b'portid="9'), ":port.portid: '9"
    yield "address.xml", whole.replace(b'addr="127.', b'addr="1270.'), ":address: '1270."
    yield "escape\x1b[2J.xml", b"<x/>", ":1:xml: "


def test_what_is_hostile_or_broken_is_refused_with_its_place_and_changes_nothing(
    plain: Path, collector: RealCollector
) -> None:
    assert _import(collector, plain).returncode == 0
    before = _state(collector)
    for name, content, said in _hostile(plain.read_bytes()):
        file = plain.with_name(name)
        file.write_bytes(content)
        done = _import(collector, file)
        assert (done.returncode, done.stdout) == (2, ""), name
        shown = name.replace("\x1b", "")
        assert shown in done.stderr.replace("\\x1b", ""), (name, done.stderr)
        assert said in done.stderr, (name, done.stderr)
        assert "\x1b" not in done.stderr
        status, refusal = _upload(collector, content, name)
        assert status == (413 if name == "huge.xml" else 422), (name, refusal)
        assert said in json.dumps(refusal, ensure_ascii=False), (name, refusal)
    assert _state(collector) == before
