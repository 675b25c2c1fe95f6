"""Tables that people get: CSV that Excel reads as UTF-8, or XLSX. Every cell is text, and none runs as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from collector.answers.said import one_of
from collector.errors import BadInput

Form = Literal["csv", "xlsx"]
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "'")
"""Spreadsheets run a cell that starts with one of these as a formula; the last one is the mark that keeps them off."""


def write_sheet(rows: Iterable[Sequence[str]], form: Form, title: str) -> bytes:
    """Write rows, the header first, as a file of the form asked for; raises BadInput for any other form."""
    if form not in ("csv", "xlsx"):
        raise BadInput(one_of("format", ("csv", "xlsx")))
    marked = ([_marked(cell) for cell in cells] for cells in rows)
    return _csv(marked) if form == "csv" else _xlsx(marked, title)


def unmarked(cell: str) -> str:
    """Give a cell as it was before `write_sheet` marked it."""
    return cell[1:] if cell[:1] == "'" and _runs(cell[1:]) else cell


def _marked(cell: str) -> str:
    return f"'{cell}" if _runs(cell) else cell


def _runs(cell: str) -> bool:
    return cell.lstrip().startswith(FORMULA)


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8-sig", "replace")


def _xlsx(rows: Iterable[Sequence[str]], title: str) -> bytes:
    from xlsxwriter import Workbook  # type: ignore[import-untyped]

    packed = io.BytesIO()
    book = Workbook(packed, {"in_memory": True})
    sheet, as_text = book.add_worksheet(title), book.add_format({"num_format": "@"})
    width = 0
    for line, cells in enumerate(rows):
        width = max(width, len(cells))
        for place, cell in enumerate(cells):
            sheet.write_string(line, place, cell, as_text)
    sheet.set_column(0, width - 1, 24)
    sheet.freeze_panes(1, 0)
    book.close()
    return packed.getvalue()
