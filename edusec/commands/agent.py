"""`edusec agent`: what operators do about agents; the daemon's own words (enroll, run, status, check) are handed over.

`edusec.cli` hands those over before Typer is imported; they stand here for the help page and for completion.
"""

from typing import Annotated

import typer

from edusec.client import open_collector, path_part
from edusec.command import Command, JsonOption, ProfileOption, group, hand_over
from edusec.lang import current, t
from edusec.listing import Column, Item, show
from edusec.render import json_line, safe
from edusec.words import moment, word

app = group(
    t(
        "在网关上：enroll、run、status、check（也可写作 python -P -m agent）。在采集中心：token、list、revoke。",
        "On a gateway: enroll, run, status, check (also python -P -m agent). At the collector: token, list, revoke.",
    )
)

for _name, _help in (
    ("enroll", t("在网关上：用一次性令牌注册", "on a gateway: enrol with a one-time token")),
    ("run", t("在网关上：运行代理", "on a gateway: run the daemon")),
    ("status", t("在网关上：查看代理状态", "on a gateway: how the daemon is doing")),
    ("check", t("在网关上：检查配置文件", "on a gateway: check the configuration")),
):
    hand_over(app, "agent", _name, _help, first=("--lang", current()))


@app.command("token", cls=Command, help=t("生成一次性注册令牌", "make a one-time enrolment token"))
def token(
    unit: Annotated[
        str,
        typer.Option("--unit", metavar="CODE", help=t("代理所属单位的代码", "The unit that the agent will belong to")),
    ],
    hours: Annotated[
        float, typer.Option(metavar="N", min=0.1, max=720, help=t("有效小时数", "Hours for which it may be used"))
    ] = 24,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it alone on standard output."""
    with open_collector(profile) as collector:
        made = collector.post("/api/v1/enrolment-tokens", {"unit": unit, "ttl_seconds": hours * 3600})
        url = collector.profile.url
    if as_json:
        print(json_line({"schema": "edusec.enrolment-token/1", "collector": url, **made}))
        return
    until = moment(made["expires"])
    typer.echo(
        t(
            f"一次性令牌，有效至 {until}。在网关上执行：edusec agent enroll --collector {safe(url)} --token 令牌",
            f"a one-time token, good until {until}; on the gateway: "
            f"edusec agent enroll --collector {safe(url)} --token TOKEN",
        ),
        err=True,
    )
    print(safe(made["token"]))


@app.command("list", cls=Command, help=t("列出代理", "list the agents"))
def list_agents(profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Print the agents of the operator's subtree."""
    with open_collector(profile) as collector:
        agents = list(collector.items("/api/v1/agents"))
    show(
        agents,
        "edusec.agent/1",
        (
            Column("ID", lambda agent: agent["id"]),
            Column(t("单位", "UNIT"), lambda agent: agent["unit_name"]),
            Column(t("名称", "NAME"), lambda agent: agent["name"]),
            Column(t("状态", "STATE"), lambda agent: word(agent["state"]), _state_style),
            Column(t("最近上报", "LAST REPORT"), lambda agent: moment(agent["last_report"])),
            Column(t("丢弃", "DROPPED"), lambda agent: agent["dropped"]),
            Column(t("版本", "SOFTWARE"), lambda agent: agent["software"]),
            Column(t("异常任务", "TASKS IN TROUBLE"), _trouble),
        ),
        as_json=as_json,
    )


@app.command(
    "revoke",
    cls=Command,
    help=t("撤销代理的凭据，它不能再上报", "end an agent's credential, so that it can report no more"),
)
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help=t("代理编号", "The agent's id"))],
    profile: ProfileOption = None,
) -> None:
    """Revoke one agent."""
    with open_collector(profile) as collector:
        collector.raw("POST", f"/api/v1/agents/{path_part(identifier)}/revoke", {}, b"{}", "application/json")
    print(t(f"已撤销：{safe(identifier)}", f"revoked: {safe(identifier)}"))


def _trouble(agent: Item) -> str:
    troubled = [section for section in agent["sections"] if section["status"] not in {"done", "partial"}]
    return " ".join(f"{section['name']}({word(section['status'])})" for section in troubled)


def _state_style(text: str) -> str:
    return {word("active"): "green", word("silent"): "red", word("revoked"): "dim"}.get(text, "")
