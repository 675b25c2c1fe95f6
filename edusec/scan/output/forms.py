"""The forms in which a scan is handed over: JSON Lines, CSV for spreadsheets, and XML in the DTD of nmap's `-oX`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edusec.exits import Stop
from edusec.lang import t
from edusec.scan.result.lines import Line
from edusec.terminal.render import json_line

TABLE, JSONL = "table", "jsonl"


def as_jsonl(lines: Sequence[Line]) -> bytes:
    """Write one JSON object a line."""
    return "".join(json_line(line) + "\n" for line in lines).encode()


def as_csv(lines: Sequence[Line]) -> bytes:
    """Write a table for spreadsheets."""
    from edusec.scan.output.csv import as_csv as write

    return write(lines)


def as_xml(lines: Sequence[Line]) -> bytes:
    """Write nmap's XML; imported on use, as Python's own helpers for XML bring all of HTTP along."""
    from edusec.scan.output.xml import as_xml as write

    return write(lines)


FORMS: Mapping[str, Callable[[Sequence[Line]], bytes]] = {"jsonl": as_jsonl, "csv": as_csv, "xml": as_xml}
_SUFFIXES = {".csv": "csv", ".xml": "xml"}


def check_form(form: str) -> None:
    """Raise Stop for a form that is none."""
    if form not in ("", TABLE, *FORMS):
        names = ", ".join((TABLE, *FORMS))
        raise Stop(t(f"--format：须为 {names} 之一", f"--format: must be one of {names}"))


def form_of_file(form: str, file: Path) -> str:
    """Give the form of a file: the one that was asked for, else the one that its name says, else JSON Lines."""
    return form if form in FORMS else _SUFFIXES.get(file.suffix.lower(), JSONL)
