"""`edusec unit`: the tree of units."""

from pathlib import Path
from typing import Annotated

import typer

from edusec.client import open_collector
from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption, ProfileOption, UnderOption
from edusec.importing import import_file
from edusec.lang import t
from edusec.terminal.listing import Column, show
from edusec.terminal.words import word

app = group(t("单位树：省、市、县、学校", "The tree of units: province, city, county, school"))


@app.command(
    "import",
    cls=Command,
    help=t(
        "导入单位树。CSV、TSV 或 XLSX，列：code、name、kind、parent、division_code。有错则不改动任何内容。",
        "Import the tree of units from CSV, TSV or XLSX with the columns code, name, kind, parent, division_code. "
        "A file with a fault changes nothing.",
    ),
)
def import_units(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=t("文件", "The file"))],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import units."""
    import_file("/api/v1/units/import", file, profile, as_json=as_json)


@app.command("list", cls=Command, help=t("列出单位", "List the units"))
def list_units(under: UnderOption = None, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    with open_collector(profile) as collector:
        show(
            collector.items("/api/v1/units", under=under),
            "edusec.unit/1",
            (
                Column(t("代码", "CODE"), lambda unit: unit["code"]),
                Column(
                    t("名称", "NAME"),
                    lambda unit: "  " * max(0, len(unit["path"].strip("/").split("/")) - 1) + unit["name"],
                ),
                Column(t("类别", "KIND"), lambda unit: word(unit["kind"])),
                Column(t("代理", "AGENTS"), lambda unit: unit["agents"]),
                Column(t("资产", "ASSETS"), lambda unit: unit["assets"]),
                Column(t("告警", "ALERTS"), lambda unit: unit["alerts"]),
            ),
            as_json=as_json,
        )
