"""Files that operators hand to the collector: sent whole, and what was done with them is said."""

from pathlib import Path

from edusec.client import open_collector
from edusec.local.files import read_input
from edusec.terminal.listing import imported


def import_file(path: str, file: Path, profile: Path | None, *, as_json: bool, **query: str | None) -> None:
    """Send a file to an address of the collector and print the result; raises Stop when it cannot be read."""
    content = read_input(file)
    with open_collector(profile) as collector:
        result = collector.send_file(path, content, filename=file.name, **query)
    imported(result, as_json=as_json)
