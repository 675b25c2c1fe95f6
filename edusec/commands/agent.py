"""`edusec agent`: what operators do about agents; the daemon's own words (enroll, run, status, check) are handed over.

`edusec.cli` hands those over before Typer is imported; they stand here for the help page and for completion.
"""

import json
from typing import Annotated

import typer

from edusec.client import open_collector, path_part
from edusec.declare.command import Command, group, hand_over
from edusec.declare.options import JsonOption, ProfileOption, Vantage, VantageOption
from edusec.lang import t
from edusec.terminal.listing import Column, Item, show
from edusec.terminal.render import json_line, safe
from edusec.terminal.words import moment, word
from wire.text import Text

_SCRAPED = {
    "none": Text("-", "-"),
    "local": Text("仅本机", "local"),
    "listed": Text("已列入", "listed"),
    "approved": Text("已批准", "approved"),
    "refused": Text("未列入", "left out"),
}

app = group(
    t(
        "在网关上：enroll、run、status、check（也可写作 python -P -m agent）。"
        "在采集中心：token、list、vantage、revoke、metrics。",
        "On a gateway: enroll, run, status, check (also python -P -m agent). "
        "At the collector: token, list, vantage, revoke, metrics.",
    )
)

for _name, _help in (
    ("enroll", t("在网关上：用一次性令牌注册", "on a gateway: enrol with a one-time token")),
    ("run", t("在网关上：运行代理", "on a gateway: run the daemon")),
    ("status", t("在网关上：查看代理状态", "on a gateway: how the daemon is doing")),
    ("check", t("在网关上：检查配置文件", "on a gateway: check the configuration")),
):
    hand_over(app, "agent", _name, _help)


@app.command("token", cls=Command, help=t("生成一次性注册令牌", "make a one-time enrolment token"))
def token(
    unit: Annotated[
        str,
        typer.Option("--unit", metavar="CODE", help=t("代理所属单位的代码", "The unit that the agent will belong to")),
    ],
    hours: Annotated[
        float, typer.Option(metavar="N", min=0.1, max=720, help=t("有效小时数", "Hours for which it may be used"))
    ] = 24,
    vantage: VantageOption = Vantage.UNKNOWN,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it alone on standard output."""
    with open_collector(profile) as collector:
        wanted = {"unit": unit, "ttl_seconds": hours * 3600, "vantage": vantage.value}
        made = collector.post("/api/v1/enrolment-tokens", wanted)
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
            Column(t("观察位置", "VANTAGE"), lambda agent: word(agent["vantage"])),
            Column(t("最近上报", "LAST REPORT"), lambda agent: moment(agent["last_report"])),
            Column(t("丢弃", "DROPPED"), lambda agent: agent["dropped"]),
            Column(t("版本", "SOFTWARE"), lambda agent: agent["software"]),
            Column(t("指标", "METRICS"), _metrics),
            Column(t("异常任务", "TASKS IN TROUBLE"), _trouble),
        ),
        as_json=as_json,
    )


@app.command(
    "vantage",
    cls=Command,
    help=t(
        "声明代理从哪里看：它所见的服务随即按此重新判断",
        "declare from where an agent looks; the services that it sees are judged by that from now on",
    ),
)
def set_vantage(
    identifier: Annotated[str, typer.Argument(metavar="ID", help=t("代理编号", "The agent's id"))],
    vantage: Annotated[Vantage, typer.Argument(help=t("观察位置", "Where its packets come from"))],
    profile: ProfileOption = None,
) -> None:
    """Declare the vantage of one agent."""
    body = json.dumps({"vantage": vantage.value}).encode()
    with open_collector(profile) as collector:
        collector.raw("POST", f"/api/v1/agents/{path_part(identifier)}/vantage", {}, body, "application/json")
    told = word(vantage.value)
    print(t(f"{safe(identifier)} 的观察位置：{told}", f"vantage of {safe(identifier)}: {told}"))


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


@app.command(
    "metrics",
    cls=Command,
    help=t(
        "批准 Prometheus 抓取代理的这个地址；不给地址则撤回批准。",
        "let Prometheus scrape an agent at this address; without one, take that back",
    ),
)
def metrics(
    identifier: Annotated[str, typer.Argument(metavar="ID", help=t("代理编号", "The agent's id"))],
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help=t("代理上报的指标地址", "The metrics address that the agent tells"))
    ] = "",
    profile: ProfileOption = None,
) -> None:
    """Approve one address of one agent's metrics."""
    with open_collector(profile) as collector:
        collector.post(f"/api/v1/agents/{path_part(identifier)}/metrics", {"url": url})
    if url:
        print(t(f"已批准：{safe(identifier)} {safe(url)}", f"approved: {safe(identifier)} {safe(url)}"))
    else:
        print(t(f"已撤回：{safe(identifier)}", f"taken back: {safe(identifier)}"))


def _metrics(agent: Item) -> str:
    reason = agent["scrape_reason"]
    said = t(_SCRAPED[agent["scrape"]].zh, _SCRAPED[agent["scrape"]].en) if agent["scrape"] in _SCRAPED else "?"
    return f"{said}: {agent['metrics_url']}: {t(reason['zh'], reason['en'])}" if reason else said


def _trouble(agent: Item) -> str:
    troubled = [section for section in agent["sections"] if section["status"] not in {"done", "partial"}]
    return " ".join(f"{section['name']}({word(section['status'])})" for section in troubled)


def _state_style(text: str) -> str:
    return {word("active"): "green", word("silent"): "red", word("revoked"): "dim"}.get(text, "")
