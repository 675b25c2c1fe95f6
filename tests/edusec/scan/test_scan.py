"""`edusec scan` as an operator runs it: real sockets on loopback and in namespaces, real files, real signals."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.edusec.run_cli import VALID, Done, argv, edusec, json_lines, of_type
from tests.raw.lab import usable
from tests.support.netns import Namespace, Namespaces
from tests.support.processes import Processes

TODAY = datetime.now(UTC).date()
HEAD = "kind,value,transport,ports,owner,reason,approver,expires\n"


def test_open_and_closed_ports_are_told_apart_in_every_output(
    listener: Callable[..., int], free_port: Callable[..., int], tmp_path: Path
) -> None:
    opened, closed = listener(), free_port()
    output, kept = tmp_path / "scan.jsonl", tmp_path / "scans.db"
    env = {"EDUSEC_SCANS": str(kept)}
    ports = f"{opened},{closed}"
    done = edusec(
        "scan", "127.0.0.1", "--no-identify", "--ports", ports, "--json", "-o", output, "--fail-on", "none", env=env
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = json_lines(done)
    for line in lines:
        VALID.validate(line)
    assert [line["type"] for line in lines[:3]] == ["run", "host", "service"]
    assert lines[-1]["type"] == "summary"
    assert [(line["port"], line["state"]) for line in of_type(lines, "service")] == [(opened, "open")]
    assert of_type(lines, "host")[0]["closed"] == str(closed)
    assert lines[-1]["ports"] == {"open": 1, "closed": 1}
    assert lines[0]["coverage"][0]["prefixes"] == ["127.0.0.1/32"]
    assert output.read_text(encoding="utf-8") == done.stdout

    # The same result again, from the local file, which any SQLite tool reads.
    assert json_lines(edusec("scan", "--last", "--json", env=env)) == lines
    with sqlite3.connect(kept) as database:
        rows = database.execute("select address, port, state from services").fetchall()
        coverage = database.execute("select json_extract(coverage, '$[0].transport') from scans").fetchone()
    database.close()
    assert (rows, coverage) == ([("127.0.0.1", opened, "open")], ("tcp",))

    table = edusec("scan", "--last", "--lang", "zh", env=env).stdout
    assert f"127.0.0.1  {opened}/tcp" in table
    assert "开放 1" in table
    assert "已覆盖" in table


def test_a_service_says_what_it_is_and_nothing_it_says_acts_on_the_terminal(process: Processes) -> None:
    hostile = "SSH-2.0-\x1b]0;owned\x07OpenSSH_9.2\u202e"
    # A scan may reset the connection before a word is said.
    code = (
        "import contextlib, socket\ns = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        f"while True:\n    c = s.accept()[0]\n    with contextlib.suppress(OSError), c:\n"
        f"        c.sendall({hostile!r}.encode() + b'\\r\\n')\n"
    )
    running = process([sys.executable, "-c", code], ready=r"\d+\n")
    words = ("scan", "127.0.0.1", "--ports", running.stdout.strip(), "--fail-on", "none")
    table, lines = edusec(*words), edusec(*words, "--json")
    assert table.returncode == lines.returncode == 0
    (service,) = of_type(json_lines(lines), "service")
    assert service["service"] == "ssh"
    assert "ssh" in table.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(table.stdout + lines.stdout)
    for line in json_lines(lines):
        VALID.validate(line)


def test_both_families_of_one_name_are_compared(listener: Callable[..., int], tmp_path: Path) -> None:
    port = listener("::1")
    done = edusec("scan", "127.0.0.1", "::1", "--no-identify", "--ports", str(port), "--json")
    assert [(line["address"], line["open"]) for line in of_type(json_lines(done), "host")] == [
        ("127.0.0.1", 0),
        ("::1", 1),
    ]
    # Two addresses are not one host unless a name says so.
    assert "open-on-v6-closed-on-v4" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "127.0.0.1"),
        (("127.0.0.1", "--ports", "http"), "--ports"),
        (("127.0.0.1", "--ports", "0-70000"), "--ports"),
        (("127.0.0.1", "--timeout", "0"), "timeout"),
        (("127.0.0.1", "--rate", "-1"), "rate"),
        (("127.0.0.1", "-o", "/nowhere/scan.jsonl"), "/nowhere"),
        (("127.0.0.1", "--whitelist", "/nowhere.csv"), "/nowhere.csv"),
        (("127.0.0.1", "--last"), "--last"),
        (("--last",), "scans.db"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(words: tuple[str, ...], said: str) -> None:
    done = edusec("scan", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_costs_only_the_record(listener: Callable[..., int]) -> None:
    for place in ("/proc/edusec/scans.db", "/dev/null/scans.db"):
        done = edusec("scan", "127.0.0.1", "--no-identify", "--ports", str(listener()), env={"EDUSEC_SCANS": place})
        assert done.returncode == 0
        assert place in done.stderr
        assert "open 1" in done.stdout


def test_a_file_of_an_older_release_is_brought_up_to_date(listener: Callable[..., int], tmp_path: Path) -> None:
    kept = tmp_path / "scans.db"
    env = {"EDUSEC_SCANS": str(kept)}
    scan = ("scan", "127.0.0.1", "--no-identify", "--ports", str(listener()))
    edusec(*scan, env=env)
    with sqlite3.connect(kept) as database:
        for column in ("details", "cpe", "confidence"):
            database.execute(f"alter table services drop column {column}")
    database.close()
    done = edusec(*scan, "--json", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert json_lines(edusec("scan", "--last", "--json", env=env)) == json_lines(done)
    with sqlite3.connect(kept) as database:
        database.execute("delete from scans where id = ?", [json_lines(done)[0]["id"]])
    database.close()
    assert edusec("scan", "--last", env=env).returncode == 0


def test_a_file_that_is_no_database_is_left_alone(listener: Callable[..., int], tmp_path: Path) -> None:
    kept = tmp_path / "scans.db"
    kept.write_bytes(b"this is a letter to my aunt, not a database" * 40)
    done = edusec("scan", "127.0.0.1", "--no-identify", "--ports", str(listener()), env={"EDUSEC_SCANS": str(kept)})
    assert done.returncode == 0
    assert str(kept) in done.stderr
    assert kept.read_bytes().startswith(b"this is a letter")


def _in(space: Namespace, *words: str | Path) -> Done:
    return space.run(argv("scan", "--no-identify", *words), check=False)


def _add(space: Namespace, value: str) -> None:
    until = str(TODAY + timedelta(1))
    space.run(argv("scope", "add", value, "--authoriser", "test", "--reason", "test", "--until", until))


def _count_all(space: Namespace) -> None:
    space.run(["nft", "add", "table", "inet", "watch"])
    space.run(["nft", "add", "chain", "inet", "watch", "out", "{ type filter hook output priority 0; }"])
    space.run(["nft", "add", "rule", "inet", "watch", "out", "meta", "l4proto", "{ tcp, udp, icmp }", "counter"])
    space.run(["nft", "add", "rule", "inet", "watch", "out", "icmpv6", "type", "echo-request", "counter"])


def _sent(space: Namespace) -> int:
    listed = json.loads(space.run(["nft", "-j", "list", "chain", "inet", "watch", "out"]).stdout)
    rules = [item["rule"] for item in listed["nftables"] if "rule" in item]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def test_a_refused_target_gets_no_packet(netns: Namespaces, needs: Callable[..., str]) -> None:
    needs("nft", package="nftables")
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    for route in (("-4", str(theirs.v4.ip)), ("-6", str(theirs.v6.ip))):
        here.run(["ip", route[0], "route", "add", "default", "via", route[1], "dev", mine.interface])
    _count_all(here)
    for target in (str(theirs.v4.ip), str(theirs.v6.ip), f"{theirs.v4.network}", "www.example.com", "192.0.2.1-9"):
        for words in ((target,), ("127.0.0.1", target)):
            done = _in(here, *words, "--json")
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert "edusec scope add " in done.stderr
    assert _sent(here) == 0
    # The counter does count: once authorised, the same target gets packets.
    _add(here, str(theirs.v4.ip))
    assert _in(here, str(theirs.v4.ip), "--ports", "1-3").returncode == 0
    assert _sent(here) > 0


def test_a_silent_host_is_not_covered_and_makes_the_result_partial(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    here.run(["ip", "route", "add", "198.51.100.0/24", "via", str(theirs.v4.ip), "dev", mine.interface])
    # A gateway that does not forward: what lies behind it stays silent.
    _add(here, "198.51.100.0/24")
    done = _in(here, "198.51.100.7", "127.0.0.1", "--ports", "80", "--timeout", "0.2", "--json")
    lines = json_lines(done)
    assert done.returncode == 3, done.stderr
    assert lines[0]["status"] == "partial"
    assert [part["what"] for part in lines[0]["skipped"]] == ["198.51.100.7"]
    assert [item["prefixes"] for item in lines[0]["coverage"]] == [["127.0.0.1/32"]]
    for line in lines:
        VALID.validate(line)
    shown = _in(here, "198.51.100.7", "--ports", "80", "--timeout", "0.2", "--lang", "zh").stdout
    assert "未覆盖：198.51.100.7：" in shown


def test_udp_ports_are_asked_within_the_connections_allowed() -> None:
    (summary,) = of_type(
        json_lines(
            edusec("scan", "127.0.0.1", "--ports", "none", "--udp", "20001-20150", "--connections", "8", "--json")
        ),
        "summary",
    )
    assert (summary["ports"], summary["not_covered"]) == ({"closed": 150}, 0)


def test_only_those_that_discovery_finds_are_scanned_and_the_rest_is_told(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    here.run(["ip", "route", "add", "198.51.100.0/24", "via", str(theirs.v4.ip), "dev", mine.interface])
    _add(here, "198.51.100.0/24")
    _add(here, str(theirs.v4.network))
    absent = theirs.v4.ip + 7
    words = (str(theirs.v4.ip), str(absent), "198.51.100.7", "--discover", "--ports", "80")
    done = _in(here, *words, "--json")
    lines = json_lines(done)
    for line in lines:
        VALID.validate(line)
    assert done.returncode == 3, done.stderr
    assert [(line["address"], line["closed"]) for line in of_type(lines, "host")] == [(str(theirs.v4.ip), "80")]
    covered = {(prefix, item["transport"]) for item in lines[0]["coverage"] for prefix in item["prefixes"]}
    # ARP settled that nobody has the one address; of the other, behind a gateway that is silent, nothing is known.
    assert covered == {(f"{theirs.v4.ip}/32", None), (f"{absent}/32", None), (f"{theirs.v4.ip}/32", "tcp")}
    assert [(part["what"], part["reason"]) for part in lines[0]["skipped"]] == [("198.51.100.7", "no_answer")]
    nobody = _in(here, str(absent), "--discover", "--ports", "80", "--lang", "en")
    assert nobody.returncode == 0, nobody.stderr
    assert f"covered: {absent}/32 (who is there)" in nobody.stdout


def test_what_discovery_sees_beside_the_targets_is_not_scanned(netns: Namespaces) -> None:
    here, there = netns(), netns()
    mine, theirs = netns.link(here, there)
    usable(here, there)
    _add(here, str(theirs.v6.ip))
    _add(here, "fe80::/64")
    shown = there.run(["ip", "-j", "address", "show", "dev", theirs.interface, "scope", "link"]).stdout
    (local,) = {item["local"] for item in json.loads(shown)[0]["addr_info"] if item.get("local")}

    def speak() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            assert sock.connect_ex((local, 9, 0, socket.if_nametoindex(mine.interface)))

    here.call(speak)  # now this machine knows it as a neighbour
    lines = json_lines(_in(here, str(theirs.v6.ip), "--discover", "--ports", "80", "--json"))
    tcp = {prefix for item in lines[0]["coverage"] if item["transport"] == "tcp" for prefix in item["prefixes"]}
    assert tcp == {f"{theirs.v6.ip}/128"}


def _slow_scan(netns: Namespaces) -> tuple[Namespace, list[str]]:
    here, there = netns(), netns()
    _, theirs = netns.link(here, there)
    wall = (
        "add table inet wall; add chain inet wall in { type filter hook input priority 0; tcp dport 100-65535 drop; }"
    )
    there.run(["nft", wall])
    _add(here, str(theirs.v4.ip))
    words = argv(
        "scan", "127.0.0.1", str(theirs.v4.ip), "--no-identify", "--ports", "22,100-40000", "--timeout", "30", "--json"
    )
    return here, words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_scan_is_130_and_keeps_what_it_has(
    netns: Namespaces, process: Processes, needs: Callable[..., str], tmp_path: Path, number: signal.Signals
) -> None:
    needs("nft", package="nftables")
    here, words = _slow_scan(netns)
    running = process([*words, "-o", str(tmp_path / "partial.jsonl")], netns=here)
    running.wait_ready(lambda: _probes(running.pid))
    running.send(number)
    assert running.wait() == 130
    lines = [json.loads(line) for line in running.stdout.splitlines()]
    assert lines[0]["status"] in ("partial", "cannot_run")
    assert lines[0]["reason"]
    assert (tmp_path / "partial.jsonl").read_text(encoding="utf-8") == running.stdout
    assert json_lines(edusec("scan", "--last", "--json")) == lines
    for line in lines:
        VALID.validate(line)


def _probes(pid: int) -> bool:
    """Whether the guard of a probe is a child of this process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return any(b"agent.probing.guard" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)


