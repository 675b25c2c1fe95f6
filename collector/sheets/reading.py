"""Tables that people hand in: CSV, TSV or XLSX, with Chinese or English headers, read within bounds.

Everything becomes text, as a person sees it in the cell. Faults are lines of `file:line:field: what`, each in both
languages; a table with faults gives nothing but them.
"""

import csv
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from collector.errors import BadFile
from wire.text import Text, within

MAX_CELL = 1024
MAX_COLUMNS = 64
MAX_PROBLEMS = 200
MAX_XLSX_PLAIN = 64 << 20
"""Most bytes that a workbook may take after decompression, by the sizes in its own directory."""
MAX_XLSX_PARTS = 2_000
MAX_XLSX_ROWS = 1 << 20
"""Excel's own limit; a file may claim a later row, and every gap before it would be walked through."""
BOM_16 = (b"\xff\xfe", b"\xfe\xff")
# What openpyxl and what is below it raise over files that are no workbook or a broken one.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its field name, with every header that stands for it (compared without case and spaces)."""

    field: str
    headers: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One row: where it stands in the file, and its cells by field name, stripped."""

    line: int
    values: Mapping[str, str]


class Problems:
    """Collects faults of one file; `check` raises them all at once."""

    def __init__(self, filename: str) -> None:
        """Start without faults; the name is shown without control characters."""
        self._name = "".join(char for char in filename if char.isprintable())[:100] or "file"
        self.warnings: list[Text] = []
        self._found: list[Text] = []
        self._more = 0

    def add(self, line: int, field: str, text: Text) -> None:
        """Note a fault; past the bound only their number is kept."""
        if len(self._found) < MAX_PROBLEMS:
            self._found.append(self._line(line, field, text))
        else:
            self._more += 1

    def warn(self, line: int, field: str, text: Text) -> None:
        """Note something odd that does not stop the import."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(self._line(line, field, text))

    def check(self) -> None:
        """Raise BadFile when there were faults."""
        if self._found:
            rest = (Text(f"……另有 {self._more} 处", f"... and {self._more} more"),) if self._more else ()
            raise BadFile((*self._found, *rest))

    def _line(self, line: int, field: str, text: Text) -> Text:
        zh, en = (_printable(said)[:MAX_CELL] for said in within(f"{self._name}:{line}:{field}", text))
        return Text(zh, en)


def read_sheet(
    data: bytes, columns: Sequence[Column], problems: Problems, *, filename: str, max_bytes: int, max_rows: int
) -> list[Record]:
    """Read the rows of a table whose first row is the header; raises BadFile when it cannot be read as one.

    Faults of single rows are added to `problems` and those rows are left out.
    """
    if len(data) > max_bytes:
        problems.add(0, "file", Text(f"文件大于 {max_bytes} 字节", f"the file is larger than {max_bytes} bytes"))
        problems.check()
    rows = _xlsx(data, problems) if data.startswith(b"PK\x03\x04") else _csv(data, filename, problems)
    header: list[str] | None = None
    records: list[Record] = []
    for line, cells in rows:
        if not any(cells):
            continue
        if header is None:
            header = _header(cells, columns, problems, line)
        elif line > max_rows + 1:
            problems.add(line, "file", Text(f"超过 {max_rows} 行", f"more than {max_rows} rows"))
            break
        elif (record := _record(line, cells, header, problems)) is not None:
            records.append(record)
    if header is None:
        problems.add(0, "file", Text("文件中没有表头", "the file has no header row"))
        problems.check()
    return records


def _header(cells: list[str], columns: Sequence[Column], problems: Problems, line: int) -> list[str]:
    names = {_plain(name): column.field for column in columns for name in (column.field, *column.headers)}
    header = [names.get(_plain(cell), "") for cell in cells]
    for column in columns:
        if header.count(column.field) > 1:
            problems.add(line, column.field, Text("列重复", "the column is there twice"))
        if column.required and column.field not in header:
            wanted = ", ".join((column.field, *column.headers))
            problems.add(
                line, column.field, Text(f"缺少此列，可写作：{wanted}", f"is missing; may be headed: {wanted}")
            )
    problems.check()
    for cell, field in zip(cells, header, strict=True):
        if cell and not field:
            problems.warn(line, cell, Text("未使用的列", "this column is not used"))
    return header


def _record(line: int, cells: list[str], header: list[str], problems: Problems) -> Record | None:
    if any(cells[len(header) :]):
        problems.add(line, "row", Text("单元格多于表头", "more cells than the header has"))
        return None
    values: dict[str, str] = {}
    for field, cell in zip(header, cells, strict=False):
        if not field:
            continue
        if len(cell) > MAX_CELL:
            problems.add(line, field, Text(f"超过 {MAX_CELL} 个字符", f"longer than {MAX_CELL} characters"))
            return None
        if not cell.isprintable():
            problems.add(line, field, Text("含控制字符", "has control characters"))
            return None
        values[field] = cell
    return Record(line, values)


def _csv(data: bytes, filename: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    text = _text(data, problems)
    first = text.partition("\n")[0]
    tabs = filename.lower().endswith((".tsv", ".tab")) or ("\t" in first and "," not in first)
    delimiter = "\t" if tabs else ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.add(line, "row", Text(f"CSV 格式错误：{error}", f"not well-formed CSV: {error}"))
            problems.check()
        if cells is None:
            return
        yield line, [cell.strip() for cell in cells]
        line = reader.line_num + 1


def _text(data: bytes, problems: Problems) -> str:
    """Decode UTF-8 with or without a mark, what Excel calls Unicode text, or GBK (its superset GB 18030)."""
    encodings = ("utf-16",) if data.startswith(BOM_16) else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    problems.add(0, "file", Text("既不是 UTF-8 也不是 GBK 编码", "neither UTF-8 nor GBK text"))
    problems.check()
    raise AssertionError


def _xlsx(data: bytes, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
        if len(parts) > MAX_XLSX_PARTS or sum(part.file_size for part in parts) > MAX_XLSX_PLAIN:
            problems.add(
                0,
                "file",
                Text(f"解压后大于 {MAX_XLSX_PLAIN} 字节", f"larger than {MAX_XLSX_PLAIN} bytes when unpacked"),
            )
            problems.check()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of every feature of Excel that it does not read
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            try:
                if len(book.worksheets) > 1:
                    problems.warn(0, "file", Text("只读取第一个工作表", "only the first sheet is read"))
                rows = book.worksheets[0].iter_rows(max_row=MAX_XLSX_ROWS, max_col=MAX_COLUMNS, values_only=True)
                for line, cells in enumerate(rows, start=1):
                    yield line, _trim([_cell(value) for value in cells])
            finally:
                book.close()
    except (*BROKEN, InvalidFileException) as error:
        what = str(error)[:200] or type(error).__name__
        problems.add(0, "file", Text(f"无法读取该 XLSX 文件：{what}", f"cannot be read as XLSX: {what}"))
        problems.check()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime) and (value.hour, value.minute, value.second) == (0, 0, 0):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()


def _trim(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _plain(name: str) -> str:
    return "".join(name.split()).replace("_", "").replace("*", "").lower()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
