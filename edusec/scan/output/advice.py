"""What a scan advises below its tables: what to do about each kind of finding, and what to try next."""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence

from edusec.declare.grades import rank
from edusec.lang import current, t
from edusec.scan.result.lines import FINDING, RUN, SERVICE, Line
from edusec.terminal.render import wrap
from rules.data import high_risk
from wire.ports import MAX_PORT, expand, parse_ports
from wire.text import Text
from wire.types import RunStatus

_PORT = re.compile(r" (\d+)/(tcp|udp)$")
"""How the label of a service ends."""
_MOST_PORTS = 8


def remedies(findings: Sequence[Line]) -> Iterator[str]:
    """Give what to do about each rule that matched, the gravest first, and why its ports are a risk."""
    by_rule: dict[str, list[Line]] = {}
    for line in sorted(findings, key=lambda line: -rank(line["colour"])):
        by_rule.setdefault(line["rule"], []).append(line)
    for lines in by_rule.values():
        title, remedy = (Text(**lines[0][name])(current()) for name in ("title", "remedy"))
        yield from _wrapped(t(f"{title}：{remedy}", f"{title}: {remedy}"))
        for reason in _reasons(lines):
            yield from (f"  {text}" for text in _wrapped(reason, 2))


def _reasons(findings: Sequence[Line]) -> list[str]:
    found = [_PORT.search(line["subject"]["label"]) for line in findings]
    places = sorted({(int(match[1]), match[2]) for match in found if match})
    risks = [(place, risk) for place in places if (risk := high_risk(*place)) is not None]
    colon = t("：", ": ")
    return [
        f"{port}/{of} {risk.service(current())}{colon}{risk.reason(current())}"
        for (port, of), risk in risks[:_MOST_PORTS]
    ]


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """Break a text to the width of a terminal; elsewhere it stays one line."""
    return wrap(text, shutil.get_terminal_size().columns - indent - 1) if sys.stdout.isatty() else [text]


def next_steps(lines: Sequence[Line]) -> list[str]:
    """Say what whoever sees this result may want next, in lines of the terminal; none when nothing of it applies."""
    run, summary = next(line for line in lines if line["type"] == RUN), lines[-1]
    opened = any(line["type"] == SERVICE for line in lines)
    asked = {
        port for item in run["coverage"] if item["transport"] == "tcp" for port in expand(parse_ports(item["ports"]))
    }
    steps = []
    if run["status"] == RunStatus.DONE and not opened and 0 < len(asked) < MAX_PORT:
        steps.append(t("-p- 扫描全部端口", "-p- looks at all ports"))
    if opened and run["whitelist"] is None:
        steps.append(t("--whitelist FILE 与白名单对照", "--whitelist FILE tells approved from unlisted"))
    if "drift" not in summary:
        steps.append(t("--diff 与以前的扫描比较", "--diff tells what changed since earlier scans"))
    if any(line["type"] == FINDING for line in lines):
        steps.append(t("-o 文件.csv 存为表格", "-o FILE.csv is for spreadsheets"))
    return _wrapped(t("下一步：", "next: ") + t("；", "; ").join(steps)) if steps else []
