"""The agent's own door: `python -P -m agent enroll|run|status|check`, also reached as `edusec agent ...`.

Exit codes: 0 done, 2 usage or configuration, 4 no permission, 5 collector unreachable, 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent import words
from agent.errors import AgentError, EnrolmentError, Unreachable
from wire.door import Door
from wire.errors import EdusecError
from wire.faults import reason
from wire.text import Lang, Text, of_locale, within
from wire.version import VERSION

CLEAN, USAGE, PRIVILEGE, UNREACHABLE, INTERRUPTED = 0, 2, 4, 5, 130


def main(argv: Sequence[str] | None = None, lang: Lang | None = None) -> int:
    """Run one command and give its exit code; `lang` is the language that a caller has chosen already."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        chosen, rest = _language(given, lang)
        options = _parser(chosen).parse_args(rest)
    except SystemExit as end:  # argparse has said what there was to say
        return int(end.code or 0)
    try:
        return _command(options, chosen)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; the flush at exit must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return CLEAN
    except PermissionError as error:
        return _say(_of_system(error)(chosen), PRIVILEGE)
    except AgentError as error:
        return _say(error.text(chosen), _code(error))
    except EdusecError as error:
        return _say(error.text(chosen), USAGE)
    except OSError as error:
        return _say(_of_system(error)(chosen), USAGE)


def _of_system(error: OSError) -> Text:
    said = reason(error)
    return within(str(error.filename), said) if error.filename else said


def _code(error: AgentError) -> int:
    if isinstance(error, Unreachable):
        return UNREACHABLE
    return PRIVILEGE if isinstance(error.__context__, PermissionError) else USAGE


def _command(options: argparse.Namespace, lang: Lang) -> int:
    if options.command in ("enroll", "enrol"):
        return _enroll(options, lang)
    if options.command == "run":
        return _run(options)
    if options.command == "status":
        return _status(options, lang)
    return _check(options, lang)


def _enroll(options: argparse.Namespace, lang: Lang) -> int:
    from agent.config import load
    from agent.uplink.enrol import enrol

    folder = options.state or load(options.config).state
    token = sys.stdin.readline(4096) if options.token == "-" else options.token  # noqa: S105 (no password)
    if not token.strip():
        raise EnrolmentError("--token：令牌为空", "--token: the token is empty")
    made = enrol(folder, options.collector, token, name=options.name, force=options.force)
    texts = {"agent": made.agent, "unit": made.unit, "unit_name": made.unit_name, "url": made.url}
    print(words.ENROLLED(lang).format(**texts))
    print(words.NEXT(lang), file=sys.stderr)
    return CLEAN


def _run(options: argparse.Namespace) -> int:
    from agent import state
    from agent.check import check_tasks
    from agent.config import load
    from agent.daemon import Daemon, Manner
    from agent.uplink import identity

    config = load(options.config)
    check_tasks(config)
    if options.state:
        config = replace(config, state=options.state)
    state.prepare(config.state)
    with state.held(config.state):
        who = identity.load(config.state)
        manner = Manner(options.config, options.state, now=options.now, once=options.once)
        return Daemon(config, who, manner).run()


def _status(options: argparse.Namespace, lang: Lang) -> int:
    from agent import status
    from agent.config import load

    config = load(options.config)
    if options.state:
        config = replace(config, state=options.state)
    found = status.gather(config)
    print(status.as_json(found) if options.json else status.show(found, lang))
    return CLEAN


def _check(options: argparse.Namespace, lang: Lang) -> int:
    from agent.check import check_tasks
    from agent.config import load

    config = load(options.config)
    check_tasks(config)
    print(words.CONFIG_OK(lang).format(file=config.file) if config.file else words.NO_FILE(lang))
    return CLEAN


def _language(argv: list[str], given: Lang | None) -> tuple[Lang, list[str]]:
    """Take `--lang` out of the words, wherever it stands: help texts are made in that language."""
    chosen = given or of_locale(os.environ)
    rest: list[str] = []
    wanted = iter(argv)
    for word in wanted:
        name, equals, value = word.partition("=")
        if name != "--lang":
            rest.append(word)
            continue
        found = value if equals else next(wanted, "")
        if found not in ("zh", "en"):
            print("edusec agent: --lang zh|en", file=sys.stderr)
            raise SystemExit(USAGE)
        chosen = "zh" if found == "zh" else "en"
    return chosen, rest


def _parser(lang: Lang) -> Door:
    def said(name: str) -> str:
        return words.OPTIONS[name](lang)

    parser = Door("edusec agent", lang, words.DESCRIPTION(lang))
    parser.general.add_argument("--version", action="version", version=f"edusec {VERSION}", help=said("version"))
    parser.general.add_argument(
        "--lang", choices=("zh", "en"), help=said("lang")
    )  # taken out before, here for the help
    for name, made in parser.commands(words.COMMANDS, {"enroll": "enrol"}).items():
        command = made.general
        command.add_argument("--config", type=Path, metavar="FILE", help=said("config"))
        if name != "check":
            command.add_argument("--state", type=Path, metavar="DIR", help=said("state"))
        if name == "enroll":
            command.add_argument("--collector", required=True, metavar="URL", help=said("collector"))
            command.add_argument("--token", required=True, metavar="TOKEN", help=said("token"))
            command.add_argument("--name", default="", metavar="NAME", help=said("name"))
            command.add_argument("--force", action="store_true", help=said("force"))
        elif name == "run":
            command.add_argument("--now", action="store_true", help=said("now"))
            command.add_argument("--once", action="store_true", help=said("once"))
        elif name == "status":
            command.add_argument("--json", action="store_true", help=said("json"))
    return parser


def _say(message: str, code: int) -> int:
    for line in message.split("\n"):
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
        print(f"edusec agent: {shown}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
