"""Writes every help page as Markdown, from the commands themselves: `python -P -m edusec.manual docs/cli.md`.

The file carries them between two marks; a test compares the two. Without a file they go to standard output.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from edusec.cli import main
from edusec.root import root

WIDTH = 100
BEGIN, END = "<!-- help pages: begin -->", "<!-- help pages: end -->"


def pages() -> str:
    """Give the help pages of all commands, in their order."""
    os.environ["COLUMNS"] = str(WIDTH)
    return "\n".join(
        f"{'#' * (1 + len(words))} {' '.join(words)}\n\n```text\n{_help(words)}\n```\n" for words in _commands()
    )


def _commands() -> Iterator[tuple[str, ...]]:
    yield from _below(get_command(root()), ("edusec",))


def _below(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    names = getattr(command, "list_commands", None)
    find = getattr(command, "get_command", None)
    if names is None or find is None:
        return
    for name in names(None):
        yield from _below(find(None, name), (*words, name))


def _help(words: tuple[str, ...]) -> str:
    text = io.StringIO()
    # Pages of the agent and the collector are argparse's, which ends with SystemExit.
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*words[1:], "--help"])
    return text.getvalue().rstrip()


def replace(document: str) -> str:
    """Put the pages between the marks of a document."""
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{pages()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if sys.argv[1:]:
        file = Path(sys.argv[1])
        file.write_text(replace(file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(BEGIN, pages(), END, sep="\n\n")
