"""A scan for people: what is open, what the rules say of it, what was covered and what was not."""

import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from edusec.grades import rank
from edusec.lang import current, t
from edusec.render import paint, safe, table
from edusec.scan.lines import DRIFT, FINDING, HOST, RUN, SERVICE, Line
from edusec.words import word
from probes.kit.reasons import explain
from wire.ports import expand, parse_ports
from wire.text import Text
from wire.types import Outcome

_MOST_SKIPPED = 20
_LONG_PORT_SET = 40
_STANDINGS = {"listed": "green", "expired": "yellow", "unlisted": "red"}


def show(lines: Sequence[Line]) -> None:
    """Print a scan on standard output."""
    run = next(line for line in lines if line["type"] == RUN)
    services = [line for line in lines if line["type"] == SERVICE]
    findings = [line for line in lines if line["type"] == FINDING]
    opened = [line for line in services if line["state"] in {Outcome.OPEN, Outcome.OPEN_FILTERED}]
    if opened:
        _services(opened, {line["address"]: line["name"] for line in lines if line["type"] == HOST})
    else:
        print(t("没有发现开放端口", "no open port was found"))
    if findings:
        print()
        _findings(findings)
    if "drift" in lines[-1]:
        print()
        _drift([line for line in lines if line["type"] == DRIFT], lines[-1]["drift"]["against"])
    print()
    for line in _closing(run, lines[-1]["ports"], findings):
        print(safe(line))


def _services(opened: Sequence[Line], names: dict[str, str]) -> None:
    colours = {word(standing): colour for standing, colour in _STANDINGS.items()}
    table(
        [
            t("地址", "ADDRESS"),
            t("端口", "PORT"),
            t("状态", "STATE"),
            t("通常用途", "USUALLY"),
            t("白名单", "WHITELIST"),
            t("产品与版本", "SERVICE"),
        ],
        [
            (
                f"{line['address']} ({names[line['address']]})" if names.get(line["address"]) else line["address"],
                f"{line['port']}/{line['transport']}",
                word(line["state"]),
                _usual(line["port"], line["transport"]),
                word(line["standing"]),
                _identity(line),
            )
            for line in opened
        ],
        style=lambda _column, text: colours.get(text, ""),
    )


def _identity(line: Line) -> str:
    """Name a service in few words: product and version, else the protocol, and the device behind it."""
    name = " ".join(filter(None, (line["product"], line["version"]))) or line["service"] or ""
    title = line["details"].get("http.title") or ""
    return " · ".join(part for part in (name, line["device"], str(title)[:40]) if part)


def _findings(findings: Sequence[Line]) -> None:
    colours = {word(colour): colour for colour in ("blue", "yellow", "orange", "red")}
    table(
        [t("建议级别", "GRADE"), t("发现", "FINDING"), t("对象", "SUBJECT"), t("依据", "BASIS")],
        [
            (word(line["colour"]), line["title"][current()], line["subject"]["label"], line["basis"])
            for line in sorted(findings, key=lambda line: -rank(line["colour"]))
        ],
        style=lambda column, text: colours.get(text, "") if column == 0 else "",
    )


_CHANGES = {
    "new": Text("新增", "new"),
    "changed": Text("变化", "changed"),
    "vanished": Text("消失", "vanished"),
    "unknown": Text("未知（本次未覆盖）", "unknown (not covered now)"),
    "baseline": Text("首次覆盖", "first look"),
}
_CHANGE_STYLES = {"new": "red", "changed": "yellow", "vanished": "orange"}


def _drift(changes: Sequence[Line], against: int) -> None:
    if not against:
        print(t("变化：首次扫描，作为基线", "drift: the first scan, which is the baseline"))
        return
    if not changes:
        print(t("变化：无", "drift: none"))
        return
    styles = {_CHANGES[change](current()): colour for change, colour in _CHANGE_STYLES.items()}
    table(
        [
            t("变化", "DRIFT"),
            t("地址", "ADDRESS"),
            t("端口", "PORT"),
            t("之前", "BEFORE"),
            t("现在", "NOW"),
            t("确认", "CONFIRMED"),
        ],
        [
            (
                _CHANGES[line["change"]](current()),
                line["address"],
                f"{line['port']}/{line['transport']}" if line["kind"] == "service" else "-",
                _facts(line["before"]),
                _facts(line["after"]),
                f"{line['missed']}/{line['confirm']}" if line["change"] == "vanished" else "",
            )
            for line in changes
        ],
        style=lambda column, text: styles.get(text, "") if column == 0 else "",
    )


def _facts(facts: Line | None) -> str:
    if facts is None:
        return "-"
    name = " ".join(str(facts[name]) for name in ("product", "version") if facts.get(name)) or facts.get("service")
    return " ".join(filter(None, (word(facts["state"]), str(name or ""))))


def _closing(run: Line, ports: Mapping[str, int], findings: Sequence[Line]) -> Iterator[str]:
    for item in run["coverage"]:
        yield f"{t('已覆盖', 'covered')}: {', '.join(item['prefixes'])} {_port_set(item)}"
    for part in run["skipped"][:_MOST_SKIPPED]:
        yield f"{t('未覆盖', 'not covered')}: {part['what']}: {explain(part['reason'], current())}"
    if (more := len(run["skipped"]) - _MOST_SKIPPED) > 0:
        yield t(f"未覆盖：另有 {more} 项，见 --json", f"not covered: {more} more, see --json")
    shown = (f"{word(state)} {count}" for state, count in ports.items())
    yield t("端口：", "ports: ") + (t("，", ", ").join(shown) or "-")
    colours = Counter(line["colour"] for line in findings)
    grades = t("，", ", ").join(
        f"{word(colour)} {colours[colour]}" for colour in sorted(colours, key=rank, reverse=True)
    )
    yield t("发现：", "findings: ") + (grades or t("无", "none"))
    status = word(run["status"])
    if run["reason"]:
        status += f" ({explain(run['reason'], current())})"
    yield f"{t('状态', 'status')}: {status}"


def _port_set(item: Line) -> str:
    if item["transport"] is None:
        return t("（是否在线）", "(who is there)")
    if len(item["ports"]) <= _LONG_PORT_SET:
        return f"{item['transport']}/{item['ports']}"
    count = len(expand(parse_ports(item["ports"])))
    return t(f"{item['transport']} {count} 个端口", f"{count} {item['transport']} ports")


def _usual(port: int, transport: str) -> str:
    try:
        return socket.getservbyport(port, transport)
    except OSError:
        return ""


def banner(text: str) -> None:
    """Say something beside the data, on standard error."""
    print(paint(safe(text), "dim", sys.stderr), file=sys.stderr)
