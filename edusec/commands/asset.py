"""`edusec asset`: the inventory."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from edusec.client import Collector, open_collector, path_part
from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption, ProfileOption, SheetOption, UnderOption, Vantage, VantageOption
from edusec.exits import Stop
from edusec.importing import import_file
from edusec.lang import t
from edusec.terminal.listing import Column, details, show
from edusec.terminal.render import safe
from edusec.terminal.words import moment, word
from wire.whitelist import normal_mac

app = group(t("资产台账", "The inventory of assets"))

_MOST_NAMED = 20
_SHOWN = 200
_PAGE = 500

Identifier = Annotated[str, typer.Argument(metavar="ID", help=t("资产编号", "The asset's id"))]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help=t("理由（记入审计）", "Why (kept in the audit)"))]


class Exposure(StrEnum):
    """From where a service can be reached."""

    INTERNET = "internet"
    EDU_PRIVATE_NET = "edu_private_net"
    CAMPUS_LAN = "campus_lan"
    NOT_INTERNET = "not_internet"
    UNKNOWN = "unknown"


@app.command("list", cls=Command, help=t("列出资产", "List the assets"))
def list_assets(
    under: UnderOption = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            metavar="TEXT",
            help=t(
                "按地址、MAC、名称，或字段筛选，如 'port:3389 standing:unlisted'、maker:hikvision",
                "Filter by address, MAC, name, or by fields: 'port:3389 standing:unlisted', maker:hikvision",
            ),
        ),
    ] = None,
    exposure: Annotated[
        Exposure | None,
        typer.Option(
            help=t(
                "只列出有开放端口可从该处访问的资产（unknown：无人从该处看过）",
                "Only with an open port that can be reached from there (unknown: nobody looked)",
            )
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help=t(
                f"最多列出几条（默认 {_SHOWN}，写文件时不限）", f"At most so many (default: {_SHOWN}; all for a file)"
            ),
        ),
    ] = None,
    output: SheetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the assets of a subtree."""
    if exposure is not None:
        query = f"exposure:{exposure.value} {query or ''}".strip()
    most = limit or (None if output else _SHOWN)
    with open_collector(profile) as collector:
        assets = collector.items("/api/v1/assets", under=under, q=query, limit=min(most or _PAGE, _PAGE))
        shown = show(
            islice(assets, most),
            "edusec.asset/1",
            (
                Column("ID", lambda asset: asset["id"]),
                Column(t("单位", "UNIT"), lambda asset: asset["unit_name"]),
                Column(t("名称", "NAME"), lambda asset: asset["name"]),
                Column(t("地址", "ADDRESSES"), lambda asset: " ".join(asset["addresses"])),
                Column(t("网卡厂商", "CARD MAKER"), _makers),
                Column(t("状态", "PRESENCE"), lambda asset: word(asset["presence"])),
                Column(t("白名单", "STANDING"), lambda asset: word(asset["standing"]), _standing_style),
                Column(t("开放端口", "OPEN PORTS"), _open_ports),
                Column(t("暴露于互联网", "ON THE INTERNET"), _exposed_ports, _exposed_style),
                Column(t("最近确认", "LAST CONFIRMED"), lambda asset: moment(asset["last_confirmed"])),
            ),
            as_json=as_json,
            output=output,
        )
        if exposure not in (None, Exposure.UNKNOWN) and not shown:
            print(
                t(
                    "没有人从该处看过的不在其中，它们是未知：--exposure unknown",
                    "what nobody looked at from there is not among them but unknown: --exposure unknown",
                ),
                file=sys.stderr,
            )
        if shown == most and next(assets, None) is not None:
            print(
                t(f"只列出前 {most} 条，其余见 --limit", f"only the first {most}; --limit gives more"), file=sys.stderr
            )


