"""`edusec ipv6 local`: the IPv6 of this machine, of its LAN and of its traffic, check by check."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from edusec.declare.flags import check_options
from edusec.declare.options import JsonOption, LinesOption, QuietOption, ScopeOption, TimeLimitOption
from edusec.exits import ExitCode
from edusec.lang import t
from edusec.readiness.lines import Line, check_line, in_order, show_checks, show_skipped, skipped_lines
from edusec.readiness.run import choose, run_each, taken_by
from edusec.terminal.listing import hand_out
from probes.kit import registry
from probes.kit.ipv6.catalogue.checks import CATALOGUE
from probes.kit.ipv6.model import Verdict
from wire.types import RunStatus, Section

VANTAGE, TRAFFIC, LAN = "vantage_ipv6", "traffic_ipv6", "lan_ipv6"


def local(
    lan: Annotated[bool, typer.Option("--lan/--no-lan", help=t("是否检查本地局域网", "Look at the LAN too"))] = True,
    traffic: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help=t("是否统计流量", "Look at the traffic too"))
    ] = True,
    as_json: JsonOption = False,
    output: LinesOption = None,
    scope: ScopeOption = None,
    time_limit: TimeLimitOption = 300,
    quiet: QuietOption = False,
    **options: Any,
) -> int:
    """Check this machine; the flags are those of `vantage_ipv6`, which the others take as far as they have them."""
    chosen = choose(options)
    wanted = [VANTAGE, *([LAN] if lan else []), *([TRAFFIC] if traffic else [])]
    jobs = [(name, taken_by(name, chosen)) for name in wanted if name in registry.names()]
    for name, values in jobs:
        check_options(name, values)
    sections, interrupted = run_each(jobs, scope, time_limit=time_limit, quiet=quiet)
    found = lines(sections)
    hand_out(found, output, as_json=as_json)
    if not as_json:
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
