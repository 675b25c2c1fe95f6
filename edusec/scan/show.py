"""A scan for people: what is open, what the rules say of it, what was covered and what was not."""

import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from edusec.grades import rank
from edusec.lang import current, t
from edusec.render import paint, safe, table
from edusec.scan.lines import FINDING, HOST, RUN, SERVICE, Line
from edusec.words import word
from probes.kit.reasons import explain
from wire.ports import expand, parse_ports
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