@app.command(
    "import",
    cls=Command,
    help=t(
        "导入 nmap 的 XML（-oX）：全部导入，或有一处错误则什么都不改",
        "Import a scan that nmap wrote as XML (-oX): all of it or, with one fault, nothing",
    ),
)
def import_scan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=t("nmap -oX 的文件", "A file of nmap -oX"))],
    unit: Annotated[str, typer.Option("--unit", metavar="CODE", help=t("被扫描的单位", "The unit that was scanned"))],
    vantage: VantageOption = Vantage.UNKNOWN,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand a file over."""
    import_file("/api/v1/assets/import", file, profile, as_json=as_json, unit=unit, vantage=vantage.value)


@app.command("show", cls=Command, help=t("查看一项资产及其变化", "Show one asset and its history"))
def show_asset(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help=t("资产编号，或其地址、MAC", "The asset's id, address or MAC"))
    ],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one asset."""
    with open_collector(profile) as collector:
        asset = collector.get(f"/api/v1/assets/{path_part(_id_of(collector, identifier))}")
    _print_asset(asset, as_json=as_json)


@app.command(
    "merge",
    cls=Command,
    help=t(
        "两项资产其实是同一台设备：把第一项并入第二项（可用 split 撤销）",
        "Two assets are one device: merge the first into the second (split takes it back)",
    ),
)
def merge_asset(
    identifier: Identifier,
    into: Annotated[str, typer.Argument(metavar="INTO", help=t("保留的资产编号", "The asset that lives on"))],
    reason: Reason,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge two assets and print the one that lives on."""
    with open_collector(profile) as collector:
        asset = collector.post(f"/api/v1/assets/{path_part(identifier)}/merge", {"into": into, "note": reason})
    _print_asset(asset, as_json=as_json)


@app.command(
    "split",
    cls=Command,
    help=t(
        "撤销一次合并：两台设备此后不会再自动合并",
        "Take a merge back: the two devices are never merged by themselves again",
    ),
)
def split_asset(
    identifier: Identifier, reason: Reason, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """Split an asset off again and print it."""
    with open_collector(profile) as collector:
        asset = collector.post(f"/api/v1/assets/{path_part(identifier)}/split", {"note": reason})
    _print_asset(asset, as_json=as_json)


_DRIFT: Mapping[str, str] = {
    "new": t("新增", "new"),
    "changed": t("变更", "changed"),
    "vanished": t("消失", "vanished"),
    "returned": t("恢复", "returned"),
}


class DriftKind(StrEnum):
    """What may be asked for."""

    NEW = "new"
    CHANGED = "changed"
    VANISHED = "vanished"
    RETURNED = "returned"


@app.command(
    "drift",
    cls=Command,
    help=t(
        "变化：新增、变更、消失、恢复的主机、端口与产品（首次扫描为基线，未覆盖的不算消失）",
        "What is new, changed, vanished or returned, for each host, port and product (the first scan is the baseline; "
        "what no scan covered has not vanished)",
    ),
)
def drift(
    under: UnderOption = None,
    days: Annotated[
        float, typer.Option(metavar="N", min=0, max=3660, help=t("最近几天", "Of the last so many days"))
    ] = 7,
    kind: Annotated[DriftKind | None, typer.Option(help=t("只看一类变化", "Only changes of one kind"))] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help=t("最多列出几条", "At most so many"))
    ] = 1000,
    output: SheetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the changes of a subtree, newest first."""
    since = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with open_collector(profile) as collector:
        show(
            collector.items("/api/v1/drift", under=under, since=since, kind=kind and kind.value, limit=limit),
            "edusec.drift/1",
            (
                Column(t("时间", "TIME"), lambda item: moment(item["time"])),
                Column(t("单位", "UNIT"), lambda item: item["unit_name"]),
                Column(t("变化", "CHANGE"), lambda item: _DRIFT.get(item["what"], item["what"]), _drift_style),
                Column(t("对象", "SUBJECT"), lambda item: item["subject"]["label"] or item["asset"]),
                Column(t("项目", "WHAT"), lambda item: item["field"]),
                Column(t("原来", "BEFORE"), lambda item: word(item["before"])),
                Column(t("现在", "AFTER"), lambda item: word(item["after"])),
                Column(t("资产", "ASSET"), lambda item: item["asset"]),
            ),
            as_json=as_json,
            output=output,
        )


def _id_of(collector: Collector, named: str) -> str:
    """Give the id of the only asset that has an address or a MAC; an id is given back as it is.

    Raises Stop when none has it, or several (the same address in two schools): these are named then.
    """
    mac = normal_mac(named)
    if not mac and "." not in named and ":" not in named:
        return named
    found = list(islice(collector.items("/api/v1/assets", q=f"mac:{mac}" if mac else f"ip:{named}"), _MOST_NAMED))
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise Stop(
            t(f"没有资产是 {named}（或不在您的管辖范围内）", f"no asset is {named} (or it is outside your units)")
        )
    lines = [safe(f"  {asset['id']}  {asset['unit_name']}  {' '.join(asset['addresses'])}") for asset in found]
    raise Stop("\n".join([t("不止一项，请给出编号：", "more than one, give the id:"), *lines]))


def _print_asset(asset: Mapping[str, Any], *, as_json: bool) -> None:
    details(
        asset,
        "edusec.asset/1",
        (
            ("ID", asset["id"]),
            (t("单位", "Unit"), f"{asset['unit_name']} ({asset['unit']})"),
            (t("名称", "Name"), asset["name"]),
            (t("地址", "Addresses"), "\n".join(asset["addresses"])),
            ("MAC", "\n".join(asset["macs"])),
            (t("网卡厂商", "Card maker"), "\n".join(map(_maker_line, asset["makers"]))),
            (t("状态", "Presence"), word(asset["presence"])),
            (t("白名单", "Standing"), word(asset["standing"])),
            (t("首次发现", "First seen"), moment(asset["first_seen"])),
            (t("最近确认", "Last confirmed"), moment(asset["last_confirmed"])),
            (t("服务", "Services"), "\n".join(_service_line(service) for service in asset["services"])),
            (t("身份依据", "Identity"), "\n".join(map(_proof_line, asset["evidence"]))),
            (t("变化", "Changes"), "\n".join(_change_line(change) for change in asset["changes"])),
        ),
        as_json=as_json,
    )


def _makers(asset: Mapping[str, Any]) -> str:
    return " / ".join(maker["name"] for maker in asset["makers"])


def _maker_line(maker: Mapping[str, Any]) -> str:
    prefix, confidence, source = maker["prefix"], maker["confidence"], maker["source"]
    return t(
        f"{maker['name']}  依据：MAC 前缀 {prefix}（名录：{source}），可信度 {confidence}",
        f"{maker['name']}  by the MAC prefix {prefix} (list: {source}), confidence {confidence}",
    )


def _open_ports(asset: Mapping[str, Any]) -> str:
    return _ports(service for service in asset["services"] if service["state"] == "open")


def _exposed_ports(asset: Mapping[str, Any]) -> str:
    """Name the ports that are exposed; a question mark where nobody looked at some that are open."""
    opened = [service for service in asset["services"] if service["state"] == "open"]
    exposed = _ports(service for service in opened if service["exposure"] == Exposure.INTERNET)
    return f"{exposed} ?".strip() if any(service["exposure"] == Exposure.UNKNOWN for service in opened) else exposed


def _ports(services: Iterable[Mapping[str, Any]]) -> str:
    found = {(service["port"], service["transport"]) for service in services}
    return " ".join(f"{port}/{transport}" for port, transport in sorted(found))


def _exposed_style(text: str) -> str:
    return "red" if any(char.isdigit() for char in text) else ""


def _service_line(service: Mapping[str, Any]) -> str:
    port = f"{service['port']}/{service['transport']}"
    said = [service["address"], port, word(service["state"]), word(service["standing"]), service["product"] or ""]
    if service["exposure"] != Exposure.UNKNOWN:
        place, by = word(service["exposure"]), service["exposure_by"]
        when = moment(service["exposure_confirmed"])
        said.append(t(f"可达范围：{place}（{by}，{when}）", f"reached from: {place} ({by}, {when})"))
    return "  ".join(part for part in said if part)


def _proof_line(proof: Mapping[str, Any]) -> str:
    return f"{proof['kind']} {proof['value']}  {proof['weight']:.1f}"


def _drift_style(text: str) -> str:
    return {_DRIFT["new"]: "yellow", _DRIFT["vanished"]: "magenta", _DRIFT["changed"]: "cyan"}.get(text, "")


def _change_line(change: Mapping[str, Any]) -> str:
    return f"{moment(change['time'])}  {change['what']}: {word(change['before'])} → {word(change['after'])}"


def _standing_style(text: str) -> str:
    return {word("unlisted"): "red", word("expired"): "yellow", word("listed"): "green"}.get(text, "")
