"""A scan for people: what is open, what the rules say of it, what was covered and what was not."""

import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from edusec.declare.grades import rank
from edusec.lang import current, t
from edusec.scan.output.advice import next_steps, remedies
from edusec.scan.output.closing import closing
from edusec.scan.result.drift import Place
from edusec.scan.result.lines import DRIFT, FINDING, HOST, RUN, SERVICE, Line
from edusec.terminal.makers import marked, note
from edusec.terminal.render import paint, safe, table
from edusec.terminal.words import word
from probes.kit.contract import IDENTIFIED
from probes.kit.sending.connection import PRINTER_PORTS
from rules.data import high_risk
from wire.text import Text
from wire.types import Outcome, RunStatus
from wire.whitelist import Standing

_STANDINGS = {"listed": "green", "expired": "yellow", "unlisted": "red"}


def show(lines: Sequence[Line]) -> None:
    """Print a scan on standard output."""
    run = next(line for line in lines if line["type"] == RUN)
    services = [line for line in lines if line["type"] == SERVICE]
    findings = [line for line in lines if line["type"] == FINDING]
    opened = [line for line in services if line["state"] in {Outcome.OPEN, Outcome.OPEN_FILTERED}]
    if opened:
        _services(opened, {line["address"]: line for line in lines if line["type"] == HOST})
    elif run["status"] == RunStatus.DONE:
        print(t("没有发现开放端口", "no open port was found"))
    else:
        print(t("在已查部分没有发现开放端口", "no open port was found in what was covered"))
    if findings:
        print()
        _findings(findings)
        print()
        for line in remedies(findings):
            print(safe(line))
    if "drift" in lines[-1]:
        print()
        _drift([line for line in lines if line["type"] == DRIFT], lines[-1]["drift"]["against"])
    print()
    for line in closing(lines):
        print(safe(line))
    if sys.stdout.isatty():
        for line in next_steps(lines):
            banner(line)


def _services(opened: Sequence[Line], hosts: Mapping[str, Line]) -> None:
    colours = {word(standing): colour for standing, colour in _STANDINGS.items()}
    makers = _makers(opened, hosts)
    columns: list[tuple[str, Callable[[Line], str]]] = [
        (t("地址", "ADDRESS"), lambda line: _address(line, hosts)),
        (t("端口", "PORT"), lambda line: f"{line['port']}/{line['transport']}"),
        (t("状态", "STATE"), lambda line: word(line["state"])),
        (t("通常用途", "USUALLY"), lambda line: _usual(line["port"], line["transport"])),
        (t("白名单", "WHITELIST"), lambda line: word(line["standing"])),
        (t("产品与版本", "SERVICE"), lambda line: _identity(line, makers)),
    ]
    if all(line["standing"] == Standing.NO_LIST for line in opened):
        del columns[4]
    table(
        [head for head, _ in columns],
        [[cell(line) for _, cell in columns] for line in opened],
        style=lambda _column, text: colours.get(text, ""),
    )
    if makers:
        print(safe(note(maker["source"] for maker in makers.values())))


def _makers(opened: Sequence[Line], hosts: Mapping[str, Line]) -> dict[Place, Line]:
    """Give the makers of cards for the first row of each host of which no service says what device it is."""
    told = {line["address"] for line in opened if line["device"]}
    first: dict[str, Line] = {}
    for line in opened:
        first.setdefault(line["address"], line)
    made = ((line, hosts.get(address, {}).get("maker")) for address, line in first.items() if address not in told)
    return {_place(line): maker for line, maker in made if maker}


def _place(line: Line) -> Place:
    return line["address"], line["transport"], line["port"]


def _identity(line: Line, makers: Mapping[Place, Line]) -> str:
    """Name a service in few words: product and version, else the protocol, and the device behind it."""
    name = _product(line)
    if not name and line["transport"] == "tcp" and line["port"] in PRINTER_PORTS:
        name = t("（打印机端口，不询问）", "(a printer's port, never asked)")
    if line["details"].get(IDENTIFIED) is False:
        name = t("（尚未询问）", "(not asked yet)")
    title = line["details"].get("http.title") or ""
    maker = makers.get(_place(line))
    made = marked(maker["name"]) if maker else ""
    return " · ".join(part for part in (name, line["device"], str(title)[:40], made) if part)


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
        print(
            t(
                "变化：首次扫描这些目标，作为基线（与别的扫描比较：--against 编号）",
                "drift: the first scan of these targets, which is the baseline (--against RUN takes another)",
            )
        )
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
    return " ".join(filter(None, (word(facts["state"]), _product(facts), facts.get("mac"))))


def _product(facts: Line) -> str:
    """Name a product with its version, or the protocol where the product is not known."""
    name = facts.get("product") or facts.get("service")
    return " ".join(str(part) for part in (name, facts.get("version")) if part)


def _address(line: Line, hosts: Mapping[str, Line]) -> str:
    name = hosts.get(line["address"], {}).get("name")
    return f"{line['address']} ({name})" if name else str(line["address"])


def _usual(port: int, transport: str) -> str:
    """Name what usually listens on a port: as the list of high-risk ports does, else as this system does."""
    if risk := high_risk(port, transport):
        return risk.service(current())
    try:
        return socket.getservbyport(port, transport)
    except OSError:
        return ""


def banner(text: str) -> None:
    """Say something beside the data, on standard error."""
    print(paint(safe(text), "dim", sys.stderr), file=sys.stderr)
