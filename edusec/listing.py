"""Lists that commands print: a table for people, or JSON Lines with a `schema` on every line."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edusec.lang import t
from edusec.render import cells, json_line, pad, safe, table

Item = Mapping[str, Any]


class Column(NamedTuple):
    """One column: its heading, what it shows of an item, and the colour of a cell."""

    head: str
    show: Callable[[Item], object]
    style: Callable[[str], str] = lambda _text: ""


def show(items: Iterable[Item], schema: str, columns: Sequence[Column], *, as_json: bool) -> int:
    """Print a list; gives how many items it had. `schema` is the name in each JSON line, such as `edusec.unit/1`."""
    if as_json:
        return sum(1 for item in items if print(json_line({"schema": schema, **item})) is None)
    rows = [[column.show(item) for column in columns] for item in items]
    if rows:
        table([column.head for column in columns], rows, style=lambda number, text: columns[number].style(text))
    else:
        print(t("（没有）", "(none)"))
    return len(rows)


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
        print(safe(warning), file=sys.stderr)
    if as_json:
        print(json_line({"schema": "edusec.import/1", **result}))
        return
    added, changed, unchanged = result["added"], result["changed"], result["unchanged"]
    print(
        t(f"新增 {added}，变更 {changed}，未变 {unchanged}", f"{added} added, {changed} changed, {unchanged} unchanged")
    )
