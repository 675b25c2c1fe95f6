"""`edusec whitelist`: approved domains, hosts and ports."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from collector.sheets.writing import write_sheet
from edusec.client import open_collector
from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption, ProfileOption, UnitOption
from edusec.exits import Stop
from edusec.importing import import_file
from edusec.lang import t
from edusec.local.files import deliver
from edusec.terminal.listing import Column, imported, show
from edusec.terminal.render import json_line
from edusec.terminal.words import moment, word
from wire.types import EntryKind, Transport

app = group(t("白名单：导入、导出、复核", "Whitelists: import, export, review"))


@app.command(
    "import",
    cls=Command,
    help=t(
        "导入白名单。CSV 或 XLSX，列：kind、value、ports、transport、owner、reason、approver、expires。"
        "有错则不改动任何内容。",
        "Import a whitelist from CSV or XLSX with the columns kind, value, ports, transport, owner, reason, approver, "
        "expires. A file with a fault changes nothing.",
    ),
)
def import_whitelist(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=t("文件", "The file"))],
    unit: UnitOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a whitelist."""
    import_file("/api/v1/whitelist/import", file, profile, as_json=as_json, unit=unit)


@app.command(
    "add",
    cls=Command,
    help=t(
        "登记一条：设备（地址、网段或 MAC）、端口（另加 --ports）或域名。"
        "已有的条目按新内容变更；到期日改为过去即撤销批准。",
        "Approve one host (an address, a prefix or a MAC), one port (with --ports) or one domain. An entry that is "
        "there already is changed; an --expires in the past ends its approval.",
    ),
)
def add_entry(
    kind: Annotated[EntryKind, typer.Argument(metavar="host|port|domain", help=t("类别", "What it is"))],
    value: Annotated[str, typer.Argument(metavar="VALUE", help=t("地址、MAC 或域名", "The address, MAC or domain"))],
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help=t("责任人", "Who answers for it"))],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=t("用途", "What it is for"))],
    approver: Annotated[str, typer.Option("--approver", metavar="NAME", help=t("批准人", "Who approved it"))],
    expires: Annotated[
        str, typer.Option("--expires", metavar="DATE|never", help=t("有效期至", "The last day it holds"))
    ],
    ports: Annotated[str, typer.Option("--ports", metavar="PORTS", help=t("端口，如 80,443", "Such as 80,443"))] = "",
    transport: Annotated[
        Transport | None, typer.Option(metavar="tcp|udp", help=t("默认 tcp", "tcp if not said"))
    ] = None,
    unit: UnitOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a list of this one entry."""
    entry = {
        "kind": kind.value, "value": value, "transport": transport.value if transport else "", "ports": ports,
        "owner": owner, "reason": reason, "approver": approver, "expires": expires,
    }  # fmt: skip
    content = write_sheet([list(entry), list(entry.values())], "csv", "")
    with open_collector(profile) as collector:
        try:
            result = collector.send_file("/api/v1/whitelist/import", content, filename=_FILE, unit=unit)
        except Stop as stop:
            raise Stop(_PLACE.sub(lambda place: _typed(place[1]), str(stop)), stop.code) from None
    imported(result, as_json=as_json)


_FILE = "add.csv"
_PLACE = re.compile(rf"^{re.escape(_FILE)}:\d+:(\w+)(?=: |：)", re.MULTILINE)
"""How the collector names the field of a file's row; here it was typed."""


def _typed(field: str) -> str:
    return {"kind": "host|port|domain", "value": "VALUE"}.get(field, f"--{field}")


