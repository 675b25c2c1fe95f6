"""A scan as CSV that spreadsheets open as it is: UTF-8 with its mark, no cell that could run, addresses as text."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from edusec.render import safe
from edusec.scan.lines import HOST, SERVICE, Line

COLUMNS = (
    "address", "name", "family", "transport", "port", "state", "standing", "service", "product", "version", "vendor",
    "cpe", "device", "system", "confidence", "title", "banner", "time",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "'")
"""Spreadsheets run a cell that starts with one of these as a formula, some with the wide ones too; the last one is the
mark that keeps them off."""


def as_csv(lines: Sequence[Line]) -> bytes:
    """Write one row for each port that was found, and one for each host on which none was."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row.get(name)) for name in COLUMNS] for row in _rows(lines))
    return text.getvalue().encode("utf-8-sig", "replace")


def _rows(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    services = [line for line in lines if line["type"] == SERVICE]
    names = {line["address"]: line["name"] for line in lines if line["type"] == HOST}
    found = {line["address"] for line in services}
    for line in services:
        details = line["details"]
        more = {"title": details.get("http.title"), "banner": details.get("banner")}
        yield {**line, **more, "name": names.get(line["address"], "")}
    for line in lines:
        if line["type"] == HOST and line["address"] not in found:
            yield {**line, "state": line["presence"]}


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = safe(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
