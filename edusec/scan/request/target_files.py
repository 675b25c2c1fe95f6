"""Files of targets: one or more words a line, `#` starts a comment; read within bounds, every fault with its line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t
from edusec.local.files import read_input
from edusec.terminal.render import safe

MAX_WORDS = 20_000
MAX_WORD = 256
_MAX_FAULTS = 50


def read_words(words: Sequence[str], named: Iterable[Path], check: Callable[[str], object]) -> tuple[str, ...]:
    """Give the words, with those of files (`@FILE` among them, and the `named` ones) in the place of each file.

    `check` raises Stop for what is no target; then, and for a file that cannot be read, Stop is raised with every
    fault as file:line: what.
    """
    return (
        *(part for word in words for part in (_file(Path(word[1:]), check) if word.startswith("@") else (word,))),
        *(part for file in named for part in _file(file, check)),
    )


def _file(file: Path, check: Callable[[str], object]) -> Sequence[str]:
    found: list[str] = []
    faults: list[str] = []
    for number, word in _words(file):
        try:
            if len(word) > MAX_WORD:
                raise Stop(
                    t(
                        f"{word[:32]}...：太长，最多 {MAX_WORD} 个字符",
                        f"{word[:32]}...: is too long, at most {MAX_WORD} characters",
                    )
                )
            check(word)
        except Stop as stop:
            faults.append(f"{file}:{number}: {stop}")
        found.append(word)
        if len(found) > MAX_WORDS:
            faults.append(
                t(f"{file}:{number}：超过 {MAX_WORDS} 个目标", f"{file}:{number}: more than {MAX_WORDS} targets")
            )
            break
    if faults:
        more = len(faults) - _MAX_FAULTS
        tail = [t(f"……另有 {more} 处", f"... and {more} more")] if more > 0 else []
        raise Stop("\n".join([safe(fault) for fault in faults[:_MAX_FAULTS]] + tail))
    if not found:
        raise Stop(t(f"{file}：没有目标", f"{file}: has no target"))
    return found


def _words(file: Path) -> Iterator[tuple[int, str]]:
    text = read_input(file).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.split("\n"), 1):
        for word in line.partition("#")[0].split():
            yield number, word
