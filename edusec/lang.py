"""The operator's language: one choice per process, made before any command module is imported.

Help texts are made when a command module is imported, so the choice cannot wait for the command line to be parsed:
`choose` looks for `--lang` itself and takes it out of the arguments.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from edusec.exits import Stop
from wire.text import Lang, Text, of_locale

LANGS: tuple[Lang, ...] = get_args(Lang)
_chosen: Lang = "en"


def choose(argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Set the language of this process from `--lang` (anywhere before `--`) or the locale; give the other arguments.

    Raises Stop for a language that is not there.
    """
    global _chosen  # noqa: PLW0603 (one choice per process, made once, before anything is printed)
    _chosen = of_locale(environ)
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*rest, word, *words]
        name, equals, value = word.partition("=")
        if name != "--lang":
            rest.append(word)
            continue
        wanted = value if equals else next(words, "")
        if wanted not in LANGS:
            raise Stop(t(f"--lang 只能是 {' 或 '.join(LANGS)}", f"--lang takes {' or '.join(LANGS)}"))
        _chosen = "zh" if wanted == "zh" else "en"
    return rest


def current() -> Lang:
    """Give the language of this process."""
    return _chosen


def t(zh: str, en: str) -> str:
    """Say something in the operator's language."""
    return Text(zh, en)(_chosen)
