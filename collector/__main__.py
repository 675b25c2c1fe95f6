"""`python -P -m collector init|run`: the collector's own door, for service managers and containers."""

import argparse
import sys
from pathlib import Path

from wire.errors import EdusecError


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments ask; 0 when it went well, 2 for what an operator has to mend."""
    parser = argparse.ArgumentParser(prog="edusec collector", description="The edusec collector.")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make a data folder: configuration, CA, keys, database, administrator")
    init.add_argument("--listen", action="append", default=[], metavar="ADDRESS:PORT")
    init.add_argument("--name", action="append", default=[], metavar="HOST", help="name or address others use")
    init.add_argument("--no-responder", action="store_true", help="without the far end of bandwidth tests")
    init.add_argument("--lang", choices=("zh", "en"), default="zh")
    run = commands.add_parser("run", help="serve until SIGTERM or SIGINT")
    run.add_argument("--check", action="store_true", help="only read the configuration and say what is wrong with it")
    person = commands.add_parser("person", help="add a person and write their operator profile (not while it runs)")
    person.add_argument("--name", required=True)
    person.add_argument("--role", required=True, choices=("viewer", "operator", "admin"))
    person.add_argument("--unit", help="code of the unit at the top of what the person sees; without it: all")
    person.add_argument("--profile", type=Path, required=True, metavar="FILE", help="file to write; it holds the token")
    for command in (init, run, person):
        command.add_argument("--data", type=Path, required=True, metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        {"init": _init, "run": _run, "person": _person}[given.command](given)
    except EdusecError as problem:
        print(problem, file=sys.stderr)
        return 2
    except OSError as problem:  # a full disk, a folder that is not ours to write
        print(f"{problem.filename or given.data}: {problem.strerror or problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _init(given: argparse.Namespace) -> None:
    from collector import setup

    made = setup.init(given.data, given.listen, given.name, responder=not given.no_responder, lang=given.lang)
    print(setup.summary(made)(made.config.lang))


def _run(given: argparse.Namespace) -> None:
    from collector import config

    loaded = config.load(given.data)
    if given.check:
        print(f"{given.data / config.CONFIG_NAME}: fine")
        return
    from collector import server

    server.run(loaded)


def _person(given: argparse.Namespace) -> None:
    from collector import setup

    setup.add_person(given.data, given.name, given.role, given.unit, given.profile)
    print(given.profile)


if __name__ == "__main__":
    sys.exit(main())
