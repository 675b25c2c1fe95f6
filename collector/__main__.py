"""`python -P -m collector init|run|person`: the collector's own door, for service managers and containers."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from wire.door import Door
from wire.errors import EdusecError
from wire.faults import reason
from wire.text import Lang, Text, of_locale, text_of, within

_COMMANDS: Mapping[str, Text] = {
    "init": Text(
        "创建数据目录：配置、CA、密钥、数据库、管理员",
        "make a data folder: configuration, CA, keys, database, administrator",
    ),
    "run": Text("运行，直到 SIGTERM 或 SIGINT", "serve until SIGTERM or SIGINT"),
    "person": Text(
        "添加人员并写出其连接配置，或收回其令牌（采集中心须停止）",
        "add a person and write their operator profile, or take their token back (not while it runs)",
    ),
}
_DESCRIPTION = Text("采集中心。", "The edusec collector.")
_DATA = Text("数据目录", "data folder")
_LISTEN = Text("监听的地址和端口；可重复", "where to listen; may be repeated")
_NAMES = Text("他人使用的名称或地址；可重复", "name or address others use; may be repeated")
_RESPONDER = Text("不设带宽测试的响应端", "without the far end of bandwidth tests")
_LANG = Text("采集中心自身输出的语言（默认 zh）", "what the collector itself prints (default: zh)")
_CHECK = Text("只读取配置，指出其中的错误", "only read the configuration and say what is wrong with it")
_NAME = Text("姓名", "the person's name")
_ROLE = Text("角色", "what the person may do")
_UNIT = Text(
    "所辖范围顶端的单位代码；不给则为全部", "code of the unit at the top of what the person sees; without it: all"
)
_REMOVE = Text("收回此人的令牌，例如令牌丢失时", "take this person's token back, as when it was lost")
_NEEDS = Text("添加人员须给出 --role 和 --profile", "to add a person, give --role and --profile")
_PROFILE = Text("要写出的文件，内含令牌", "file to write; it holds the token")
_FINE = Text("无误", "fine")


def main(arguments: list[str] | None = None, lang: Lang | None = None) -> int:
    """Do what the arguments ask; 0 when it went well, 2 for what an operator has to mend."""
    said = lang or of_locale(os.environ)
    given = _door(said, lang or "zh").parse_args(arguments)
    try:
        {"init": _init, "run": _run, "person": _person}[given.command](given, said)
    except EdusecError as problem:
        print(text_of(problem)(said), file=sys.stderr)
        return 2
    except OSError as problem:  # a full disk, a folder that is not ours to write
        print(within(str(problem.filename or given.data), reason(problem))(said), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _door(lang: Lang, prints: Lang) -> Door:
    door = Door("edusec collector", lang, _DESCRIPTION(lang))
    commands = door.commands(_COMMANDS, {})
    init, run, person = (commands[name].general for name in _COMMANDS)
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS:PORT", help=_LISTEN(lang))
    init.add_argument("--name", action="append", default=[], metavar="HOST", help=_NAMES(lang))
    init.add_argument("--no-responder", action="store_true", help=_RESPONDER(lang))
    init.add_argument("--lang", choices=("zh", "en"), default=prints, help=_LANG(lang))
    run.add_argument("--check", action="store_true", help=_CHECK(lang))
    person.add_argument("--name", required=True, metavar="NAME", help=_NAME(lang))
    person.add_argument("--remove", action="store_true", help=_REMOVE(lang))
    person.add_argument("--role", choices=("viewer", "operator", "admin"), help=_ROLE(lang))
    person.add_argument("--unit", metavar="CODE", help=_UNIT(lang))
    person.add_argument("--profile", type=Path, metavar="FILE", help=_PROFILE(lang))
    for command in (init, run, person):
        command.add_argument("--data", type=Path, required=True, metavar="DIR", help=_DATA(lang))
    return door


def _init(given: argparse.Namespace, _lang: Lang) -> None:
    from collector import setup

    made = setup.init(given.data, given.listen, given.name, responder=not given.no_responder, lang=given.lang)
    print(setup.summary(made)(made.config.lang))


def _run(given: argparse.Namespace, lang: Lang) -> None:
    from collector.process import config

    loaded = config.load(given.data)
    if given.check:
        print(f"{given.data / config.CONFIG_NAME}: {_FINE(lang)}")
        return
    from collector import server

    server.run(loaded)


def _person(given: argparse.Namespace, _lang: Lang) -> None:
    from collector import setup
    from collector.process.keys import DataFault

    if given.remove:
        setup.remove_person(given.data, given.name)
        return
    if given.role is None or given.profile is None:
        raise DataFault(_NEEDS)
    setup.add_person(given.data, given.name, given.role, given.unit, given.profile)
    print(given.profile)


if __name__ == "__main__":
    sys.exit(main())