def test_the_installed_interpreter_is_used() -> None:
    # `-P` keeps the working directory off the path, so that a folder named `rules` there cannot take ours' place.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "edusec", "rules", "check"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "no fault" in done.stdout


def test_udp_ports_are_joined_into_the_same_result(listener: Callable[..., int]) -> None:
    port = listener()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        # A closed UDP port answers with an error, an open one that says nothing stays unknown.
        udp = str(answering.getsockname()[1])
        done = edusec("scan", "127.0.0.1", "--no-identify", "--ports", str(port), "--udp", f"{udp},1", "--json")
    lines = json_lines(done)
    for line in lines:
        VALID.validate(line)
    assert lines[0]["probe"] == "open_ports,udp_ports"
    assert [(line["transport"], line["port"]) for line in of_type(lines, "service")] == [("tcp", port)]
    covered = {(item["transport"], item["ports"]) for item in lines[0]["coverage"]}
    assert covered == {("tcp", str(port)), ("udp", "1")}
    assert [line["address"] for line in of_type(lines, "host")] == ["127.0.0.1"]
    only = json_lines(edusec("scan", "127.0.0.1", "--ports", "none", "--udp", "1", "--json"))
    assert {item["transport"] for item in only[0]["coverage"]} == {"udp"}
    assert edusec("scan", "127.0.0.1", "--ports", "none").returncode == 2


def test_a_look_ahead_at_a_scan_that_finds_hosts_first_says_both() -> None:
    done = edusec("scan", "127.0.0.1-4", "--discover", "--ports", "22", "--dry-run")
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("then, of those who are there only, at most:\n")
    assert "packets when nobody answers" in first
    assert "4 addresses x tcp/22 = 4 pairs" in rest
    assert done.stdout.count("Nothing was sent.") == 1
    told = json_lines(edusec("scan", "127.0.0.1-4", "--discover", "--ports", "22", "--dry-run", "--json"))
    assert [line["schema"] for line in told] == ["edusec.discovery-preview/1", "edusec.scan-preview/1"]
