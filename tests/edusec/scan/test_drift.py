"""Drift: per host, port and product; what no scan covered is unknown, and what vanished is confirmed N of M."""

import csv
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edusec.scan.result.drift import Covered, drift
from edusec.scan.store.checked import check
from tests.edusec.run_cli import VALID, edusec, json_lines
from tests.support.ports import free_port
from wire.text import TextError

_Line = Mapping[str, Any]


def _scan(number: int, found: Mapping[int, str], *, ports: str = "1-100", host: str = "10.0.0.1") -> list[_Line]:
    """A scan of one host: its open ports with their products."""
    run = {
        "type": "run",
        "id": f"{number:032x}",
        "started": f"2026-11-{number:02}T00:00:00.000Z",
        "coverage": [{"prefixes": ["10.0.0.0/30"], "family": 4, "ports": ports, "transport": "tcp"}] if ports else [],
    }
    presence = {"type": "host", "address": host, "presence": "present" if found else "unknown"}
    services = [
        {
            "type": "service",
            "address": host,
            "transport": "tcp",
            "port": port,
            "state": "open",
            "service": None,
            "product": product or None,
            "version": None,
            "device": None,
        }
        for port, product in found.items()
    ]
    return [run, presence, *services]


def _changes(history: Sequence[Sequence[_Line]], now: Sequence[_Line], confirm: int = 3) -> dict[Any, tuple[Any, ...]]:
    lines = drift(history, now, confirm)
    for line in lines:
        VALID.validate(dict(line))
    return {line["port"]: (line["change"], line["missed"], line["confirmed"]) for line in lines}


def test_the_first_scan_is_the_baseline() -> None:
    assert drift([], _scan(1, {22: "OpenSSH"})) == []


def test_new_changed_and_vanished_are_told_per_port_and_product() -> None:
    before = _scan(1, {22: "OpenSSH", 80: "nginx", 81: ""})
    after = _scan(2, {22: "OpenSSH", 80: "Apache httpd", 81: "lighttpd", 23: "telnetd"})
    # Port 81: the earlier scan did not know the product, so nobody can tell that it changed.
    assert _changes([before], after) == {23: ("new", 0, True), 80: ("changed", 0, True)}
    assert _changes([after], before) == {23: ("vanished", 1, False), 80: ("changed", 0, True)}


def test_what_a_scan_did_not_cover_is_unknown_and_what_none_covered_is_no_news() -> None:
    before, narrow = _scan(1, {22: "", 80: ""}), _scan(2, {22: ""}, ports="22")
    assert _changes([before], narrow) == {80: ("unknown", 0, False)}
    assert _changes([narrow], before) == {80: ("baseline", 0, True)}
    # A run that covered nothing (it crashed, the line was down) says nothing of anything.
    assert _changes([before], _scan(3, {}, ports="")) == {
        None: ("unknown", 0, False),
        22: ("unknown", 0, False),
        80: ("unknown", 0, False),
    }


def test_what_vanished_is_confirmed_after_n_covering_scans_and_then_said_no_more() -> None:
    row = [_scan(1, {22: "", 80: ""})]
    said = []
    for number in range(2, 7):
        ports = "22" if number == 3 else "1-100"  # the third scan does not look at port 80
        now = _scan(number, {22: ""}, ports=ports)
        said.append(_changes(row, now).get(80))
        row.append(now)
    assert said == [
        ("vanished", 1, False),
        ("unknown", 1, False),
        ("vanished", 2, False),
        ("vanished", 3, True),
        None,
    ]
    # It is there again: after it was gone for good it is new, after a miss or two it never left.
    assert _changes(row, _scan(9, {22: "", 80: ""})) == {80: ("new", 0, True)}
    assert _changes(row[:2], _scan(9, {22: "", 80: ""})) == {}
    assert _changes(row[:1], _scan(9, {22: ""}), confirm=1)[80] == ("vanished", 1, True)


def test_a_host_that_is_gone_is_said_as_a_host_too() -> None:
    assert _changes([_scan(1, {22: ""})], _scan(2, {}))[None] == ("vanished", 1, False)
    assert _changes([_scan(1, {})], _scan(2, {22: ""}))[None] == ("new", 0, True)


