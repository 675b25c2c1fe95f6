"""CSV and XML of a scan: read by the programs they are for, and nothing that a server says acts on anything."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edusec.scan.output.csv import as_csv
from edusec.scan.output.forms import as_jsonl
from edusec.scan.output.xml import as_xml
from edusec.scan.store.compare import compared
from tests.edusec.run_cli import argv, edusec, json_lines
from tests.support.netns import Namespaces
from tests.support.processes import Processes

HOSTILE = "=cmd|' /C calc'!A0\x1b]0;owned\x07\x9b31m\u202e\x00\x7f<&>\"']]>\ud800\ufffe\r\n-1+2"
UNSAFE = {"\x1b", "\x07", "\x9b", "\u202e", "\x00", "\x7f", "\ud800"}
DTD = Path("/usr/share/nmap/nmap.dtd")


def _lines(text: str) -> list[Mapping[str, Any]]:
    """A scan in which every text from the network is this one."""
    at = "2026-11-29T05:00:00.000Z"
    run = {
        "schema": "edusec.scan/1", "type": "run", "id": "0" * 32, "started": at, "finished": at, "status": "done",
        "reason": "", "probe": "open_ports", "targets": [text], "exclude": [], "profile": "safe", "ports": "",
        "udp_ports": "", "scope": [], "skipped": [], "whitelist": None, "software": "edusec/0",
        "coverage": [
            {"prefixes": ["10.0.0.1/32"], "family": 4, "ports": "1-9", "transport": "tcp"},
            {"prefixes": ["10.0.0.1/32"], "family": 4, "ports": "53", "transport": "udp"},
        ],
        "silent": [{"prefixes": ["10.0.0.0/24"], "family": 4, "ports": "123,161-162", "transport": "udp"}],
    }  # fmt: skip
    host = {
        "schema": "edusec.scan/1", "type": "host", "address": "10.0.0.1", "name": text, "family": 4,
        "presence": "present", "open": 1, "closed": "1-3,5", "filtered": "9", "standing": "no_list",
        "closed_udp": "67-69", "filtered_udp": "70", "mac": "02:00:00:00:00:0a", "system": text,
        "maker": {"name": text, "prefix": "02", "confidence": 0.5, "evidence": "mac_prefix", "source": text},
    }  # fmt: skip
    service = {
        "schema": "edusec.scan/1", "type": "service", "address": "10.0.0.1", "family": 4, "transport": "tcp", "port": 4,
        "state": "open", "standing": "no_list", "expires": None, "service": text, "product": text, "version": text,
        "vendor": text, "cpe": text, "device": text, "system": text, "confidence": 0.5,
        "details": {"banner": text, "tls.names": [text, "x"], "http.title": text}, "method": "syn", "time": at,
        "duration": 0.1,
    }  # fmt: skip
    udp = {**service, "transport": "udp", "port": 53, "state": "open_filtered", "service": None, "product": None}
    summary = {"schema": "edusec.scan/1", "type": "summary"}
    return [run, host, service, udp, summary]


def _table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def _valid(content: bytes, needs: Callable[..., str], folder: Path) -> Path:
    """Hold XML to the DTD that the installed nmap has; its own name for it is a place that need not be there."""
    xmllint = needs("xmllint", package="libxml2-utils")
    if not DTD.exists():
        pytest.skip(f"needs {DTD} (nmap-common)")
    file = folder / "scan.xml"
    file.write_bytes(content)
    done = subprocess.run(
        [xmllint, "--noout", "--nonet", "--dtdvalid", DTD, file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return file


def test_xml_is_valid_whatever_servers_say(needs: Callable[..., str], tmp_path: Path) -> None:
    _valid(as_xml(_lines(HOSTILE)), needs, tmp_path)
    assert not UNSAFE & set(as_xml(_lines(HOSTILE)).decode())


def test_what_we_wrote_as_xml_says_the_same_when_it_is_read_again() -> None:
    from collector.ingest.nmap_file import read_nmap

    section = read_nmap(as_xml(_lines("x")), "scan.xml", 1 << 20)
    assert section.body is not None
    values = {item.target.port: item.values for item in section.body.observations}
    assert values[None] == {
        "mac": "02:00:00:00:00:0a", "name": "x", "closed": "1-3,5", "filtered": "9", "closed_udp": "67-69",
        "filtered_udp": "70",
    }  # fmt: skip
    identity = dict.fromkeys(("service", "product", "version", "system", "device", "cpe"), "x")
    details = {"banner": "x", "tls.names": "x, x", "http.title": "x"}
    assert values[4] == {**identity, **details, "confidence": 0.5}


@given(text=st.text())
def test_every_form_holds_every_text(text: str) -> None:
    from defusedxml.ElementTree import fromstring

    lines = _lines(text)
    root = fromstring(as_xml(lines).partition(b"<!DOCTYPE nmaprun>")[2])
    assert root.find("host/ports/port/state") is not None
    quiet = root.find("host/ports/extraports[@state='open|filtered']/extrareasons")
    assert quiet is not None
    assert (quiet.get("proto"), quiet.get("ports")) == ("udp", "123,161-162")
    script = root.find("host/ports/port/script")
    assert script is not None
    assert script.get("output", "").count("\n") == (2 if text else 0)
    rows = _table(as_csv(lines))
    assert [row["address"] for row in rows] == ["10.0.0.1", "10.0.0.1"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())
    # JSON gives the text itself back; on its way it is written out.
    written = as_jsonl(lines).decode()
    assert json.loads(written.splitlines()[2])["product"] == text
    for form in (as_xml(lines).decode(), as_csv(lines).decode("utf-8-sig"), written):
        assert not UNSAFE & set(form)


def test_a_spreadsheet_gets_text_and_runs_nothing() -> None:
    content = as_csv(_lines(HOSTILE))
    assert content.startswith(b"\xef\xbb\xbfaddress,")
    first, second = _table(content)
    assert first["product"].startswith("'=cmd|")
    assert (first["port"], second["transport"], second["state"]) == ("4", "udp", "open_filtered")
    # Spreadsheets of East Asia run what begins with the wide form of such a sign, too.
    for sign in "＝＋－＠":
        assert {row["version"] for row in _table(as_csv(_lines(f"{sign}1+1")))} == {f"'{sign}1+1"}


def test_what_drifted_stands_in_the_same_table() -> None:
    then, now = _lines(HOSTILE), _lines("x")
    service = then[2]
    then[3:3] = [{**service, "port": 7}, {**service, "address": "10.0.0.2"}]
    now[3:3] = [{**now[2], "port": 8}]
    content = as_csv(compared(now, then, 3))
    assert content.startswith(b"\xef\xbb\xbfaddress,")
    rows = _table(content)
    told = ("change", "confirmed", "missed", "confirm")
    assert {(row["address"], row["port"], row["state"]): tuple(row[name] for name in told) for row in rows} == {
        ("10.0.0.1", "4", "open"): ("changed", "true", "0", "3"),
        ("10.0.0.1", "8", "open"): ("new", "true", "0", "3"),
        ("10.0.0.1", "53", "open_filtered"): ("", "", "", ""),
        ("10.0.0.1", "7", ""): ("vanished", "false", "1", "3"),
        ("10.0.0.2", "4", ""): ("unknown", "false", "0", "3"),
    }
    assert rows[0]["product"] == "x"
    for row in (rows[0], *rows[3:]):
        assert (row["before_state"], row["before_product"][:6]) == ("open", "'=cmd|")
        assert (row["seen"], row["against"]) == (then[0]["started"], then[0]["id"])
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    # A host that comes or goes has a row without a port; without a comparison there are no such columns at all.
    gone = _table(as_csv(compared(_bare(now), then, 3)))[0]
    assert (gone["address"], gone["port"], gone["state"], gone["change"]) == ("10.0.0.1", "", "unknown", "vanished")
    assert b"change" not in as_csv(now)


def _bare(lines: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same scan, of a host that does not answer."""
    return [lines[0], {**lines[1], "presence": "unknown", "closed": "", "filtered": ""}, lines[-1]]


