"""`edusec ipv6 report`: how far a unit and those below it have come, and the list of what fails."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edusec.client import Collector, open_collector
from edusec.declare.grades import COLOURS
from edusec.declare.options import JsonOption, ProfileOption, UnitOption
from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import deliver
from edusec.terminal.listing import Column, show
from edusec.terminal.render import json_line, safe, table
from edusec.terminal.words import word
from probes.kit.ipv6.ladder import NAMES, Rung

SCHEMA = "edusec.ipv6-report/1"
FORMS = ("csv", "xlsx")
Item = Mapping[str, Any]


def report(
    unit: UnitOption = None,
    trend: Annotated[bool, typer.Option("--trend", help=t("另列每周变化", "Also show the weeks before"))] = False,
    sites: Annotated[
        bool, typer.Option("--sites", help=t("另列未达标的登记项", "Also list what is registered and falls short"))
    ] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="csv|xlsx",
            help=t("把未通过项导出为文件（与 -o 同用）", "Export what fails as a file (with -o)"),
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help=t("导出到此文件", "The file to export into")),
    ] = None,
    registered: Annotated[
        bool, typer.Option("--registered", help=t("只导出已登记网站的", "Export only those of registered websites"))
    ] = False,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the report, or export what fails."""
    form = form or (output.suffix.removeprefix(".").lower() if output is not None else "")
    if form and form not in FORMS:
        raise Stop(t(f"--format：{form} 不是 csv 或 xlsx", f"--format: {form} is neither csv nor xlsx"))
    with open_collector(profile) as collector:
        if form:
            query = {"under": unit, "format": form, "lang": current(), "registered": str(registered).lower()}
            deliver(collector.raw("GET", "/api/v1/ipv6/failures/export", query), output)
            return
        found = collector.get("/api/v1/ipv6/report", unit=unit, trend=str(trend).lower())
        if as_json:
            print(json_line({"schema": SCHEMA, **found}))
        else:
            _show(found)
        if sites:
            _show_sites(collector, unit, as_json=as_json)


def _show(found: Item) -> None:
    total = found["total"]
    print(safe(f"{total['unit']} {total['unit_name']}".strip() or t("全部单位", "all units")))
    _show_target(found)
    columns = (
        Column(t("单位", "UNIT"), lambda item: f"{item['unit']} {item['unit_name']}".strip() or t("合计", "total")),
        Column(t("网络", "NETWORKS"), lambda item: share(item["networks"]), _style),
        Column(t("网站", "WEBSITES"), lambda item: share(item["websites"]), _style),
        Column(t("信息系统", "SYSTEMS"), lambda item: share(item["systems"]), _style),
        Column(t("等级", "LEVEL"), _level),
        Column(t("达标", "COMPLIANT"), lambda item: verdict(item["compliant"])),
        Column(t("达标学校", "SCHOOLS COMPLIANT"), lambda item: share(item["schools"], mark=False)),
        Column(t("安全（另计）", "SECURITY (APART)"), lambda item: _light(item["light"]), _light_style),
    )
    show([total, *found["children"]], "", columns, as_json=False)
    _show_coverage(found["coverage"])
    print(t("已发现而未登记的网站（不计入）", "found but registered by nobody (not counted)"), found["unregistered"])
    if found["traffic"]:
        _show_traffic(found["traffic"])
    print()
    _show_forecast(found["forecast_estimate"])
    if found["weeks"]:
        print()
        _show_weeks(found["weeks"])


def _show_coverage(coverage: Item) -> None:
    full, schools = verdict(coverage["full"]), share(coverage["reporting"], mark=False)
    networks = share(coverage["networks"], mark=False)
    print(
        t(
            f"全覆盖 {full}：24 小时内上报的学校 {schools}，终端使用 IPv6 的登记网段 {networks}",
            f"full coverage {full}: schools that reported within 24 h {schools}, "
            f"registered networks whose clients use IPv6 {networks}",
        )
    )


def _show_forecast(indicators: Sequence[Item]) -> None:
    print(
        t(
            "国家监测平台七项指标：本系统估算，非平台结果",
            "national platform, seven indicators: our estimate, not its result",
        )
    )
    rows = [
        [item["title"][current()], ", ".join(item["checks"]), share(item["websites"], mark=False)]
        for item in indicators
    ]
    table([t("指标", "INDICATOR"), t("检查项", "CHECKS"), t("网站", "WEBSITES")], rows)


