"""Where this installation came from, for hints how to add to it."""

import sys

from wire.version import VERSION


def command_for(extra: str) -> str:
    """Give the command that adds an optional part to this installation, from where that came (PEP 610).

    The bare name would have an index send whatever bears it there.
    """
    # Nearly every run has no use for it, and some start hundreds of times an hour.
    import json
    import shlex
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    try:
        told = json.loads(metadata.distribution("edusec").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        told = {}
    url = str(told.get("url", ""))
    if "dir_info" in told and url.startswith("file:"):
        editable = ["-e"] if told["dir_info"].get("editable") else []
        words = [*editable, f"{unquote(urlsplit(url).path)}[{extra}]"]
    else:
        words = [f"edusec[{extra}] @ {url}" if url else f"edusec[{extra}]=={VERSION}"]
    return shlex.join([sys.executable, "-m", "pip", "install", *words])
