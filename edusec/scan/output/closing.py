"""What a scan says of itself below its tables: what it covered and what not, who was there, counts, how it ended."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from edusec.declare.grades import rank
from edusec.lang import current, t
from edusec.scan.output.said import MOST, port_set, some
from edusec.scan.result.lines import FINDING, HOST, RUN, Line
from edusec.terminal.progress import span
from edusec.terminal.words import word
from probes.kit.reasons import explain
from wire.types import RunStatus, Transport

_MINUTE = 60.0
_PORTS_OF = re.compile(r"(.+?)(?: (tcp|udp))? ports ([0-9][0-9,-]*)")
"""How scans and probes write ports of an address or prefix that they left out."""


def closing(lines: Sequence[Line]) -> Iterator[str]:
    """Give the lines below the tables of a scan."""
    run = next(line for line in lines if line["type"] == RUN)
    yield from some(t("已覆盖：", "covered: "), [_area(item) for item in run["coverage"]])
    # What is silent of TCP is among the skipped.
    silent = [_area(item) for item in run["silent"] if item["transport"] == Transport.UDP]
    yield from some(t("无应答（开放或被过滤）：", "silent (open or filtered): "), silent)
    colon = t("：", ": ")
    left_out = [f"{_left_out(part['what'])}{colon}{explain(part['reason'], current())}" for part in run["skipped"]]
    yield from some(t("未覆盖：", "not covered: "), left_out)
    hosts = [line for line in lines if line["type"] == HOST]
    done = run["status"] == RunStatus.DONE
    yield _hosts(hosts, done=done) if hosts or run["coverage"] else t("主机：-", "hosts: -")
    shown = (f"{word(state)} {count}" for state, count in lines[-1]["ports"].items())
    yield t("端口：", "ports: ") + (t("，", ", ").join(shown) or "-")
    colours = Counter(line["colour"] for line in lines if line["type"] == FINDING)
    grades = (f"{word(colour)} {colours[colour]}" for colour in sorted(colours, key=rank, reverse=True))
    yield t("发现：", "findings: ") + (t("，", ", ").join(grades) or t("无", "none"))
    if unknown := lines[-1].get("exposure_unknown"):  # an older release did not count them
        yield t(
            f"暴露面：未知；不应对互联网开放的端口 {unknown} 个",
            f"exposure: unknown for open services that must not face the internet: {unknown}",
        )
    yield _status(run)


def _hosts(hosts: Sequence[Line], *, done: bool) -> str:
    """Count those that are there, and those that were named and did not answer."""
    there = [line for line in hosts if line["presence"] == "present"]
    bare = sum(not line["open"] for line in there) if done else 0  # else nobody knows yet
    mute = len(hosts) - len(there)
    said = t(f"主机：在线 {len(there)}", f"hosts: {len(there)} present")
    if bare:
        said += t(f"（无开放端口 {bare}）", f" ({bare} without an open port)")
    if mute:
        said += t(f"，无应答 {mute}", f", {mute} did not answer")
    return said


def _status(run: Line) -> str:
    status = word(run["status"])
    if run["reason"]:
        status += t(f"（{explain(run['reason'], 'zh')}）", f" ({explain(run['reason'], 'en')})")
    seconds = (datetime.fromisoformat(run["finished"]) - datetime.fromisoformat(run["started"])).total_seconds()
    took = span(seconds) if seconds >= _MINUTE else t(f"{seconds:.1f} 秒", f"{seconds:.1f} s")
    return t(
        f"状态：{status}，用时 {took}，编号 {run['id'][:8]}", f"status: {status}, took {took}, run {run['id'][:8]}"
    )


def _area(item: Line) -> str:
    prefixes = item["prefixes"]
    more = len(prefixes) - MOST
    tail = t(f" 等 {len(prefixes)} 个前缀", f" and {more} more") if more > 0 else ""
    what = port_set(item["transport"], item["ports"]) if item["transport"] else t("（是否在线）", "(who is there)")
    return f"{', '.join(prefixes[:MOST])}{tail} {what}"


def _left_out(what: str) -> str:
    found = _PORTS_OF.fullmatch(what)
    return f"{found[1]} {port_set(found[2] or '', found[3])}" if found else what
