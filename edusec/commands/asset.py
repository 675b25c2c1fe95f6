"""`edusec asset`: the inventory."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from edusec.client import open_collector, path_part
from edusec.command import Command, JsonOption, ProfileOption, UnderOption, group
from edusec.lang import t
from edusec.listing import Column, details, show
from edusec.words import moment, word

app = group(t("资产台账", "The inventory of assets"))


@app.command("list", cls=Command, help=t("列出资产", "List the assets"))
def list_assets(
    under: UnderOption = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            metavar="TEXT",
            help=t("按地址、MAC、名称或端口筛选", "Filter by address, MAC, name or port"),
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help=t("最多列出几条", "At most so many"))] = 200,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the assets of a subtree."""
    with open_collector(profile) as collector:
        assets = collector.items("/api/v1/assets", under=under, q=query, limit=min(limit, 500))
        show(
            islice(assets, limit),
            "edusec.asset/1",
            (
                Column("ID", lambda asset: asset["id"]),
                Column(t("单位", "UNIT"), lambda asset: asset["unit_name"]),
                Column(t("名称", "NAME"), lambda asset: asset["name"]),
                Column(t("地址", "ADDRESSES"), lambda asset: " ".join(asset["addresses"])),
                Column(t("状态", "PRESENCE"), lambda asset: word(asset["presence"])),
                Column(t("白名单", "STANDING"), lambda asset: word(asset["standing"]), _standing_style),
                Column(t("开放端口", "OPEN PORTS"), _open_ports),
                Column(t("最近确认", "LAST CONFIRMED"), lambda asset: moment(asset["last_confirmed"])),
            ),
            as_json=as_json,
        )


@app.command("show", cls=Command, help=t("查看一项资产及其变化", "Show one asset and its history"))
def show_asset(
    identifier: Annotated[str, typer.Argument(metavar="ID", help=t("资产编号", "The asset's id"))],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one asset."""
    with open_collector(profile) as collector:
        asset = collector.get(f"/api/v1/assets/{path_part(identifier)}")
    details(
        asset,
        "edusec.asset/1",
        (
            ("ID", asset["id"]),
            (t("单位", "Unit"), f"{asset['unit_name']} ({asset['unit']})"),
            (t("名称", "Name"), asset["name"]),
            (t("地址", "Addresses"), "\n".join(asset["addresses"])),
            ("MAC", "\n".join(asset["macs"])),
            (t("状态", "Presence"), word(asset["presence"])),
            (t("白名单", "Standing"), word(asset["standing"])),
            (t("首次发现", "First seen"), moment(asset["first_seen"])),
            (t("最近确认", "Last confirmed"), moment(asset["last_confirmed"])),
            (t("服务", "Services"), "\n".join(_service_line(service) for service in asset["services"])),
            (t("身份依据", "Identity"), "\n".join(f"{item['kind']} {item['value']}" for item in asset["evidence"])),
            (t("变化", "Changes"), "\n".join(_change_line(change) for change in asset["changes"])),
        ),
        as_json=as_json,
    )


def _open_ports(asset: Mapping[str, Any]) -> str:
    found = {(service["port"], service["transport"]) for service in asset["services"] if service["state"] == "open"}
    return " ".join(f"{port}/{transport}" for port, transport in sorted(found))


def _service_line(service: Mapping[str, Any]) -> str:
    port = f"{service['port']}/{service['transport']}"
    said = [service["address"], port, word(service["state"]), word(service["standing"]), service["product"] or ""]
    return "  ".join(part for part in said if part)


def _change_line(change: Mapping[str, Any]) -> str:
    return f"{moment(change['time'])}  {change['what']}: {word(change['before'])} → {word(change['after'])}"


def _standing_style(text: str) -> str:
    return {word("unlisted"): "red", word("expired"): "yellow", word("listed"): "green"}.get(text, "")