@app.command("list", cls=Command, help=t("列出白名单", "List the whitelist"))
def list_whitelist(unit: UnitOption = None, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Print the whitelist of a unit."""
    with open_collector(profile) as collector:
        entries = list(collector.items("/api/v1/whitelist", unit=unit))
    show(entries, "edusec.whitelist-entry/1", _ENTRY, as_json=as_json)


@app.command("export", cls=Command, help=t("导出白名单", "Export the whitelist"))
def export_whitelist(
    unit: UnitOption = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="csv|xlsx", help=t("格式（默认看文件名）", "Format (default: by name)")),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=t("写入文件", "Write into a file"))
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Export the whitelist of a unit; what was imported comes back the same."""
    form = form or ("xlsx" if output and output.suffix.lower() == ".xlsx" else "csv")
    if form not in {"csv", "xlsx"}:
        raise Stop(t("--format 只能是 csv 或 xlsx", "--format takes csv or xlsx"))
    if form == "xlsx" and output is None and sys.stdout.isatty():
        raise Stop(t("XLSX 不能显示在终端，请加 -o 文件名.xlsx", "XLSX is not for a terminal: add -o FILE.xlsx"))
    with open_collector(profile) as collector:
        content = collector.raw("GET", "/api/v1/whitelist/export", {"unit": unit, "format": form})
    deliver(content, output)


@app.command(
    "review",
    cls=Command,
    help=t(
        "复核：已过期仍开放、即将过期、长期未用、白名单外",
        "Review: expired yet open, expiring soon, unused, found but not listed",
    ),
)
def review(
    unit: UnitOption = None,
    days: Annotated[
        int, typer.Option(metavar="N", min=0, help=t("即将过期指几天内", "Soon means within so many days"))
    ] = 30,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what somebody must decide about."""
    with open_collector(profile) as collector:
        report = collector.get("/api/v1/whitelist/review", unit=unit, days=days)
    if as_json:
        for part in _PARTS:
            for item in report[part]:
                print(json_line({"schema": "edusec.whitelist-review/1", "part": part, **item}))
        return
    titles = {
        "expired_open": t("已过期仍开放", "Expired yet open"),
        "expiring": t("即将过期", "Expiring soon"),
        "unused": t("覆盖扫描中从未见到", "Never seen by covering scans"),
        "unlisted": t("白名单外", "Found, not listed"),
    }
    for part in _PARTS:
        print(t(f"{titles[part]}：{len(report[part])}", f"{titles[part]}: {len(report[part])}"))
        if part == "unlisted" and report[part]:
            print(t("登记一条：", "To approve one: ") + "edusec whitelist add host|port|domain VALUE --unit CODE ...")
        if report[part]:
            show(report[part], "", _ENTRY if part in {"expiring", "unused"} else _FINDING, as_json=False)
        print()


_PARTS = ("expired_open", "expiring", "unused", "unlisted")
_ENTRY = (
    Column(t("类别", "KIND"), lambda entry: word(entry["kind"])),
    Column(t("值", "VALUE"), lambda entry: entry["value"]),
    Column(t("端口", "PORTS"), lambda entry: f"{entry['ports']}/{entry['transport']}" if entry["ports"] else ""),
    Column(t("单位", "UNIT"), lambda entry: entry["unit"]),
    Column(t("责任人", "OWNER"), lambda entry: entry["owner"]),
    Column(t("批准人", "APPROVER"), lambda entry: entry["approver"]),
    Column(t("到期", "EXPIRES"), lambda entry: entry["expires"] or t("长期", "never")),
    Column(t("判定", "STANDING"), lambda entry: word(entry["standing"])),
    Column(t("理由", "REASON"), lambda entry: entry["reason"]),
)
_FINDING = (
    Column(t("类别", "KIND"), lambda finding: word(finding["kind"])),
    Column(t("对象", "SUBJECT"), lambda finding: finding["label"]),
    Column(t("单位", "UNIT"), lambda finding: finding["unit"]),
    Column(t("首次发现", "FIRST SEEN"), lambda finding: moment(finding["first_seen"])),
    Column(t("批准到期", "APPROVAL ENDED"), lambda finding: (finding["entry"] or {}).get("expires") or ""),
)