def test_a_host_is_gone_only_for_a_scan_that_asked_where_it_had_answered() -> None:
    before = _scan(1, {22: "", 80: ""})
    assert _changes([before], _scan(2, {}, ports="8000-8010")) == {
        None: ("unknown", 0, False),
        22: ("unknown", 0, False),
        80: ("unknown", 0, False),
    }
    # Answers from port 80 got lost, so that it is not covered: the host may be behind it as ever.
    assert _changes([before], _scan(2, {}, ports="22")) == {
        None: ("unknown", 0, False),
        22: ("vanished", 1, False),
        80: ("unknown", 0, False),
    }
    # A host of which only a closed port has answered.
    run, host = _scan(1, {})
    closed = [run, {**host, "presence": "present", "closed": "22-23"}]
    assert _changes([closed], _scan(2, {}, ports="80")) == {None: ("unknown", 0, False)}
    assert _changes([closed], _scan(2, {}, ports="22")) == {None: ("vanished", 1, False)}


def test_a_host_is_news_only_if_an_earlier_scan_asked_where_it_answers_now() -> None:
    silent = _scan(1, {}, ports="22")
    assert _changes([silent], _scan(2, {8000: ""}, ports="8000")) == {
        None: ("baseline", 0, True),
        8000: ("baseline", 0, True),
    }
    assert _changes([silent], _scan(2, {22: ""})) == {None: ("new", 0, True), 22: ("new", 0, True)}


def test_coverage_is_asked_by_address_transport_and_port() -> None:
    covered = Covered(
        [
            {"prefixes": ["10.0.0.0/24", "10.0.0.8/32"], "family": 4, "ports": "1-10", "transport": "tcp"},
            {"prefixes": ["10.0.0.9/32"], "family": 4, "ports": "53", "transport": "udp"},
            {"prefixes": ["2001:db8::/120"], "family": 6, "ports": "22", "transport": "tcp"},
        ]
    )
    told = {
        ("10.0.0.200", "tcp", 10): True,
        ("10.0.0.200", "tcp", 11): False,
        ("10.0.1.0", "tcp", 1): False,
        ("10.0.0.9", "udp", 53): True,
        ("10.0.0.8", "udp", 53): False,
        ("2001:db8::ff", "tcp", 22): True,
        ("2001:db8::ff", "", 0): True,
        ("10.0.2.1", "", 0): False,
        ("10.0.0.9", "", 0): True,
    }
    assert {place: covered.has(place) for place in told} == told


def test_a_link_local_address_is_covered_on_its_own_link() -> None:
    covered = Covered([{"prefixes": ["fe80::1%lan/128", "fe80::2/128"], "transport": "tcp", "ports": "22"}])
    asked = ["fe80::1%lan", "fe80::1%wlan", "fe80::1", "fe80::2%lan"]
    assert [covered.has((name, "tcp", 22)) for name in asked] == [True, False, False, False]
    assert [covered.has((name, "", 0)) for name in asked] == [True, False, False, False]


