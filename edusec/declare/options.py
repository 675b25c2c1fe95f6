"""Flags that several commands have: one name, one meaning."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edusec.lang import t


class Vantage(StrEnum):
    """From where somebody looks; the words of rules.facts, which help pages need not load."""

    INTERNET = "internet"
    EDU_PRIVATE_NET = "edu_private_net"
    CAMPUS_LAN = "campus_lan"
    UNKNOWN = "unknown"


ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help=t(
            "采集中心连接配置 operator.toml（默认 EDUSEC_OPERATOR 或 ~/.config/edusec/operator.toml，"
            "其次 edusec up 的）",
            "The collector's operator.toml (default: EDUSEC_OPERATOR or ~/.config/edusec/operator.toml, "
            "then the one of edusec up)",
        ),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help=t("输出 JSON Lines", "Print JSON Lines"))]
FailOnOption = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="none|blue|yellow|orange|red",
        help=t("有此级别或更高的发现时退出码为 1", "Exit with 1 when something of this colour or graver was found"),
    ),
]
ScopeOption = Annotated[
    Path | None,
    typer.Option(
        "--scope",
        metavar="FILE",
        help=t(
            "授权范围文件（默认 EDUSEC_SCOPE 或 ~/.config/edusec/scope.toml）",
            "The scope file (default: EDUSEC_SCOPE or ~/.config/edusec/scope.toml)",
        ),
    ),
]
VantageOption = Annotated[
    Vantage,
    typer.Option(
        "--vantage",
        help=t(
            "从哪里看：互联网、教育专网、校园网。只有从互联网看到的开放才算对互联网暴露",
            "From where it looks: only what is open as seen from the internet is exposed to it",
        ),
    ),
]
UnderOption = Annotated[
    str | None,
    typer.Option("--unit", metavar="CODE", help=t("只看此单位及其下级", "Only this unit and those below it")),
]
UnitOption = Annotated[
    str | None,
    typer.Option("--unit", metavar="CODE", help=t("单位代码（默认：您负责的单位）", "The unit (default: your own)")),
]
LinesOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help=t("另把 JSON Lines 写入文件", "Also write JSON Lines into a file")
    ),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=t("不显示，写成电子表格：.csv 或 .xlsx", "Write a spreadsheet instead: .csv or .xlsx"),
    ),
]
TimeLimitOption = Annotated[
    float,
    typer.Option("--time-limit", metavar="S", min=1, max=86_400, help=t("最长运行秒数", "Longest time it may take")),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help=t("不显示进度", "Show no progress"))]
