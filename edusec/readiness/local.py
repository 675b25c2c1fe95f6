"""`edusec ipv6 local`: the IPv6 of this machine, of its LAN and of its traffic, check by check."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.job import Job
from edusec.command import JsonOption, ScopeOption
from edusec.exits import ExitCode
from edusec.files import write_atomically
from edusec.flags import check_options, given
from edusec.lang import t
from edusec.places import scope_file
from edusec.readiness.lines import Line, check_line, in_order, show_checks, show_skipped, skipped_lines
from edusec.render import json_line
from edusec.running import run_job
from probes.kit import registry
from probes.kit.ipv6.catalogue import CATALOGUE
from probes.kit.ipv6.model import Verdict
from probes.kit.options import describe
from probes.kit.scope_file import load_scope
from wire.types import RunStatus, Section, Value

VANTAGE, TRAFFIC, LAN = "vantage_ipv6", "traffic_ipv6", "lan_ipv6"


def local(
    lan: Annotated[bool, typer.Option("--lan/--no-lan", help=t("是否检查本地局域网", "Look at the LAN too"))] = True,
    traffic: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help=t("是否统计流量", "Look at the traffic too"))
    ] = True,
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
        typer.Option("--seconds", metavar="S", min=1, max=3600, help=t("最长运行秒数", "Longest time it may take")),
    ] = 300,
    quiet: Annotated[bool, typer.Option("--quiet", help=t("不显示进度", "Show no progress"))] = False,
    **options: Any,
) -> int:
    """Check this machine; the flags are those of `vantage_ipv6`, which the others take as far as they have them."""
    chosen = given(options)
    if "self_targets" not in chosen and (text := os.environ.get("EDUSEC_SELF_TARGETS")):
        chosen["self_targets"] = tuple(text.split(","))
    wanted = [VANTAGE, *([LAN] if lan else []), *([TRAFFIC] if traffic else [])]
    jobs = [(name, _shared(name, chosen)) for name in wanted if name in registry.names()]
    for name, values in jobs:
        check_options(name, values)
    entries = load_scope(scope or scope_file(), datetime.now(UTC).date()).entries
    sections: list[Section] = []
    interrupted = False
    for name, values in jobs:
        if not interrupted:
            ran = run_job(Job(name, name, seconds, values, entries), quiet=quiet)
            sections.append(ran.section)
            interrupted = ran.interrupted
    found = lines(sections)
    if output is not None:
        write_atomically(output, "".join(json_line(line) + "\n" for line in found).encode())
    if as_json:
        for line in found:
            print(json_line(line))
    else:
        show_checks(found)
        for line in found:
            if line["type"] == "skipped":
                show_skipped(line)
    return ExitCode.INTERRUPTED if interrupted else exit_code(sections, found)


def lines(sections: Sequence[Section]) -> list[Line]:
    """Give a line for each check, in the order of the catalogue, then one for each thing that was not looked at."""
    checks: dict[tuple[str, str], Line] = {}
    skipped: list[Line] = []
    for section in sections:
        for item in section.body.observations if section.body is not None else ():
            if item.method in CATALOGUE:
                checks.setdefault((item.target.name, item.method), check_line(item))
        skipped.extend(skipped_lines(section))
    return [*in_order(checks.values()), *skipped]


def exit_code(sections: Sequence[Section], found: Sequence[Line]) -> ExitCode:
    """A failed check weighs most; what nobody could judge makes the look a partial one."""
    verdicts = [line["verdict"] for line in found if line["type"] == "check"]
    if Verdict.FAIL in verdicts:
        return ExitCode.FINDINGS
    whole = all(section.status is RunStatus.DONE for section in sections)
    skipped = any(line["type"] == "skipped" for line in found)
    # The trend is the collector's to say; from here it is never known.
    open_ = any(line.get("verdict") == Verdict.UNKNOWN and line["id"] != "TRF-TREND" for line in found if "id" in line)
    return ExitCode.PARTIAL if open_ or skipped or not whole else ExitCode.CLEAN


def _shared(probe: str, chosen: Mapping[str, Value]) -> dict[str, Value]:
    names = {item.name for item in describe(registry.load(probe))}
    return {name: value for name, value in chosen.items() if name in names}