def test_a_scan_is_compared_with_those_before_it(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    first, second = (socket.create_server(("127.0.0.1", port)) for port in ports)
    text = ",".join(map(str, ports))
    scan = ("scan", "127.0.0.1", "--no-identify", "--ports", text)
    first.close()
    baseline = json_lines(edusec(*scan, "--diff", "--json", "-o", tmp_path / "first.jsonl"))
    assert baseline[-1]["drift"] == {"against": 0}
    second.close()
    with socket.create_server(("127.0.0.1", ports[0])):
        done = edusec(*scan, "--diff", "--json")
        table = edusec("scan", "--last", "--diff", "--confirm", "1", "--lang", "zh").stdout
    lines = json_lines(done)
    for line in lines:
        VALID.validate(line)
    found = {line["port"]: (line["change"], line["confirmed"]) for line in lines if line["type"] == "drift"}
    assert found == {ports[0]: ("new", True), ports[1]: ("vanished", False)}
    assert lines[-1]["drift"] == {"against": 1, "new": 1, "vanished": 1}
    assert lines[-1]["type"] == "summary"
    assert "消失" in table
    assert "1/1" in table
    assert edusec("scan", "--last", "--diff", "-o", tmp_path / "drift.csv").returncode == 0
    with (tmp_path / "drift.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {int(row["port"]): row["change"] for row in csv.DictReader(file)}
    assert rows == {ports[0]: "new", ports[1]: "vanished"}
    for against in (baseline[0]["id"][:8], str(tmp_path / "first.jsonl")):
        again = json_lines(edusec("scan", "--last", "--against", against, "--json"))
        assert (
            [line["change"] for line in again if line["type"] == "drift"] == ["new", "vanished"]
            if (ports[0] < ports[1])
            else ["vanished", "new"]
        )
    runs = json_lines(edusec("scan", "--list", "--json"))
    assert [(run["id"], run["open"], run["resumable"]) for run in runs] == [
        (lines[0]["id"], 1, False),
        (baseline[0]["id"], 1, False),
    ]
    assert lines[0]["id"][:8] in edusec("scan", "--list").stdout


@pytest.mark.parametrize("content", ["", "{}\n", "not json\n", '{"schema":"edusec.scan/1","type":"run"}\n', "[" * 9000])
def test_a_file_that_is_no_scan_is_refused_before_anything_is_sent(content: str, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text(content, encoding="utf-8")
    done = edusec("scan", "127.0.0.1", "--ports", "1", "--against", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert edusec("scan", "127.0.0.1", "--ports", "1", "--against", "ffff").returncode == 2


@pytest.mark.parametrize(
    ("place", "changed", "said"),
    [
        (0, {"schema": "edusec.scan/2"}, "schema: must be edusec.scan/1"),
        (0, {"coverage": [{"prefixes": ["x"], "ports": "1", "transport": "tcp"}]}, "coverage: must be a list of"),
        (0, {"id": 5}, "id: must be a text"),
        (1, {"address": 5}, "address: must be an IP address"),
        (1, {"closed": "9-1"}, "closed: must be ports such as"),
        (2, {"port": 70000}, "port: must be a whole number from 0 to 65535"),
        (2, {"transport": []}, "transport: must be tcp or udp"),
    ],
)
def test_a_fault_of_a_line_names_its_field(place: int, changed: dict[str, Any], said: str) -> None:
    lines = [{**line, "schema": "edusec.scan/1"} for line in _scan(1, {22: "OpenSSH"})]
    for line in lines:
        check(line)
    with pytest.raises(TextError) as caught:
        check({**lines[place], **changed})
    assert caught.value.text.en.startswith(said)
    assert caught.value.text.zh.startswith(f"{said.partition(':')[0]}：须为")
    for line in (None, 5, [], {}):
        with pytest.raises(TextError):
            check(line)


def _with_mac(lines: Sequence[_Line], mac: str | None) -> list[_Line]:
    return [{**line, "mac": mac} if line["type"] == "host" else line for line in lines]


def test_another_card_at_an_address_is_a_change_of_its_host() -> None:
    first, other = "02:00:00:00:00:01", "02:00:00:00:00:02"
    before, after = _with_mac(_scan(1, {22: ""}), first), _with_mac(_scan(3, {22: ""}), other)
    (line,) = drift([before], after)
    assert (line["kind"], line["change"], line["before"]["mac"], line["after"]["mac"]) == (
        "host", "changed", first, other,
    )  # fmt: skip
    # A scan that heard no card in between says nothing, and does not let the first one be forgotten.
    deaf = _with_mac(_scan(2, {22: ""}), None)
    assert drift([before], deaf) == []
    (line,) = drift([before, deaf], after)
    assert (line["before"]["mac"], line["seen"]) == (first, "2026-11-02T00:00:00.000Z")


def test_a_product_that_one_scan_did_not_ask_for_is_still_known_to_the_next() -> None:
    asked, not_asked = _scan(1, {80: "nginx"}), _scan(2, {80: ""})
    assert _changes([asked, not_asked], _scan(3, {80: "Apache httpd"})) == {80: ("changed", 0, True)}
    assert _changes([asked, not_asked], _scan(3, {80: "nginx"})) == {}


def test_a_port_that_was_looked_at_only_while_its_host_was_away_is_no_news() -> None:
    before, away = _scan(1, {22: ""}, ports="22"), _scan(2, {}, ports="22-23")
    assert _changes([before, away], _scan(3, {22: "", 23: ""}, ports="22-23")) == {23: ("baseline", 0, True)}
    # Once somebody looked while it was there, it is.
    back = _scan(3, {22: ""}, ports="22-23")
    assert _changes([before, away, back], _scan(4, {22: "", 23: ""}, ports="22-23")) == {23: ("new", 0, True)}
    # Of a host that nobody knew everything is news where it was looked for.
    news = _changes([away], _scan(3, {22: ""}, ports="22-23"))
    assert news == {None: ("new", 0, True), 22: ("new", 0, True)}
