"""A scan as CSV that spreadsheets open as it is: UTF-8 with its mark, no cell that could run, addresses as text."""

from collections.abc import Iterator, Sequence
from typing import Any

from collector.sheets.writing import write_sheet
from edusec.scan.result.drift import FACTS, Place
from edusec.scan.result.lines import DRIFT, HOST, SERVICE, Line
from edusec.terminal.render import safe

COLUMNS = (
    "address", "name", "family", "transport", "port", "state", "standing", "service", "product", "version", "vendor",
    "cpe", "device", "system", "confidence", "title", "banner", "time", "mac", "maker",
)  # fmt: skip
BEFORE = (*FACTS, "mac")
DRIFT_COLUMNS = (
    "change", "confirmed", "missed", "confirm", "seen", *(f"before_{name}" for name in BEFORE), "against",
)  # fmt: skip
"""What `--diff` adds; empty where nothing changed."""


def as_csv(lines: Sequence[Line]) -> bytes:
    """Write one row for each port that was found, and one for each host on which none was.

    Of a scan that was compared with others, what changed stands in further columns of these rows; what is not there
    any more, or not known now, and a host that is new together with its ports, gets rows of its own behind them.
    """
    rows = {_place(row): row for row in _rows(lines)}
    for line in lines:
        if line["type"] == DRIFT:
            rows[_place(line)] = {**_bare(line), **rows.get(_place(line), {}), **_drift(line)}
    columns = (*COLUMNS, *DRIFT_COLUMNS) if "drift" in lines[-1] else COLUMNS
    return write_sheet([columns, *([_cell(row.get(name)) for name in columns] for row in rows.values())], "csv", "")


def _rows(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    services = [line for line in lines if line["type"] == SERVICE]
    hosts = {line["address"]: line for line in lines if line["type"] == HOST}
    found = {line["address"] for line in services}
    for line in services:
        details = line["details"]
        more = {"title": details.get("http.title"), "banner": details.get("banner")}
        host = hosts.get(line["address"], {})
        yield {**line, **more, "name": host.get("name", ""), "mac": host.get("mac"), "maker": _maker(host)}
    for line in lines:
        if line["type"] == HOST and line["address"] not in found:
            yield {**line, "state": line["presence"], "maker": _maker(line)}


def _maker(host: Line) -> str | None:
    return (host.get("maker") or {}).get("name")


def _place(line: Line) -> Place:
    return line["address"], line.get("transport") or "", line.get("port") or 0


def _bare(line: Line) -> dict[str, Any]:
    """Give the row of a place that the scan itself has none for."""
    place = {name: line[name] for name in ("address", "family", "transport", "port")}
    return {**place, "state": (line["after"] or {}).get("state")}


def _drift(line: Line) -> dict[str, Any]:
    before = line["before"] or {}
    return {
        **{name: line[name] for name in ("change", "missed", "confirm", "seen", "against")},
        **{f"before_{name}": before.get(name) for name in BEFORE},
        "confirmed": "true" if line["confirmed"] else "false",
    }


def _cell(value: object) -> str:
    return "" if value is None else safe(value)