def test_what_a_server_says_acts_on_nothing_in_any_form(process: Processes, tmp_path: Path) -> None:
    banner = "220 \x1b]0;owned\x07 \x9b31m \u202e =1+1 <x> ProFTPD\x00\x7f"
    code = (
        "import contextlib, socket\ns = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        f"while True:\n    c = s.accept()[0]\n    with contextlib.suppress(OSError), c:\n"
        f"        c.sendall({banner!r}.encode('utf-8', 'surrogatepass') + b'\\r\\n')\n"
    )
    port = process([sys.executable, "-c", code], ready=r"\d+\n").stdout.strip()
    assert edusec("scan", "127.0.0.1", "--ports", port).returncode == 0
    said = {}
    for form in ("table", "jsonl", "csv", "xml"):
        file = tmp_path / f"out.{form}"
        done = edusec("scan", "--last", "--diff", "--format", form)
        edusec("scan", "--last", "--format", form, "-o", file)
        assert (done.returncode, done.stderr) == (0, "")
        said[form] = done.stdout + file.read_text(encoding="utf-8-sig")
        assert not UNSAFE & set(said[form]), form
    assert "owned" in said["jsonl"]
    assert "owned" in said["xml"]


def test_xml_of_a_real_scan_is_read_by_ndiff(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path
) -> None:
    ndiff, nmap = needs("ndiff", package="ndiff"), needs("nmap", package="nmap")
    here = netns()
    process([sys.executable, "-m", "http.server", "8080", "--bind", "127.0.0.1"], netns=here, ready=8080)
    ours, theirs = tmp_path / "ours.xml", tmp_path / "theirs.xml"
    here.run(argv("scan", "127.0.0.1", "--ports", "8070-8090", "-o", ours))
    _valid(ours.read_bytes(), needs, tmp_path)
    here.run([nmap, "-n", "-sT", "-p", "8070-8090", "127.0.0.1", "-oX", str(theirs)])
    done = subprocess.run([ndiff, "--text", ours, theirs], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    # Both saw the same open port: no line of either says that one of them had it and the other not.
    changed = [line for line in done.stdout.splitlines() if line.startswith(("+", "-")) and "/tcp" in line]
    assert not [line for line in changed if "8080/tcp" in line and "open" not in line], done.stdout
    gone = [line for line in changed if line.startswith("-") and "open" in line]
    came = [line for line in changed if line.startswith("+") and "open" in line]
    assert len(gone) == len(came)


def test_a_file_gets_the_form_that_its_name_says(tmp_path: Path) -> None:
    for name, begin in (("a.csv", "address,"), ("a.xml", "<?xml"), ("a.jsonl", "{"), ("a", "{")):
        done = edusec("scan", "127.0.0.1", "--ports", "1", "-o", tmp_path / name)
        assert "status: done" in done.stdout
        assert (tmp_path / name).read_text(encoding="utf-8-sig").startswith(begin)
    assert edusec("scan", "127.0.0.1", "--format", "pdf").returncode == 2


def _sent(space: Any) -> int:
    listed = json.loads(space.run(["nft", "-j", "list", "chain", "inet", "watch", "out"]).stdout)
    rules = [item["rule"] for item in listed["nftables"] if "rule" in item]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def test_a_dry_run_says_what_is_sent_and_sends_nothing(netns: Namespaces, needs: Callable[..., str]) -> None:
    needs("nft", package="nftables")
    here, there = netns(), netns()
    _, theirs = netns.link(here, there)
    address = str(theirs.v4.ip)
    until = str(datetime.now(UTC).date() + timedelta(1))
    add = ("scope", "add", address, "--authoriser", "t", "--reason", "t", "--until", until, "--ports", "1-60")
    here.run(argv(*add))
    here.run(
        [
            "nft",
            (
                "add table inet watch; add chain inet watch out { type filter hook output priority 0; "
                "meta l4proto { tcp, udp } counter; }"
            ),
        ]
    )
    words = ("scan", address, "--ports", "top:60", "--udp", "53", "--no-identify")
    before = _sent(here)
    done = here.run(argv(*words, "--dry-run", "--json"), check=False)
    tcp, udp = json_lines(done)
    assert done.returncode == 0
    assert _sent(here) == before
    assert (tcp["probe"], udp["probe"]) == ("open_ports", "udp_ports")
    asked = {number for part in tcp["portions"] for number in [part["pairs"]]}
    assert sum(asked) == tcp["pairs"] < 60  # the ports that nobody authorised are not among them
    assert any("out_of_scope" in item["reason"] for item in tcp["refused"])
    shown = here.run(argv(*words, "--dry-run", "--lang", "zh")).stdout
    assert "没有发送任何数据包" in shown
    assert address in shown
    assert _sent(here) == before
    here.run(argv(*words), check=False)
    assert before < _sent(here) <= before + tcp["packets"] * 2 + udp["most_packets"] + tcp["most_packets"]
