"""The flags of `edusec scan`, each with its meaning; the command puts them together."""

from pathlib import Path
from typing import Annotated

import typer

from edusec.lang import t
from edusec.scan.request.profiles import PROFILES

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET",
        show_default=False,
        help=t(
            "地址、前缀 10.20.0.0/24、范围 10.20.0.1-50、hosts 文件里的主机名、授权范围内的域名、@文件",
            "An address, a prefix 10.20.0.0/24, a range 10.20.0.1-50, a name of the hosts file, a domain in scope, "
            "@FILE",
        ),
    ),
]
TargetsFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--targets-file", metavar="FILE", help=t("目标文件，# 之后为注释", "A file of targets; # starts a comment")
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="TARGET",
        help=t("不扫描这些地址，写法同目标，可重复", "Leave these out, written like targets; may be repeated"),
    ),
]
Ports = Annotated[
    str | None,
    typer.Option(
        "--ports",
        "-p",
        metavar="PORTS",
        help=t(
            "TCP 端口：22,80,8000-8100、all、none 或 top:100（默认见方案）",
            "TCP ports: 22,80,8000-8100, all, none or top:100 (default: the profile's)",
        ),
    ),
]
TopPorts = Annotated[
    int | None,
    typer.Option(
        "--top-ports",
        metavar="N",
        min=1,
        help=t("最常开放的 N 个 TCP 端口，即 --ports top:N", "The N most frequently open TCP ports: --ports top:N"),
    ),
]
Udp = Annotated[
    str | None,
    typer.Option(
        "--udp",
        metavar="PORTS",
        help=t(
            "另外询问的 UDP 端口，写法同 --ports（--ports none 则只询问 UDP）",
            "Ask these UDP ports too, written like --ports (with --ports none nothing but them)",
        ),
    ),
]
Frequencies = Annotated[
    Path | None,
    typer.Option(
        "--port-frequencies",
        metavar="FILE",
        help=t(
            "top:N 的次序改用已安装的 nmap-services", "Take the order of top:N from an installed nmap-services file"
        ),
    ),
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="|".join(PROFILES),
        help=t("选项方案；单独给出的选项优先", "A bundle of options; a flag that is given wins over it"),
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="auto|syn|connect",
        show_default=False,
        help=t(
            "syn 需要 CAP_NET_RAW；auto 没有时改用 connect，并说明",
            "syn needs CAP_NET_RAW; auto falls back to connect and says so",
        ),
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help=t(
            "另写入文件；格式依 --format，否则依后缀 .csv、.xml，否则为 JSON Lines",
            "Also write a file: in the form of --format, else of its suffix .csv or .xml, else JSON Lines",
        ),
    ),
]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="table|jsonl|csv|xml",
        show_default=False,
        help=t("输出格式；xml 为 nmap 的 -oX", "Form of the output; xml is nmap's -oX"),
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help=t("只说明会发送什么、不发送什么", "Say what would be sent and what not; send nothing")
    ),
]
Discover = Annotated[
    bool,
    typer.Option(
        "--discover",
        help=t(
            "先发现主机，只扫描在线的；其余的说明是否已查明",
            "Find out first who is there and scan only those; of the others say what is known",
        ),
    ),
]
Whitelist = Annotated[
    Path | None,
    typer.Option("--whitelist", metavar="FILE", help=t("白名单 CSV、TSV 或 XLSX", "A whitelist: CSV, TSV or XLSX")),
]
Identify = Annotated[
    bool | None,
    typer.Option(
        "--identify/--no-identify",
        show_default=False,
        help=t(
            "询问开放端口是什么服务（不尝试口令，打印机端口除外）",
            "Ask open ports what they are (no password is tried, printers are left alone)",
        ),
    ),
]
Timeout = Annotated[float | None, typer.Option(metavar="S", help=t("等待应答的秒数", "Seconds to wait for an answer"))]
Retries = Annotated[int | None, typer.Option(metavar="N", help=t("超时后的重试次数", "Tries after a timeout"))]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help=t("每秒新建连接数上限（本机除外）", "New connections per second at most (this machine exempt)"),
    ),
]
PerHost = Annotated[
    int | None,
    typer.Option(metavar="N", help=t("对同一地址同时进行的连接数上限", "Connections to one address at a time at most")),
]
Connections = Annotated[
    int | None, typer.Option(metavar="N", help=t("同时打开的连接数上限", "Connections open at a time at most"))
]
QuietHours = Annotated[
    list[str] | None,
    typer.Option(
        "--quiet-hours",
        metavar="SPAN",
        help=t(
            "每天的静默时段（本地时间，如 07:30-12:00），不发送任何数据包；可重复，之后可续扫",
            "A daily span of local time (07:30-12:00) in which nothing is sent; may be repeated, resume afterwards",
        ),
    ),
]
TimeLimit = Annotated[
    float, typer.Option(metavar="S", min=1, max=86_400, help=t("最长运行秒数", "Longest time it may take"))
]
Last = Annotated[bool, typer.Option("--last", help=t("显示上次的结果", "Show the last result"))]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help=t("续扫被中断的扫描：只做未覆盖的部分", "Go on with an interrupted scan: only what was not covered"),
    ),
]
Run = Annotated[
    str,
    typer.Option(
        "--run",
        metavar="ID",
        show_default=False,
        help=t(
            "与 --last 或 --resume 同用：编号以此开头的那一次", "With --last or --resume: the scan whose id begins so"
        ),
    ),
]
Unit = Annotated[
    str,
    typer.Option(
        "--unit",
        metavar="CODE",
        show_default=False,
        help=t(
            "由该单位的代理扫描（经采集中心；不给目标则扫描其授权范围）",
            "Have the agents of this unit scan, through the collector; without targets their own scope",
        ),
    ),
]
Operator = Annotated[
    Path | None,
    typer.Option(
        "--operator",
        metavar="FILE",
        help=t("与 --unit 同用：采集中心连接配置 operator.toml", "With --unit: the collector's operator.toml"),
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="S",
        min=1,
        max=604_800,
        show_default=False,
        help=t(
            "与 --unit 同用：等待代理领取的秒数（默认：到它应上报之后一分钟）",
            "With --unit: seconds to wait for the agents (default: until a minute after they are due)",
        ),
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        show_default=False,
        help=t("与 --unit 同用：原因，记入审计", "With --unit: why, for the audit trail"),
    ),
]
Diff = Annotated[
    bool,
    typer.Option(
        "--diff",
        help=t("与此前对同一目标的扫描比较：新增、变化、消失", "Compare with earlier scans of the same targets: drift"),
    ),
]
Against = Annotated[
    str,
    typer.Option(
        "--against",
        metavar="RUN|FILE",
        show_default=False,
        help=t("与这一次扫描或 JSON Lines 文件比较", "Compare with this run, or with a file of JSON Lines"),
    ),
]
Confirm = Annotated[
    int,
    typer.Option(
        "--confirm",
        metavar="N",
        min=1,
        max=100,
        help=t("连续几次覆盖的扫描都没有才算确认消失", "So many covering scans in a row must miss what has vanished"),
    ),
]
Import = Annotated[
    Path | None,
    typer.Option(
        "--import",
        metavar="FILE",
        help=t("读入 nmap 的 XML（-oX），判断并保存", "Read a scan that nmap wrote as XML (-oX), judge it and keep it"),
    ),
]
List = Annotated[bool, typer.Option("--list", help=t("列出保存的扫描", "List the scans that are kept"))]