def _show_weeks(weeks: Sequence[Item]) -> None:
    columns = (
        Column(t("周（周一）", "WEEK (MONDAY)"), lambda week: week["week"]),
        Column(t("网络", "NETWORKS"), lambda week: share(week["networks"], mark=False)),
        Column(t("网站", "WEBSITES"), lambda week: share(week["websites"], mark=False)),
        Column(t("信息系统", "SYSTEMS"), lambda week: share(week["systems"], mark=False)),
    )
    show(weeks, "", columns, as_json=False)


def _show_traffic(flows: Item) -> None:
    part = word(None) if flows["share"] is None else f"{flows['share']:.1%}"
    slope = word(None) if flows["slope"] is None else f"{flows['slope']:+.1%}"
    fell = {"yes": t("是", "yes"), "no": t("否", "no")}.get(flows["dropped"], word(None))
    confidence = word(flows["confidence"])
    print(
        t(
            f"出口流量 IPv6 占比（{flows['units']} 个单位合计）{part}，每周变化 {slope}，较上周同日骤降 {fell}，"
            f"可信度 {confidence}",
            f"share of IPv6 in traffic (sum of {flows['units']} units) {part}, a week {slope}, "
            f"dropped against the same weekday {fell}, confidence {confidence}",
        )
    )
    for line in flows["v4_only"]:
        name, _, size = line.rpartition(" ")
        print(t("  仅 IPv4：", "  IPv4 only:"), safe(name), t(f"{safe(size)} 字节", f"{safe(size)} bytes"))


def _show_target(found: Item) -> None:
    target, coming = found["target"], found["next_target"]
    if target is not None:
        told = t(f"自 {target['due']} 起不低于 {target['value']:.0%}", f"{target['value']:.0%} since {target['due']}")
        name = t("本地目标", "local target") if target["local"] else t("政策目标", "policy target")
        print(name, safe(f"{told} ({_source(target)})"))
    else:
        print(t("本省没有已生效的 IPv6 比例目标", "no IPv6 ratio of the province's plan is in force"))
    if coming is not None:
        told = t(f"{coming['due']} 起 {coming['value']:.0%}", f"{coming['value']:.0%} from {coming['due']}")
        name = t("下一目标（本地）", "next target (local)") if coming["local"] else t("下一目标", "next target")
        print(name, safe(f"{told} ({_source(coming)})"))


def _source(target: Item) -> str:
    return f"{target['document']} {target['section']}".strip()


def _show_sites(collector: Collector, unit: str | None, *, as_json: bool) -> None:
    if not as_json:
        print()
    show(
        collector.items("/api/v1/ipv6/sites", under=unit, below=Rung.SUPPORTED.value, limit=500),
        "edusec.ipv6-site/1",
        (
            Column(t("单位", "UNIT"), lambda item: f"{item['unit']} {item['unit_name']}"),
            Column(t("类别", "KIND"), lambda item: word(item["kind"])),
            Column(t("地址", "ADDRESS"), lambda item: item["address"]),
            Column(t("等级", "LEVEL"), _level),
            Column(t("未通过", "FAILED"), lambda item: ", ".join(item["failed"])),
            Column(t("未知", "UNKNOWN"), lambda item: ", ".join(item["unclear"])),
        ),
        as_json=as_json,
    )


def share(item: Item, *, mark: bool = True) -> str:
    """Write `n of m (k unknown) 82-88% no`."""
    unknown = t(f"（{item['unknown']} 个未知）", f" ({item['unknown']} unknown)") if item["unknown"] else ""
    counted = t(f"{item['passed']}/{item['total']}{unknown}", f"{item['passed']} of {item['total']}{unknown}")
    return " ".join((counted, item["range"], *((verdict(item["met"]),) if mark else ())))


def verdict(answer: str) -> str:
    """Say yes, no or unknown."""
    return {"yes": t("达标", "met"), "no": t("未达标", "missed")}.get(answer, word(None))


def _style(text: str) -> str:
    return {t("达标", "met"): "green", t("未达标", "missed"): "red"}.get(text.rpartition(" ")[2], "")


def _light(colour: str) -> str:
    return t("无告警", "no alert") if colour == COLOURS[0] else word(colour)


def _light_style(text: str) -> str:
    return next((colour for colour in COLOURS[1:] if word(colour) == text), "")


def _level(item: Item) -> str:
    low, high = item["confirmed"], item["possible"]
    name = NAMES[Rung(low)](current())
    return f"{low} {name}" if low == high else t(f"{low} {name}，可能 {high}", f"{low} {name}, possibly {high}")
