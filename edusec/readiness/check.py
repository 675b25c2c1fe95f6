"""`edusec ipv6 check`: how ready sites and their zones are for IPv6, check by check."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edusec.declare.flags import check_options
from edusec.declare.options import (
    JsonOption,
    LinesOption,
    ProfileOption,
    QuietOption,
    ScopeOption,
    TimeLimitOption,
    UnderOption,
)
from edusec.exits import ExitCode, Stop
from edusec.lang import current, t
from edusec.local.files import read_input
from edusec.readiness.lines import SCHEMA, Line, check_line, in_order, show_checks, show_skipped, skipped_lines
from edusec.readiness.run import choose, run_each, taken_by
from edusec.terminal.listing import hand_out
from edusec.terminal.render import safe
from probes.kit.exchange.web import urls_of
from probes.kit.ipv6.catalogue.checks import CATALOGUE
from probes.kit.ipv6.ladder import NAMES, Rung, climb, forecast
from probes.kit.ipv6.model import Verdict
from wire.text import text_of
from wire.types import RunStatus, Section, TargetKind

SITE, ZONE = "site_ipv6", "zone_ipv6"
AT_A_TIME = 1000
"""Targets of one probe run; more are checked in several."""


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
    output: LinesOption = None,
    scope: ScopeOption = None,
    time_limit: TimeLimitOption = 3600,
    quiet: QuietOption = False,
    **options: Any,
) -> int:
    """Check sites and, unless told otherwise, their zones."""
    wanted = _targets(targets or [], file, _registered(under, profile) if registered else ())
    chosen = choose(options)
    jobs = [(SITE, chosen)]
    if zone:
        hints = {"root_hints": tuple(root_hints)} if root_hints else {}
        jobs.append((ZONE, {**taken_by(ZONE, chosen), **hints}))
    for name, values in jobs:
        check_options(name, {**values, "targets": wanted[:AT_A_TIME]})
    parts = [wanted[start : start + AT_A_TIME] for start in range(0, len(wanted), AT_A_TIME)]
    runs = [(name, {**values, "targets": part}) for part in parts for name, values in jobs]
    sections, interrupted = run_each(runs, scope, time_limit=time_limit, quiet=quiet)
    found = _lines(sections, wanted)
    hand_out(found, output, as_json=as_json)
    if not as_json:
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
            raise Stop(f"{place}{text_of(error)(current())}") from None
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
