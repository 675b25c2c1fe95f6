"""The root command: the list of commands, `--version`, `--lang`, shell completion."""

from typing import Annotated

import typer
from typer.completion import (  # type: ignore[attr-defined]  # there is no other door; the tests hold it
    completion_init,
    get_completion_script,
    install,
)

from edusec.declare.command import lazy
from edusec.exits import Stop
from edusec.lang import LANGS, current, t
from wire.text import Text
from wire.version import VERSION

NAME, COMPLETE = "edusec", "_EDUSEC_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
COMMANDS = {
    "up": Text(
        "在本机一键启动：采集中心 + 一个代理，先看一轮结果", "start here: a collector and one agent on this machine"
    ),
    "scan": Text("探测端口，不需要采集中心", "scan ports, without any collector"),
    "discover": Text("发现设备：本机各网段，或指定的网段", "find devices, on this machine's networks or on named ones"),
    "ipv6": Text("IPv6 就绪度：逐项检查网站和域名区", "IPv6 readiness of sites and zones, check by check"),
    "scope": Text("授权范围：谁在何时之前授权探测什么", "what may be probed: by whose word, until when"),
    "agent": Text("学校网关上的代理；注册令牌、代理清单", "the daemon on a gateway; enrolment tokens, list of agents"),
    "collector": Text("采集中心：初始化、运行", "the collector: set it up, run it"),
    "unit": Text("单位树：省、市、县、学校", "the tree of units: province, city, county, school"),
    "asset": Text("资产台账", "the inventory of assets"),
    "site": Text("登记的网站、信息系统和网段", "the register of websites, systems and networks"),
    "whitelist": Text("白名单：导入、导出、复核", "whitelists: import, export, review"),
    "alert": Text("告警：查看、确认、办结", "alerts: read, acknowledge, resolve"),
    "rules": Text("规则：查看、检查、测试", "rules: list, check, test"),
    "probe": Text("探测项：查看、单独运行", "probes: list them, run one"),
    "data": Text("指纹数据：导入、查看", "fingerprint data: import, list"),
    "doctor": Text("自检：每个问题都给出修复命令", "self-check: every problem comes with the command that mends it"),
}
_EPILOG = Text(
    "任何位置可用 --lang zh|en（默认取自 LC_ALL、LC_MESSAGES、LANG）。NO_COLOR 关闭颜色。\n"
    "退出码：0 正常；1 有达到 --fail-on 的发现；2 用法或输入有误；3 只完成一部分；4 权限不足；"
    "5 连不上采集中心；130 被中断。",
    "--lang zh|en works anywhere (default: LC_ALL, LC_MESSAGES, LANG). NO_COLOR turns colours off.\n"
    "Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or unusable input; 3 partial; 4 privilege; "
    "5 collector unreachable; 130 interrupted.",
)


def root() -> typer.Typer:
    """Make the root command in the operator's language."""
    app = typer.Typer(
        cls=lazy(COMMANDS),
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,  # Typer's own options guess the shell and take no name
        help=t(
            "校园网络安全监测：端口、IPv6、带宽、白名单、三级资产台账与等保告警。",
            "Campus network security monitoring: ports, IPv6, bandwidth, whitelists, a three-tier inventory, alerts.",
        ),
        epilog=_EPILOG(current()),
    )

    @app.callback(invoke_without_command=True)
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help=t("显示版本", "Show the version"))
        ] = False,
        # Taken out of the arguments before Typer sees them (edusec.lang); declared for help and completion.
        language: Annotated[
            str, typer.Option("--lang", metavar="|".join(LANGS), show_default=False, help=t("语言", "Language"))
        ] = "",
        install_completion: Annotated[
            str,
            typer.Option(
                "--install-completion",
                metavar="|".join(SHELLS),
                callback=_install_completion,
                is_eager=True,
                show_default=False,
                help=t("为该 shell 安装命令补全", "Install completion for this shell"),
            ),
        ] = "",
        show_completion: Annotated[
            str,
            typer.Option(
                "--show-completion",
                metavar="|".join(SHELLS),
                callback=_show_completion,
                is_eager=True,
                show_default=False,
                help=t("打印补全脚本", "Print the completion script"),
            ),
        ] = "",
    ) -> None: ...

    completion_init()
    return app


def _install_completion(shell: str) -> None:
    if shell:
        _, file = install(_known(shell), NAME, COMPLETE)
        print(t(f"补全已安装到 {file}，重新打开终端后生效", f"completion is in {file} and works in a new terminal"))
        raise typer.Exit


def _show_completion(shell: str) -> None:
    if shell:
        print(get_completion_script(prog_name=NAME, complete_var=COMPLETE, shell=_known(shell)))
        raise typer.Exit


def _known(shell: str) -> str:
    if shell not in SHELLS:
        raise Stop(t(f"不支持 {shell}，可选：", f"{shell} is not supported; choose one of ") + ", ".join(SHELLS))
    return shell


def _version(wanted: bool) -> None:
    if wanted:
        print(f"edusec {VERSION}")
        raise typer.Exit
