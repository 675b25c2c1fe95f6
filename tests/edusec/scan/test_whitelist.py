"""A whitelist judges what a scan found, and the exit code follows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edusec.scan.request.asked import Asked
from edusec.scan.result.finished import Measure, judged
from edusec.scan.run.join import made
from tests.edusec.run_cli import VALID, edusec, json_lines, of_type
from tests.support.reports import host, service
from wire.types import Body, EntryKind, RunStatus, WhitelistEntry

TODAY = datetime.now(UTC).date()
HEAD = "kind,value,transport,ports,owner,reason,approver,expires\n"


@pytest.mark.parametrize(
    ("entry", "standing", "rules"),
    [
        ("port,127.0.0.1,tcp,{port},li,web,wang,\n", "listed", set()),
        ("port,*,tcp,{port},li,web,wang,{tomorrow}\n", "listed", set()),
        ("port,127.0.0.1,tcp,{port},li,web,wang,{yesterday}\n", "expired", {"whitelist-expired-open"}),
        ("port,127.0.0.1,tcp,1,li,web,wang,\n", "unlisted", {"unlisted-port"}),
        ("host,127.0.0.1,,,li,web,wang,\n", "no_list", set()),
    ],
)
def test_open_ports_are_judged_by_the_whitelist(
    listener: Callable[..., int], tmp_path: Path, entry: str, standing: str, rules: set[str]
) -> None:
    port = listener()
    file = tmp_path / "approved.csv"
    days = {"tomorrow": TODAY + timedelta(1), "yesterday": TODAY - timedelta(1)}
    file.write_text(HEAD + entry.format(port=port, **days), encoding="utf-8")
    done = edusec(
        "scan", "127.0.0.1", "--no-identify", "--ports", str(port), "--whitelist", file, "--json", "--fail-on", "none"
    )
    lines = json_lines(done)
    assert [line["standing"] for line in of_type(lines, "service")] == [standing], done.stderr
    assert {line["rule"] for line in of_type(lines, "finding")} == rules
    for line in lines:
        VALID.validate(line)
    for line in of_type(lines, "finding"):
        assert line["basis"].startswith("GB/T 22239-2019 ")


@pytest.mark.parametrize(
    ("seen", "standing"), [("00:16:3e:00:00:0a", "listed"), ("00:16:3e:00:00:0b", "unlisted"), (None, "unlisted")]
)
def test_a_device_approved_by_its_hardware_address_is_known_by_it(seen: str | None, standing: str) -> None:
    approved = WhitelistEntry(EntryKind.HOST, "00:16:3e:00:00:0a", "li", "printer", "wang")
    body = Body((host("192.0.2.9", **({"mac": seen} if seen else {})), service("192.0.2.9", 80)))
    section = made("open_ports", RunStatus.DONE, body=body)
    lines = judged("0" * 32, section, Asked(("x",), {}, "", "", (), "x"), Measure((approved,), TODAY, "red"))
    assert [line["standing"] for line in of_type(lines, "host")] == [standing]
    assert any(line["rule"] == "unlisted-asset" for line in of_type(lines, "finding")) == (standing == "unlisted")


def test_a_workbook_means_the_same_as_a_csv(listener: Callable[..., int], tmp_path: Path) -> None:
    from openpyxl import Workbook

    port = listener()
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["类型", "对象", "端口", "责任人", "用途", "审批人", "有效期"])
    sheet.append(["端口", "127.0.0.1", str(port), "李", "网站", "王", str(TODAY + timedelta(9))])
    book.save(tmp_path / "approved.xlsx")
    done = edusec(
        "scan", "127.0.0.1", "--no-identify", "--ports", str(port), "--whitelist", tmp_path / "approved.xlsx", "--json"
    )
    assert [line["standing"] for line in of_type(json_lines(done), "service")] == ["listed"], done.stderr


def test_a_faulty_whitelist_stops_before_anything_is_sent(listener: Callable[..., int], tmp_path: Path) -> None:
    file = tmp_path / "list\x1b[31m.csv"
    file.write_text(HEAD + "port,127.0.0.1,tcp,http,li,web,wang,\nhost,nowhere,,,li,,wang,soon\n", encoding="utf-8")
    done = edusec("scan", "127.0.0.1", "--whitelist", file)
    assert (done.returncode, done.stdout) == (2, "")
    places = [line.split(": ")[0].rpartition(".csv:")[2] for line in done.stderr.splitlines()[1:]]
    assert places == ["2:ports", "3:reason", "3:value", "3:expires"]
    assert "\x1b" not in done.stderr


def test_the_exit_code_follows_the_threshold(listener: Callable[..., int], tmp_path: Path) -> None:
    file = tmp_path / "approved.csv"
    file.write_text(HEAD + "port,127.0.0.1,tcp,1,li,web,wang,\n", encoding="utf-8")
    scan = ("scan", "127.0.0.1", "--no-identify", "--ports", str(listener()), "--whitelist", file)
    found = of_type(json_lines(edusec(*scan, "--json")), "finding")
    assert {line["colour"] for line in found} == {"blue"}  # medium, less one because nobody else reaches loopback
    assert [edusec(*scan, "--fail-on", colour).returncode for colour in ("blue", "yellow", "low", "none")] == [
        1,
        0,
        1,
        0,
    ]
