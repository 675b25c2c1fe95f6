"""`edusec alert`: what the rules found, and what people did about it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from edusec.client import Collector, open_collector, path_part
from edusec.declare.command import Command, group
from edusec.declare.grades import at_or_above, parse_fail_on
from edusec.declare.options import FailOnOption, JsonOption, ProfileOption, SheetOption, UnderOption
from edusec.exits import ExitCode
from edusec.lang import current, t
from edusec.terminal.listing import Column, details, show
from edusec.terminal.words import moment, word
from probes.kit.reasons import explain
from rules.facts import SubjectKind, facts_of

app = group(t("告警：查看、确认、办结", "Alerts: read, acknowledge, resolve"))

Identifier = Annotated[str, typer.Argument(metavar="ID", help=t("告警编号", "The alert's id"))]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help=t("备注，进入告警记录", "A note for the record"))]


@app.command("list", cls=Command, help=t("列出告警，严重的在前", "List alerts, the gravest first"))
def list_alerts(
    under: UnderOption = None,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="pending|firing|acknowledged|resolved|all",
            help=t("只看此状态", "Only those in this state"),
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="ID", help=t("只看此规则", "Only those of this rule"))
    ] = None,
    fail_on: FailOnOption = "none",
    output: SheetOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Print alerts."""
    threshold = parse_fail_on(fail_on)
    with open_collector(profile) as collector:
        alerts = list(collector.items("/api/v1/alerts", under=under, state=state, rule=rule))
    show(
        alerts,
        "edusec.alert/1",
        (
            Column("ID", lambda alert: alert["id"]),
            Column(t("级别", "COLOUR"), lambda alert: word(alert["colour"]), colour_style),
            Column(t("状态", "STATE"), lambda alert: word(alert["state"])),
            Column(t("单位", "UNIT"), lambda alert: alert["unit_name"]),
            Column(t("告警", "ALERT"), lambda alert: alert["title"][current()]),
            Column(t("对象", "SUBJECT"), lambda alert: alert["subject"]["label"]),
            Column(t("依据", "BASIS"), lambda alert: alert["clause"]),
            Column(t("首次出现", "FIRST SEEN"), lambda alert: moment(alert["first_seen"])),
        ),
        as_json=as_json,
        output=output,
    )
    standing = (alert["colour"] for alert in alerts if alert["state"] == "firing")
    return ExitCode.FINDINGS if at_or_above(standing, threshold) else ExitCode.CLEAN


@app.command(
    "show", cls=Command, help=t("查看一条告警：证据、依据、处置建议", "Show one alert: evidence, basis, remedy")
)
def show_alert(identifier: Identifier, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Print one alert."""
    with open_collector(profile) as collector:
        _print_alert(collector.get(f"/api/v1/alerts/{path_part(identifier)}"), as_json=as_json)


@app.command(
    "ack", cls=Command, help=t("确认一条告警（已知晓，处理中）", "Acknowledge an alert: known, being worked on")
)
def acknowledge(
    identifier: Identifier, note: Note = "", profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """Acknowledge one alert."""
    with open_collector(profile) as collector:
        _print_alert(_act(collector, identifier, "ack", note), as_json=as_json)


@app.command("resolve", cls=Command, help=t("办结一条告警", "Resolve an alert"))
def resolve(
    identifier: Identifier, note: Note = "", profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """Resolve one alert."""
    with open_collector(profile) as collector:
        _print_alert(_act(collector, identifier, "resolve", note), as_json=as_json)


def _act(collector: Collector, identifier: str, action: str, note: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = collector.post(f"/api/v1/alerts/{path_part(identifier)}/{action}", {"note": note})
    return answer


def _print_alert(alert: Mapping[str, Any], *, as_json: bool) -> None:
    lang, subject = current(), alert["subject"]
    details(
        alert,
        "edusec.alert/1",
        (
            ("ID", alert["id"]),
            (t("告警", "Alert"), alert["title"][lang]),
            (t("建议级别", "Suggested grade"), word(alert["colour"])),
            (t("状态", "State"), word(alert["state"])),
            (t("单位", "Unit"), f"{alert['unit_name']} ({alert['unit']})"),
            (t("对象", "Subject"), f"{word(subject['kind'])} {subject['label']}"),
            (t("依据", "Basis"), alert["clause"]),
            (t("规则", "Rule"), alert["rule"]),
            (t("证据", "Evidence"), "\n".join(_evidence(subject["kind"], alert["evidence"]))),
            (t("处置建议", "Remedy"), alert["remedy"][lang]),
            (t("首次扫描即存在", "There at first scan"), t("是", "yes") if alert["baseline"] else ""),
            (t("首次出现", "First seen"), moment(alert["first_seen"])),
            (t("最近出现", "Last seen"), moment(alert["last_seen"])),
            (t("确认人", "Acknowledged by"), alert["acknowledged_by"] or ""),
            (t("备注", "Note"), alert["note"]),
        ),
        as_json=as_json,
    )


def _evidence(kind: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Name each fact as rules do, and in Chinese say before that what it means."""
    known = facts_of(SubjectKind(kind)) if kind in tuple(SubjectKind) else {}
    for name, value in facts.items():
        meaning = known[name].meaning.zh if name in known else ""
        yield t(
            f"{meaning}（{name}）：{_fact(value)}" if meaning else f"{name}：{_fact(value)}", f"{name} = {_fact(value)}"
        )


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return t("是", "yes") if value else t("否", "no")
    if isinstance(value, list):
        return "; ".join(explain(str(item), current()) for item in value)
    return word(value)


def colour_style(text: str) -> str:
    """Give the terminal colour of an alert's colour."""
    return {word(name): name for name in ("blue", "yellow", "orange", "red")}.get(text, "")
