"""`edusec scope`: what may be probed, by whose word, until when."""

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from edusec.declare.command import Command, group
from edusec.declare.options import JsonOption, ScopeOption
from edusec.exits import Stop
from edusec.lang import t
from edusec.local.places import scope_file
from edusec.terminal.listing import Column, show
from edusec.terminal.render import safe
from probes.kit.scope.file import add_entry, load_scope, remove_entry
from probes.kit.scope.model import THIS_MACHINE
from wire.codec import to_plain
from wire.types import ScopeEntry

app = group(
    t(
        "授权范围。默认只有本机（127.0.0.0/8 和 ::1）；范围之外不会收到任何数据包。",
        "What may be probed. By default this machine only (127.0.0.0/8 and ::1); nothing outside it gets a packet.",
    )
)

Value = Annotated[
    str,
    typer.Argument(
        metavar="VALUE", help=t("地址、前缀（10.20.0.0/16）或域名", "An address, a prefix (10.20.0.0/16) or a domain")
    ),
]


@app.command(
    "add",
    cls=Command,
    help=t("授权探测一个目标，写明授权人、理由和截止日期", "Authorise a target, with who, why and until when"),
)
def add(
    value: Value,
    authoriser: Annotated[
        str,
        typer.Option("--authoriser", metavar="NAME", help=t("授权人姓名、职务", "Who authorised it: name and office")),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help=t("理由或文号", "Why, or the paper's number"))
    ],
    until: Annotated[
        str,
        typer.Option(
            "--until",
            metavar="YYYY-MM-DD",
            help=t("最后一天（UTC），最长 400 天", "The last day (UTC), at most 400 days away"),
        ),
    ],
    ports: Annotated[
        str,
        typer.Option(
            "--ports",
            metavar="PORTS",
            help=t("端口，如 22,80,8000-8100（默认全部）", "Ports such as 22,80,8000-8100 (default: all)"),
        ),
    ] = "",
    file: ScopeOption = None,
) -> None:
    """Add or renew an entry."""
    try:
        last_day = date.fromisoformat(until)
    except ValueError:
        raise Stop(
            t(f"--until：{until} 不是 2027-06-30 这样的日期", f"--until: {until} is not a date such as 2027-06-30")
        ) from None
    saved = add_entry(file or scope_file(), ScopeEntry(value, authoriser, reason, last_day, ports))
    everything = t("全部端口", "all ports")
    print(
        t(
            f"已授权：{saved.value}（{saved.ports or everything}），至 {saved.until}（含）",
            f"authorised: {saved.value} ({saved.ports or everything}) until {saved.until}, that day included",
        )
    )


@app.command("list", cls=Command, help=t("列出授权范围", "List what may be probed"))
def list_scope(file: ScopeOption = None, as_json: JsonOption = False) -> None:
    """Print the scope, this machine itself included."""
    path, today = file or scope_file(), datetime.now(UTC).date()

    def state(entry: Mapping[str, Any]) -> str:
        return t("已过期", "expired") if entry["expired"] else t("有效", "holds")

    show(
        (
            {
                **to_plain(entry),
                "until": entry.until and entry.until.isoformat(),
                "ports": entry.ports,
                "expired": _expired(entry, today),
            }
            for entry in load_scope(path, today).entries
        ),
        "edusec.scope-entry/1",
        (
            Column(t("目标", "TARGET"), lambda entry: entry["value"]),
            Column(t("端口", "PORTS"), lambda entry: entry["ports"] or t("全部", "all")),
            Column(t("截止", "UNTIL"), lambda entry: entry["until"] or t("长期", "always")),
            Column(t("状态", "STATE"), state),
            Column(
                t("授权人", "AUTHORISER"),
                lambda entry: t("本机", "built in") if entry["until"] is None else entry["authoriser"],
            ),
            Column(
                t("理由", "REASON"),
                lambda entry: t("本机自身", "this machine itself") if entry["until"] is None else entry["reason"],
            ),
        ),
        as_json=as_json,
    )
    if not as_json:
        print(safe(path), file=sys.stderr)


@app.command("remove", cls=Command, help=t("撤销一项授权", "Withdraw an authorisation"))
def remove(value: Value, file: ScopeOption = None) -> None:
    """Remove every entry of a value."""
    if value in {entry.value for entry in THIS_MACHINE}:
        raise Stop(t("本机自身始终在范围内，不能撤销", "this machine itself is always in scope and cannot be removed"))
    for entry in remove_entry(file or scope_file(), value):
        print(t(f"已撤销：{safe(entry.value)}", f"withdrawn: {safe(entry.value)}"))


def _expired(entry: ScopeEntry, today: date) -> bool:
    return entry.until is not None and entry.until < today
