"""The command line's door: language, hand-over to the agent, and one wall where errors become exit codes."""

import os
import re
import sys
from collections.abc import Sequence

from edusec import lang
from edusec.exits import ExitCode, Stop
from edusec.lang import t
from edusec.terminal.render import safe
from wire.errors import EdusecError
from wire.faults import reason
from wire.installed import command_for
from wire.text import text_of, within

OPERATORS_AGENT_WORDS = {"token", "list", "vantage", "revoke", "metrics"}
# Typer says these in English only; the parts of a message first.
_VALUES_ZH = (
    (re.compile(r"Input should be a valid (?:integer|number)(?:, unable to parse string as an? \w+)?"), "须为数值"),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"须不小于 \1"),
    (re.compile(r"Value error, '(.*?)' is not one of (.*?)\.?$"), r"\1 不是 \2 之一"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"须不大于 \1"),
)
_USAGE_ZH = (
    (re.compile(r"^Missing argument (.*?)\.?$", re.DOTALL), r"缺少参数 \1"),
    (re.compile(r"^Missing option (.*?)\.?$", re.DOTALL), r"缺少选项 \1"),
    (re.compile(r"^Missing command\.$"), "缺少子命令"),
    (re.compile(r"^No such command '(.*)'\.$"), r"没有命令 \1"),
    (re.compile(r"^No such option: (\S+)(?: \(Possible options: (.*)\))?$"), r"没有选项 \1"),
    (re.compile(r"^Option (.*) requires (?:an argument|\d+ arguments)\.$"), r"选项 \1 需要一个值"),
    (re.compile(r"^Got unexpected extra argument\S* (.*)$"), r"多余的参数 \1"),
    (re.compile(r"^Invalid value for (.*?): (.*)$", re.DOTALL), r"\1 的值无效：\2"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A GBK or ASCII terminal must not turn one odd character into a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(lang.choose(sys.argv[1:] if argv is None else argv, os.environ))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has left: nobody is there for a message, and the flush at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Stop as stop:
        _say(str(stop))
        return stop.code
    except PermissionError as error:
        _say(_of_system(error))
        return ExitCode.PRIVILEGE
    except OSError as error:
        _say(_of_system(error))
        return ExitCode.USAGE
    except EdusecError as error:
        _say(text_of(error)(lang.current()))
        return ExitCode.USAGE
    return code


def _run(argv: list[str]) -> int:
    if argv[:1] == ["agent"] and _is_for_the_daemon(argv[1:]):
        from agent.__main__ import main as agent_main

        return agent_main(argv[1:], lang.current())
    try:
        import typer
        from typer.main import get_command
    except ModuleNotFoundError:
        raise Stop(
            t(
                f"这里只装了网关所需的部分，只有 `edusec agent` 可用。其他命令请安装：{command_for('cli')}",
                "only what a gateway needs is installed here, so only `edusec agent` works. "
                f"For the other commands: {command_for('cli')}",
            )
        ) from None
    from edusec.root import root

    command = get_command(root())
    if "_EDUSEC_COMPLETE" in os.environ:
        command.main(argv, prog_name="edusec")
    try:
        # Not command.main: it turns a broken pipe into exit code 1, which here means findings.
        with command.make_context("edusec", argv) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        return _usage_error(error)


def _is_for_the_daemon(words: list[str]) -> bool:
    if words and words[0] in OPERATORS_AGENT_WORDS:
        return False
    if words and words[0] not in {"--help", "-h"}:
        return True
    # `edusec agent --help` shows both halves where Typer is there, and the daemon's alone on a router.
    from importlib.util import find_spec

    return find_spec("typer") is None


def _usage_error(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    message = str(getattr(error, "format_message", error.__str__)())
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return ExitCode.USAGE
    if lang.current() == "zh":
        for pattern, translated in _VALUES_ZH:
            message = pattern.sub(translated, message)
        for pattern, translated in _USAGE_ZH:
            if pattern.match(message):
                message = pattern.sub(translated, message)
                break
    _say(message)
    if context is not None:
        hint = t("查看帮助", "for help")
        print(f"{context.command_path} --help  # {hint}", file=sys.stderr)
    return ExitCode.USAGE


def _of_system(error: OSError) -> str:
    said = reason(error)
    return (within(str(error.filename), said) if error.filename else said)(lang.current())


def _say(message: str) -> None:
    # Line by line: a message may have several lines, but nothing in them may act on the terminal.
    lines = [safe(line) for line in message.split("\n")]
    print("\n".join([f"edusec: {lines[0]}", *lines[1:]]), file=sys.stderr)
