"""A check as one line of JSON or of a table: verdict, evidence and mend, the same for sites, zones and this machine."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edusec.lang import current, t
from edusec.terminal.render import paint, safe, table
from probes.kit.ipv6.catalogue.checks import CATALOGUE, why
from probes.kit.ipv6.model import VERDICTS, Verdict
from probes.kit.reasons import explain
from wire.text import Text
from wire.types import Observation, RunStatus, Section

SCHEMA = "edusec.ipv6/1"
WORDS: Mapping[Verdict, Text] = {
    Verdict.PASS: Text("通过", "pass"),
    Verdict.WARN: Text("警告", "warn"),
    Verdict.FAIL: Text("未通过", "fail"),
    Verdict.UNKNOWN: Text("未知", "unknown"),
    Verdict.INFO: Text("信息", "info"),
    Verdict.BLOCKED: Text("被拒绝", "blocked"),
}
_STYLES = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red", Verdict.BLOCKED: "blue"}
Line = dict[str, Any]


def check_line(item: Observation) -> Line:
    """Give the line of one check; a measured one carries its verdict in its values."""
    verdict = VERDICTS.get(item.outcome, Verdict.UNKNOWN)
    said = item.values.get("verdict")
    if said in tuple(Verdict):
        verdict = Verdict(str(said))
    code = str(item.values.get("code") or "")
    reason = str(item.values.get("reason") or "")
    evidence = item.values.get("evidence")
    lines = [str(line) for line in evidence] if isinstance(evidence, tuple) else []
    entry = CATALOGUE[item.method]
    told = ("code", "evidence", "reason", "verdict")
    return {
        "schema": SCHEMA,
        "type": "check",
        "target": item.target.name,
        "id": item.method,
        "verdict": verdict.value,
        "title": entry.title._asdict(),
        "code": code,
        "evidence": [*lines, *([reason] if reason else [])],
        "fix": why(code)._asdict() if code and verdict is not Verdict.PASS else None,
        "source": entry.source,
        "values": {name: value for name, value in item.values.items() if name not in told},
        "time": datetime.fromtimestamp(item.time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def skipped_lines(section: Section) -> list[Line]:
    """Give a line for each thing that a run did not look at, or for the run itself when there was none."""
    if section.body is None or section.status in (RunStatus.CANNOT_RUN, RunStatus.CRASHED):
        return [{"schema": SCHEMA, "type": "skipped", "target": section.probe, "reason": section.reason}]
    return [
        {"schema": SCHEMA, "type": "skipped", "target": part.what, "reason": part.reason}
        for part in section.body.skipped
    ]


def show_checks(found: Iterable[Line]) -> None:
    """Print the checks as a table."""
    rows = []
    for line in found:
        if line["type"] != "check":
            continue
        verdict = Verdict(line["verdict"])
        told = "; ".join(explain(text, current()) for text in line["evidence"][:3])
        fix = line["fix"][current()] if line["fix"] else ""
        rows.append([line["target"], line["id"], WORDS[verdict](current()), line["title"][current()], told, fix])
    if rows:
        heads = [t("对象", "TARGET"), t("检查项", "CHECK"), t("结论", "VERDICT"), t("内容", "WHAT"),
                 t("证据", "EVIDENCE"), t("处理", "FIX")]  # fmt: skip
        styles = {word(current()): _STYLES.get(verdict, "") for verdict, word in WORDS.items()}
        table(heads, rows, style=lambda column, text: styles.get(text, "") if column == 2 else "")


def show_skipped(line: Line) -> None:
    """Print what was not looked at, and why."""
    what = f"{line['target']}: {explain(line['reason'], current())}"
    print(paint(t("未检查", "not checked"), "yellow", sys.stdout), safe(what))


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Order checks as the catalogue does."""
    places: Sequence[str] = list(CATALOGUE)
    return sorted(lines, key=lambda line: places.index(line["id"]))
