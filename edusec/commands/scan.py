"""`edusec scan`: which ports are open, on an operator's own machine, without any collector."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edusec.command import Command, FailOnOption, JsonOption, ScopeOption
from edusec.exits import ExitCode, Stop
from edusec.files import write_atomically
from edusec.flags import given
from edusec.grades import at_or_above, parse_fail_on
from edusec.lang import t
from edusec.places import scans_file
from edusec.render import json_line
from edusec.scan import lines
from edusec.scan.lines import Line
from edusec.scan.perform import perform
from edusec.scan.result import judged
from edusec.scan.show import banner, show
from edusec.scan.source import local
from edusec.scan.wanted import Wanted, prepare
from wire.types import RunStatus

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    cls=Command,
    help=t(
        "探测目标的开放端口，对照白名单和规则给出发现。不需要采集中心；只在授权范围内发送数据包（见 edusec scope）。",
        "Scan ports, compare them with a whitelist and judge them by the rules. Needs no collector; sends packets "
        "within the authorised scope only (see edusec scope).",
    ),
    epilog=t(
        "示例：\n"
        "  edusec scan 127.0.0.1\n"
        "  edusec scan 10.20.0.0/24 --ports 22,80,443 --whitelist approved.csv --fail-on orange\n"
        "  edusec scan localhost --json | jq -c 'select(.type == \"finding\")'\n"
        "  edusec scan --last",
        "Examples:\n"
        "  edusec scan 127.0.0.1\n"
        "  edusec scan 10.20.0.0/24 --ports 22,80,443 --whitelist approved.csv --fail-on orange\n"
        "  edusec scan localhost --json | jq -c 'select(.type == \"finding\")'\n"
        "  edusec scan --last",
    ),
)
def scan(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help=t(
                "地址、前缀 10.20.0.0/24、范围 10.20.0.1-50、hosts 文件里的主机名、授权范围内的域名",
                "An address, a prefix 10.20.0.0/24, a range 10.20.0.1-50, a name of the hosts file, a domain in scope",
            ),
        ),
    ] = None,
    ports: Annotated[
        str | None,
        typer.Option(
            "--ports",
            "-p",
            metavar="PORTS",
            help=t(
                "端口，如 22,80,8000-8100（默认：常见与高危端口）",
                "Ports such as 22,80,8000-8100 (default: the usual and the high-risk ones)",
            ),
        ),
    ] = None,
    udp: Annotated[
        str | None,
        typer.Option(
            "--udp",
            metavar="PORTS",
            help=t(
                "另外询问的 UDP 端口，如 53,123,161（--ports none 则只询问 UDP）",
                "Ask these UDP ports too, such as 53,123,161 (with --ports none nothing but them)",
            ),
        ),
    ] = None,
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help=t("另把 JSON Lines 写入文件", "Also write JSON Lines into a file")
        ),
    ] = None,
    whitelist: Annotated[
        Path | None,
        typer.Option("--whitelist", metavar="FILE", help=t("白名单 CSV、TSV 或 XLSX", "A whitelist: CSV, TSV or XLSX")),
    ] = None,
    fail_on: FailOnOption = "red",
    identify: Annotated[
        bool,
        typer.Option(
            "--identify/--no-identify",
            help=t(
                "询问开放端口是什么服务（不尝试口令，打印机端口除外）",
                "Ask open ports what they are (no password is tried, printers are left alone)",
            ),
        ),
    ] = True,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help=t("单次连接的秒数", "Seconds for one connection"))
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help=t("每秒新建连接数上限（本机除外）", "New connections per second at most (this machine exempt)"),
        ),
    ] = None,
    connections: Annotated[
        int | None, typer.Option(metavar="N", help=t("同时打开的连接数上限", "Connections open at a time at most"))
    ] = None,
    time_limit: Annotated[
        float, typer.Option(metavar="S", min=1, max=86_400, help=t("最长运行秒数", "Longest time it may take"))
    ] = 3600,
    scope: ScopeOption = None,
    last: Annotated[bool, typer.Option("--last", help=t("显示上次的结果", "Show the last result"))] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help=t("不显示进度", "Show no progress"))] = False,
) -> int:
    """Scan, or show the last scan."""
    threshold = parse_fail_on(fail_on)
    if output is not None:
        _require_writable(output)
    if last:
        from edusec.scan import store

        if targets:
            raise Stop(t("--last 不带目标", "--last takes no targets"))
        found = store.last(scans_file())
        interrupted = False
    elif not targets:
        raise Stop(t("缺少目标，例如：edusec scan 127.0.0.1", "no target is given; for example: edusec scan 127.0.0.1"))
    else:
        options = given({"identify": identify, "timeout": timeout, "rate": rate, "connections": connections})
        work = prepare(Wanted(tuple(targets), ports, udp, options, whitelist, scope, time_limit))
        done = perform(work, local, quiet=quiet)
        found, interrupted = judged(done.section, work.asked, work.whitelist, work.today, threshold), done.interrupted
        _keep(found)
    if output is not None:
        write_atomically(output, "".join(json_line(line) + "\n" for line in found).encode())
    if as_json:
        for line in found:
            print(json_line(line))
    else:
        show(found)
    return ExitCode.INTERRUPTED if interrupted else _exit_code(found, threshold)


def _keep(found: Sequence[Line]) -> None:
    try:
        from edusec.scan import store
    except ModuleNotFoundError as error:
        banner(t(f"没有 {error.name}，结果不保存", f"{error.name} is not installed, so the result is not kept"))
        return
    try:
        store.save(scans_file(), found)
    except Stop as stop:
        banner(str(stop))


def _require_writable(file: Path) -> None:
    folder = file.resolve().parent
    if not os.access(folder, os.W_OK):
        raise Stop(t(f"-o {file}：不能写入 {folder}", f"-o {file}: {folder} cannot be written"))


def _exit_code(found: Sequence[Line], threshold: str) -> ExitCode:
    """Findings weigh more than what is missing, since the missing part cannot undo them."""
    if at_or_above((line["colour"] for line in found if line["type"] == lines.FINDING), threshold):
        return ExitCode.FINDINGS
    return ExitCode.CLEAN if found[0]["status"] == RunStatus.DONE else ExitCode.PARTIAL
