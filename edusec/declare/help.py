"""Help pages: plain text in the operator's language, the same on a terminal, in a pipe and in docs/cli.md."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from edusec.lang import t
from edusec.terminal.render import cells, pad, paint, wrap

_WIDEST = 100
_GAP = 2
_NAMES_WIDEST = 28


def page(context: Any) -> str:
    """Write the help page of a command from its parameters (`context` is Typer's)."""
    command = context.command
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    parts = [f"{t('用法', 'Usage')}: {usage(context)}"]
    parts += ["\n".join(wrap(line, width)) for line in (command.help or "").split("\n\n") if line]
    commands = getattr(command, "summaries", None)
    if commands is not None:
        parts.append(_section(t("命令", "Commands"), list(commands().items()), width))
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for parameter in command.get_params(context):
        if not getattr(parameter, "hidden", False):
            is_argument = parameter.param_type_name == "argument"
            (arguments if is_argument else options).append((_names(parameter), _meaning(parameter)))
    if any(meaning for _, meaning in arguments):
        parts.append(_section(t("参数", "Arguments"), arguments, width))
    parts.append(_section(t("选项", "Options"), options, width))
    if command.epilog:
        parts.append("\n".join(line for text in command.epilog.split("\n") for line in _of_epilog(text, width)))
    return "\n\n".join(parts)


def _of_epilog(text: str, width: int) -> Sequence[str]:
    """Wrap a line, but for an indented one: that is a command to copy."""
    return [text] if text.startswith(" ") else wrap(text, width) or [""]


def usage(context: Any) -> str:
    """Write the usage line of a command."""
    command = context.command
    words = [context.command_path]
    if any(parameter.param_type_name == "option" for parameter in command.get_params(context)):
        words.append(t("[选项]", "[OPTIONS]"))
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument":
            name = _argument(parameter)
            words.append(name if parameter.required else f"[{name}]")
    if hasattr(command, "list_commands"):
        words.append(t("命令 ...", "COMMAND ..."))
    return " ".join(words)


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()) + ("..." if parameter.nargs == -1 else "")


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _argument(parameter)
    names = ", ".join(sorted((*parameter.opts, *parameter.secondary_opts), key=lambda name: name.startswith("--")))
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or parameter.name.upper()}"


def _meaning(parameter: Any) -> str:
    # Typer's own options speak English only.
    own = {
        "help": t("显示本帮助", "Show this help"),
    }
    meaning = own.get(parameter.name) or parameter.help or ""
    notes = []
    if parameter.required and parameter.param_type_name == "option":
        notes.append(t("必填", "required"))
    shown = parameter.show_default
    if isinstance(shown, str):
        notes.append(f"{t('默认', 'default')}: {shown}")
    elif shown and parameter.default not in (None, False, "", [], ()):
        notes.append(f"{t('默认', 'default')}: {parameter.default}")
    return f"{meaning} [{'; '.join(notes)}]" if notes else meaning


def _section(title: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    column = min(max((cells(name) for name, _ in rows), default=0), _NAMES_WIDEST) + _GAP
    lines = [paint(f"{title}:", "bold", sys.stdout)]
    for name, meaning in rows:
        lines += _entry(name, wrap(meaning, max(20, width - column - _GAP)), column)
    return "\n".join(lines)


def _entry(name: str, meaning: Sequence[str], column: int) -> Iterable[str]:
    first, rest = (meaning[0], meaning[1:]) if meaning else ("", [])
    if cells(name) + _GAP > column:
        yield " " * _GAP + name
        yield " " * (_GAP + column) + first
    else:
        yield (" " * _GAP + pad(name, column) + first).rstrip()
    for line in rest:
        yield " " * (_GAP + column) + line
