"""The command lines of the daemons: argparse in the operator's language."""

import argparse
import re
import sys
from collections.abc import Mapping
from typing import NoReturn

from wire.text import Lang, Text

_USAGE = Text("用法：", "usage: ")
_OPTIONS = Text("选项", "options")
_COMMANDS = Text("命令", "commands")
_HELP = Text("显示本帮助", "show this help")
_FAULTS_ZH = (
    (re.compile(r"^the following arguments are required: (.*)$"), r"缺少 \1"),
    (re.compile(r"^argument (.*?): invalid choice: (.*?) \(choose from (.*)\)$"), r"\1：\2 不可用，须为 \3 之一"),
    (re.compile(r"^argument (.*?): expected one argument$"), r"\1：需要一个值"),
    (re.compile(r"^argument (.*?): invalid \S+ value: (.*)$"), r"\1：\2 无效"),
    (re.compile(r"^unrecognized arguments: (.*)$"), r"多余的参数：\1"),
)


class Door(argparse.ArgumentParser):
    """A parser whose own words are in one language; what it is given comes in that already."""

    def __init__(self, prog: str, lang: Lang, description: str) -> None:
        """Start with the option that shows the help."""
        super().__init__(prog, description=description, add_help=False, allow_abbrev=False)
        self._lang: Lang = lang
        self.general = self.add_argument_group(_OPTIONS(lang))
        """Where options belong."""
        self.general.add_argument("-h", "--help", action="help", help=_HELP(lang))

    def commands(self, named: Mapping[str, Text], aliases: Mapping[str, str]) -> dict[str, "Door"]:
        """Add commands with what is said of each; gives their parsers by name."""
        lang = self._lang
        made = self.add_subparsers(dest="command", metavar="COMMAND", required=True, title=_COMMANDS(lang))
        return {
            name: made.add_parser(
                name,
                help=text(lang),
                description=text(lang),
                lang=lang,
                aliases=[aliases[name]] if name in aliases else [],
            )
            for name, text in named.items()
        }

    def format_usage(self) -> str:
        """Write the line that shows how it is used."""
        return super().format_usage().replace("usage: ", _USAGE(self._lang), 1)

    def format_help(self) -> str:
        """Write the help page."""
        return super().format_help().replace("usage: ", _USAGE(self._lang), 1)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words that were given, and end with 2."""
        if self._lang == "zh":
            for pattern, said in _FAULTS_ZH:
                message = pattern.sub(said, message)
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}\n")
