"""`edusec site`: the register of websites, information systems and networks."""

from pathlib import Path
from typing import Annotated

import typer

from edusec.client import open_collector, path_part
from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption, ProfileOption, UnderOption, UnitOption
from edusec.importing import import_file
from edusec.lang import t
from edusec.terminal.listing import Column, imported, show
from edusec.terminal.render import safe
from edusec.terminal.words import word

app = group(t("登记：网站、信息系统、网段", "The register: websites, information systems, networks"))

SCHEMA = "edusec.registered/1"


@app.command(
    "import",
    cls=Command,
    help=t(
        "导入登记表。CSV、TSV 或 XLSX，列：unit、kind、address、name、system、mlps_level、owner。"
        "kind 为 website（默认）、system 或 network；登记的网站由代理定期检查，是各项 IPv6 比例的分母。"
        "有错则不改动任何内容。",
        "Import the register from CSV, TSV or XLSX with the columns unit, kind, address, name, system, mlps_level, "
        "owner. A kind is website (default), system or network; agents check what is registered, and the IPv6 ratios "
        "count it. A file with a fault changes nothing.",
    ),
    epilog=t(
        "示例：\n  edusec site import sites.xlsx --unit 2164000001",
        "Example:\n  edusec site import sites.xlsx --unit 2164000001",
    ),
)
def import_register(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=t("文件", "The file"))],
    unit: UnitOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import registered entries."""
    import_file("/api/v1/register/import", file, profile, as_json=as_json, unit=unit)


@app.command("list", cls=Command, help=t("列出登记的网站、系统和网段", "List what is registered"))
def list_register(
    under: UnderOption = None,
    kind: Annotated[
        str, typer.Option("--kind", metavar="website|system|network", help=t("只看一类", "Only one kind"))
    ] = "",
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List registered entries."""
    with open_collector(profile) as collector:
        show(
            collector.items("/api/v1/register", under=under, kind=kind or None, limit=500),
            SCHEMA,
            (
                Column(t("单位", "UNIT"), lambda entry: f"{entry['unit']} {entry['unit_name']}"),
                Column(t("类别", "KIND"), lambda entry: word(entry["kind"])),
                Column(t("地址", "ADDRESS"), lambda entry: entry["address"]),
                Column(t("名称", "NAME"), lambda entry: entry["name"]),
                Column(t("所属系统", "SYSTEM"), lambda entry: entry["system"]),
                Column(t("等保级别", "LEVEL"), lambda entry: entry["mlps_level"] or ""),
                Column(t("责任人", "OWNER"), lambda entry: entry["owner"]),
                Column(t("来源", "SOURCE"), lambda entry: word(entry["source"])),
                Column(t("编号", "ID"), lambda entry: entry["id"]),
            ),
            as_json=as_json,
        )


@app.command(
    "seed",
    cls=Command,
    help=t(
        "把白名单中已批准、尚未登记的域名登记为网站，并逐条列出。",
        "Register approved domains of the whitelist that are not registered yet, and name each of them.",
    ),
)
def seed_register(unit: UnitOption = None, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Register the domains of the whitelist."""
    path = "/api/v1/register/seed"
    with open_collector(profile) as collector:
        imported(collector.send_file(path, b"", unit=unit), as_json=as_json)


@app.command("remove", cls=Command, help=t("从登记表中删除一条", "Take an entry out of the register"))
def remove_registered(
    ident: Annotated[str, typer.Argument(metavar="ID", help=t("编号，见 site list", "Its id, see site list"))],
    profile: ProfileOption = None,
) -> None:
    """Remove one entry."""
    with open_collector(profile) as collector:
        gone = collector.post(f"/api/v1/register/{path_part(ident)}/remove", {})
        print(t("已删除", "removed"), safe(gone["address"]))
