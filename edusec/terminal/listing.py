"""Lists that commands print: a table for people, or JSON Lines with a `schema` on every line."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from collector.sheets.writing import Form, write_sheet
from edusec.exits import Stop
from edusec.lang import current, t
from edusec.local.files import write_atomically
from edusec.terminal.render import cells, json_line, pad, safe, table

Item = Mapping[str, Any]


class Column(NamedTuple):
    """One column: its heading, what it shows of an item, and the colour of a cell."""

    head: str
    show: Callable[[Item], object]
    style: Callable[[str], str] = lambda _text: ""


def show(
    items: Iterable[Item], schema: str, columns: Sequence[Column], *, as_json: bool, output: Path | None = None
) -> int:
    """Print a list, or write it as a spreadsheet; gives how many items it had.

    `schema` is the name in each JSON line, such as `edusec.unit/1`. Raises Stop for an output that is no spreadsheet.
    """
    if output is not None:
        return _write(items, schema, columns, output)
    if as_json:
        return sum(1 for item in items if print(json_line({"schema": schema, **item})) is None)
    rows = [[column.show(item) for column in columns] for item in items]
    if rows:
        table([column.head for column in columns], rows, style=lambda number, text: columns[number].style(text))
    else:
        print(t("（没有）", "(none)"))
    return len(rows)


def _write(items: Iterable[Item], schema: str, columns: Sequence[Column], output: Path) -> int:
    forms: Mapping[str, Form] = {".csv": "csv", ".xlsx": "xlsx"}
    form = forms.get(output.suffix.lower())
    if form is None:
        raise Stop(t(f"{output}：文件名须以 .csv 或 .xlsx 结尾", f"{output}: the name must end in .csv or .xlsx"))
    rows = [[str(column.show(item)) for column in columns] for item in items]
    title = schema.partition(".")[2].partition("/")[0]
    write_atomically(output, write_sheet([[column.head for column in columns], *rows], form, title))
    return len(rows)


def hand_out(lines: Sequence[Item], output: Path | None, *, as_json: bool) -> None:
    """Write lines as JSON into a file, if one is named, and print them, if asked."""
    if output is not None:
        write_atomically(output, "".join(json_line(line) + "\n" for line in lines).encode())
    if as_json:
        for line in lines:
            print(json_line(line))


def details(item: Item, schema: str, lines: Iterable[tuple[str, object]], *, as_json: bool) -> None:
    """Print one thing: labelled lines, or one JSON line."""
    if as_json:
        print(json_line({"schema": schema, **item}))
        return
    rows = [
        (label, [safe(line) for line in str(value).split("\n")]) for label, value in lines if value not in ("", None)
    ]
    width = max((cells(label) for label, _ in rows), default=0)
    for label, (first, *rest) in rows:
        print(f"{pad(label, width)}  {first}")
        for line in rest:
            print(" " * (width + 2) + line)


def imported(result: Item, *, as_json: bool) -> None:
    """Say what an import did; warnings go to standard error."""
    for warning in result["warnings"]:
        print(safe(warning[current()]), file=sys.stderr)
    if as_json:
        print(json_line({"schema": "edusec.import/1", **result}))
        return
    added, changed, unchanged = result["added"], result["changed"], result["unchanged"]
    print(
        t(f"新增 {added}，变更 {changed}，未变 {unchanged}", f"{added} added, {changed} changed, {unchanged} unchanged")
    )
