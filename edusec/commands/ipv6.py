"""`edusec ipv6`: how ready sites are for IPv6, check by check, with what was seen and what mends it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.job import Job
from edusec.command import Command, JsonOption, ProfileOption, ScopeOption, UnderOption, group
from edusec.exits import ExitCode, Stop
from edusec.files import read_input, write_atomically
from edusec.flags import check_options, given, with_flags
from edusec.lang import current, t
from edusec.places import scope_file
from edusec.readiness.lines import SCHEMA, Line, check_line, in_order, show_checks, show_skipped, skipped_lines
from edusec.readiness.local import VANTAGE, local
from edusec.readiness.report import report
from edusec.render import json_line, safe
from edusec.running import run_job
from probes.kit import registry
from probes.kit.ipv6.catalogue import CATALOGUE
from probes.kit.ipv6.ladder import NAMES, Rung, climb, forecast
from probes.kit.ipv6.model import Verdict
from probes.kit.options import describe
from probes.kit.scope_file import load_scope
from probes.kit.web import urls_of
from wire.types import RunStatus, Section, TargetKind, Value

app = group(t("IPv6 就绪度：逐项检查网站和域名", "IPv6 readiness: sites and zones, check by check"))

SITE, ZONE = "site_ipv6", "zone_ipv6"
AT_A_TIME = 1000
"""Targets of one probe run; more are checked in several."""


@app.callback()
def ipv6() -> None:
    """Hold the subcommands."""


def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOMAIN|URL", show_default=False, help=t("域名或网址", "Domains or URLs")),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help=t("每行一个域名或网址的文件，# 为注释", "A file with a domain or URL a line; # begins a comment"),
        ),
    ] = None,
    registered: Annotated[
        bool,
        typer.Option(
            "--registered", help=t("检查采集中心登记的网站", "Check the sites that the collector has registered")
        ),
    ] = False,
    under: UnderOption = None,
    profile: ProfileOption = None,
    zone: Annotated[bool, typer.Option("--zone/--no-zone", help=t("是否检查域名区", "Check the zones too"))] = True,
    root_hints: Annotated[
        list[str] | None,
        typer.Option("--root-hint", metavar="ADDRESS", help=t("根服务器的 IPv6 地址", "IPv6 address of a root server")),
    ] = None,
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help=t("另把 JSON Lines 写入文件", "Also write JSON Lines into a file")
        ),
    ] = None,
    scope: ScopeOption = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", min=1, max=86_400, help=t("最长运行秒数", "Longest time it may take")),
    ] = 3600,
    quiet: Annotated[bool, typer.Option("--quiet", help=t("不显示进度", "Show no progress"))] = False,
    **options: Any,
) -> int:
    """Check sites and, unless told otherwise, their zones."""
    wanted = _targets(targets or [], file, _registered(under, profile) if registered else ())
    chosen = given(options)
    if "self_targets" not in chosen and (text := os.environ.get("EDUSEC_SELF_TARGETS")):
        chosen["self_targets"] = tuple(text.split(","))
    shared = {name: value for name, value in chosen.items() if name in _names(ZONE)}
    jobs = [(SITE, chosen)]
    if zone:
        jobs.append((ZONE, {**shared, **({"root_hints": tuple(root_hints)} if root_hints else {})}))
    for name, values in jobs:
        check_options(name, {**values, "targets": wanted[:AT_A_TIME]})
    entries = load_scope(scope or scope_file(), datetime.now(UTC).date()).entries
    sections: list[Section] = []
    interrupted = False
    for start in range(0, len(wanted), AT_A_TIME):
        for name, values in jobs:
            if interrupted:
                break
            full: dict[str, Value] = {**values, "targets": wanted[start : start + AT_A_TIME]}
            ran = run_job(Job(name, name, seconds, full, entries), quiet=quiet)
            sections.append(ran.section)
            interrupted = ran.interrupted
    found = _lines(sections, wanted)
    if output is not None:
        write_atomically(output, "".join(json_line(line) + "\n" for line in found).encode())
    if as_json:
        for line in found:
            print(json_line(line))
    else:
        _show(found)
    if interrupted:
        return ExitCode.INTERRUPTED
    return _exit_code(sections, found)


def _exit_code(sections: Sequence[Section], found: Sequence[Line]) -> ExitCode:
    """Failures of sites weigh most; a vantage point that could judge nobody has done only part of its work."""
    verdicts = [(line["id"], line["verdict"]) for line in found if line["type"] == "check"]
    if any(verdict == Verdict.FAIL and name != "NET-SELF" for name, verdict in verdicts):
        return ExitCode.FINDINGS
    whole = all(section.status is RunStatus.DONE for section in sections)
    blind = ("NET-SELF", Verdict.PASS.value) not in verdicts
    skipped = any(line["type"] == "skipped" for line in found)
    return ExitCode.PARTIAL if blind or skipped or not whole else ExitCode.CLEAN


def _names(probe: str) -> frozenset[str]:
    return frozenset(item.name for item in describe(registry.load(probe)))


def _registered(under: str | None, profile: Path | None) -> tuple[str, ...]:
    """Ask the collector which sites are registered below a unit."""
    from edusec.client import open_collector

    with open_collector(profile) as collector:
        return tuple(
            str(entry["address"])
            for entry in collector.items("/api/v1/register", under=under, limit=500)
            if entry["kind"] != "network"
        )


def _targets(words: Sequence[str], file: Path | None, registered: Sequence[str]) -> tuple[str, ...]:
    """Read and check every target before anything is sent; a fault names its file and line."""
    found = [("", word) for word in (*words, *registered)]
    if file is not None:
        try:
            text = read_input(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Stop(t(f"{file}：不是 UTF-8 文本", f"{file}: is not UTF-8 text, {error}")) from None
        for number, line in enumerate(text.splitlines(), start=1):
            word = line.partition("#")[0].strip()
            if word:
                found.append((f"{file}:{number}: ", word))
    for place, word in found:
        try:
            urls_of(word)
        except ValueError as error:
            raise Stop(f"{place}{error}") from None
    if not found:
        raise Stop(
            t(
                "缺少目标，例如：edusec ipv6 check www.example.edu.cn",
                "no target; try: edusec ipv6 check www.example.edu.cn",
            )
        )
    return tuple(dict.fromkeys(word for _, word in found))


def _lines(sections: Iterable[Section], targets: Sequence[str]) -> list[Line]:
    """Give a line for each check, then one for each site's level, in the order in which the sites were named."""
    checks: dict[str, dict[str, Line]] = {target: {} for target in targets}
    found: list[Line] = []
    for section in sections:
        for item in section.body.observations if section.body is not None else ():
            if item.method == "NET-SELF" and not any(line.get("id") == "NET-SELF" for line in found):
                found.append(check_line(item))
            elif item.target.kind is TargetKind.SITE and item.method in CATALOGUE:
                checks.setdefault(item.target.name, {})[item.method] = check_line(item)
        found.extend(skipped_lines(section))
    for target, by_id in checks.items():
        ordered = in_order(by_id.values())
        found.extend(ordered)
        if ordered:
            found.append(_level_line(target, {line["id"]: Verdict(line["verdict"]) for line in ordered}))
    return found


