"""Says everything that needs no collector in one language, as JSON: `python -P -m tests.edusec.speak zh < words`.

Standard input is a list of command lines; what comes out is their words with what they said, and every help page.
"""

import contextlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader

from edusec.cli import main
from probes.kit import registry
from tests.support.repository import ROOT


def said(lang: str, words: Sequence[str]) -> str:
    """Run a command line in this process; gives both of its streams."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
        main(["--lang", lang, *words])
    return text.getvalue()


def help_pages() -> list[tuple[str, ...]]:
    """Give the words of every command, and of the pages that the options of each probe make."""
    loader = SourceFileLoader("scripts_docs", str(ROOT / "scripts" / "docs"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = script  # its dataclasses look themselves up there
    loader.exec_module(script)
    commands = [tuple(words[1:]) for words in script.commands()]
    probes = [("probe", "run", name) for name in registry.names()]
    return [(*words, "--help") for words in dict.fromkeys((*commands, *probes))]


def everything(lang: str) -> dict[str, str]:
    """Say it all."""
    wanted = [*map(tuple, json.load(sys.stdin)), *help_pages()]
    return {" ".join(words): said(lang, words) for words in wanted}


if __name__ == "__main__":
    os.environ["COLUMNS"] = "200"
    # The language is chosen before commands are imported: help texts are made then.
    main(["--lang", sys.argv[1], "--version"])
    json.dump(everything(sys.argv[1]), sys.stderr)
