"""`edusec doctor`: the self-check."""

import sys

import typer

from edusec.checks.all import examine
from edusec.checks.line import Line, State
from edusec.declare.command import Command
from edusec.declare.options import JsonOption
from edusec.exits import ExitCode
from edusec.lang import t
from edusec.terminal.render import json_line, pad, paint, safe

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.UNKNOWN: "dim"}


@app.command(
    cls=Command,
    help=t(
        "自检。每行：正常、注意、失败或未知；有问题的行以修复命令结尾。有失败时退出码为 1。",
        "Self-check. Each line is ok, warn, fail or unknown; a line with a problem ends with the command that mends "
        "it. Exits with 1 when a check failed.",
    ),
)
def doctor(as_json: JsonOption = False) -> int:
    """Run the self-check."""
    failed = False
    for line in examine():
        failed = failed or line.state is State.FAIL
        if as_json:
            print(json_line({"schema": "edusec.doctor/1", **line._asdict()}), flush=True)
        else:
            print(_text(line), flush=True)
    return ExitCode.FINDINGS if failed else ExitCode.CLEAN


def _text(line: Line) -> str:
    names = {
        State.OK: t("正常", "ok"),
        State.WARN: t("注意", "warn"),
        State.FAIL: t("失败", "fail"),
        State.UNKNOWN: t("未知", "unknown"),
    }
    state = paint(pad(names[line.state], 7), _STYLES[line.state], sys.stdout)
    said = f"{state}  {pad(line.check, 15)}  {safe(line.detail)}"
    return f"{said}  → {line.fix}" if line.fix else said