def _level_line(target: str, verdicts: Mapping[str, Verdict]) -> Line:
    level = climb(verdicts)
    return {
        "schema": SCHEMA,
        "type": "level",
        "target": target,
        "confirmed": level.confirmed.value,
        "possible": level.possible.value,
        "confirmed_name": NAMES[level.confirmed]._asdict(),
        "possible_name": NAMES[level.possible]._asdict(),
        "forecast_estimate": [verdict.value for verdict in forecast(verdicts)],
    }


def _show(found: Sequence[Line]) -> None:
    show_checks(found)
    for line in found:
        if line["type"] == "level":
            _show_level(line)
        elif line["type"] == "skipped":
            show_skipped(line)


def _show_level(line: Line) -> None:
    low, high = line["confirmed_name"][current()], line["possible_name"][current()]
    top = Rung.SINGLE_STACK.value
    if line["confirmed"] == line["possible"]:
        told = f"{line['confirmed']}/{top} {low}"
    else:
        told = t(
            f"已确认 {line['confirmed']}/{top} {low}，可能达到 {line['possible']}/{top} {high}",
            f"confirmed {line['confirmed']}/{top} {low}, possibly {line['possible']}/{top} {high}",
        )
    print(t("等级", "level"), safe(line["target"]), told)


app.command(
    "check",
    cls=Command,
    help=t(
        "检查网站（及其域名区）的 IPv6 就绪度，每项给出结论、证据和处理办法。只在授权范围内发送数据包；"
        "本机 IPv6 须先由三个自检目标证明（--self-targets 或环境变量 EDUSEC_SELF_TARGETS），否则一切为“未知”。",
        "Check how ready sites and their zones are for IPv6: verdict, evidence and fix, check by check. Sends within "
        "the authorised scope only. This machine's own IPv6 must be proven by three targets first (--self-targets or "
        "the variable EDUSEC_SELF_TARGETS), or everything is unknown.",
    ),
    epilog=t(
        "示例：\n"
        "  edusec ipv6 check www.example.edu.cn --self-targets 2001:db8::1 --self-targets 2001:db8:1::1 "
        "--self-targets 2001:db8:2::1\n"
        "  edusec ipv6 check --file sites.txt --json | jq -c 'select(.verdict == \"fail\")'",
        "Examples:\n"
        "  edusec ipv6 check www.example.edu.cn --self-targets 2001:db8::1 --self-targets 2001:db8:1::1 "
        "--self-targets 2001:db8:2::1\n"
        "  edusec ipv6 check --file sites.txt --json | jq -c 'select(.verdict == \"fail\")'",
    ),
)(with_flags(check, (item for item in describe(registry.load(SITE)) if item.name != "targets")))
app.command(
    "local",
    cls=Command,
    help=t(
        "检查本机（探测点）、其局域网和出口流量的 IPv6，每项给出结论、证据和处理办法。对照的目标须配置并在授权范围内，"
        "否则相应的项为“未知”并说明应配置什么。",
        "Check the IPv6 of this machine (the vantage point), of its LAN and of its traffic: verdict, evidence and fix, "
        "check by check. What is compared with must be set and in scope; a check that lacks it is unknown and says "
        "what to set.",
    ),
    epilog=t(
        "示例：\n  edusec ipv6 local --dual-targets www.example.org --independent-resolvers 2001:db8:53::1\n"
        "  edusec ipv6 local --json | jq -c 'select(.verdict == \"fail\")'",
        "Examples:\n  edusec ipv6 local --dual-targets www.example.org --independent-resolvers 2001:db8:53::1\n"
        "  edusec ipv6 local --json | jq -c 'select(.verdict == \"fail\")'",
    ),
)(with_flags(local, describe(registry.load(VANTAGE))))

app.command(
    "report",
    cls=Command,
    help=t(
        "报告一个单位及其下级的 IPv6 就绪度：网络、网站、信息系统三项比例与政策目标对照，未知计入分母；"
        "用 --format 导出未通过项（来源页面、链接、级别、结果、证据、处理办法）。",
        "Report how ready a unit and those below it are for IPv6: the ratios of networks, websites and systems against "
        "the policy target, the unknown counted in. --format exports what fails: source page, link, level, result, "
        "evidence, mend.",
    ),
    epilog=t(
        "示例：\n  edusec ipv6 report --unit 320102 --trend\n"
        "  edusec ipv6 report --unit 320102 --format xlsx -o links.xlsx",
        "Examples:\n  edusec ipv6 report --unit 320102 --trend\n"
        "  edusec ipv6 report --unit 320102 --format xlsx -o links.xlsx",
    ),
)(report)
