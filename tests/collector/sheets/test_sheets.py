"""Tables from strangers: every encoding in use, every way to be broken, within bounds."""

import csv
import io
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from collector.errors import BadFile
from collector.sheets import reading
from collector.sheets.reading import Column, Problems, Record, read_sheet
from tests.support.faults import said_in_english

COLUMNS = (
    Column("code", ("编码", "单位编码"), required=True),
    Column("name", ("名称",), required=True),
    Column("note", ("说明",)),
)


def read(data: bytes, filename: str = "t.csv", *, max_bytes: int = 1 << 20, max_rows: int = 1000) -> list[Record]:
    problems = Problems(filename)
    records = read_sheet(data, COLUMNS, problems, filename=filename, max_bytes=max_bytes, max_rows=max_rows)
    problems.check()
    return records


def problems_of(data: bytes, filename: str = "t.csv", **bounds: int) -> tuple[str, ...]:
    with pytest.raises(BadFile) as caught:
        read(data, filename, **bounds)
    return said_in_english(caught.value)


def tried(data: bytes, filename: str) -> tuple[list[Record], tuple[str, ...]]:
    """Read what may be a table; gives its rows or its faults, never neither."""
    try:
        return read(data, filename), ()
    except BadFile as error:
        return [], said_in_english(error)


def workbook(*rows: Sequence[object]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


TABLE = "编码,名称\n1,甲\n2,乙\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_ending_in_use(encoding: str, ending: str) -> None:
    assert [record.values for record in read(TABLE.replace("\n", ending).encode(encoding))] == [
        {"code": "1", "name": "甲"},
        {"code": "2", "name": "乙"},
    ]


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_every_delimiter_in_use(delimiter: str) -> None:
    assert len(read(TABLE.replace(",", delimiter).encode())) == 2


@pytest.mark.parametrize("header", ["编码,名称", "单位编码, 名 称 ", "CODE,Name", "*编码,名称*", "code,name"])
def test_headers_in_both_languages(header: str) -> None:
    (record,) = read(f"{header}\n1,x\n".encode())
    assert record.values == {"code": "1", "name": "x"}


def test_lines_are_those_of_the_file() -> None:
    text = '编码,名称,说明\n\n1,甲,"说明, 一"\n,,\n2,乙,b\n'
    assert [record.line for record in read(text.encode())] == [3, 5]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "t.csv:0:file"),
        ("\n\n", "t.csv:0:file"),
        ("名称\nx\n", "t.csv:1:code"),
        ("编码,编码,名称\n1,2,x\n", "t.csv:1:code"),
        ("编码,名称\n1,x,y\n", "t.csv:2:row"),
        ('编码,名称\n1,"x\n', "t.csv:2:row"),
        ('编码,名称\n1,"x"y\n', "t.csv:2:row"),
        ('编码,名称\n1,"x\ny"\n', "t.csv:2:name"),
        ("编码,名称\n1,a\x1b[31mb\n", "t.csv:2:name"),
        ("编码,名称\n1,a\u202eb\n", "t.csv:2:name"),
        ("编码,名称\n1,a\x00b\n", "t.csv:2:name"),
        (f"编码,名称\n1,{'x' * 2000}\n", "t.csv:2:name"),
        (f"编码,名称\n1,{'x' * 200_000}\n", "t.csv:2:row"),
    ],
)
def test_a_fault_is_named_with_file_line_and_field(text: str, where: str) -> None:
    (problem,) = problems_of(text.encode())
    assert problem.startswith(f"{where}: ")
    assert problem.isprintable()


def test_bytes_that_are_no_text() -> None:
    (problem,) = problems_of(b"\xff\xfe\x00\xd8" * 10)
    assert "neither UTF-8 nor GBK" in problem


def test_the_name_of_a_file_does_no_harm_to_a_terminal() -> None:
    (problem,) = problems_of(b"", "a\x1b]0;x\x07\n.csv")
    assert problem.isprintable()


def test_more_bytes_or_rows_than_allowed() -> None:
    assert "larger than 10 bytes" in problems_of(TABLE.encode(), max_bytes=10)[0]
    assert "more than 1 rows" in problems_of(TABLE.encode(), max_rows=1)[0]
    assert len(read(TABLE.encode(), max_rows=2)) == 2


def test_many_faults_are_counted_and_not_all_told() -> None:
    problems = problems_of("编码,名称\n".encode() + b"1,x,y\n" * 500)
    assert len(problems) == reading.MAX_PROBLEMS + 1
    assert "300 more" in problems[-1]


def test_columns_that_are_not_used_are_a_warning() -> None:
    problems = Problems("t.csv")
    read_sheet("编码,名称,备注\n1,x,z\n".encode(), COLUMNS, problems, filename="t.csv", max_bytes=1000, max_rows=10)
    assert ["备注" in warning.en for warning in problems.warnings] == [True]


def test_a_workbook_gives_what_a_person_sees() -> None:
    from datetime import date, datetime

    rows = read(
        workbook(
            ("编码", "名称", "说明"),
            (640104, "x", date(2026, 12, 31)),
            (640105.0, 1.5, datetime(2026, 12, 31)),  # noqa: DTZ001 (as a cell has it)
            (" 640106 ", True, None),
        ),
        "t.xlsx",
    )
    assert [tuple(record.values.values()) for record in rows] == [
        ("640104", "x", "2026-12-31"),
        ("640105", "1.5", "2026-12-31"),
        ("640106", "true"),
    ]


def test_a_workbook_that_unpacks_to_more_than_allowed_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * (reading.MAX_XLSX_PLAIN + 1))
    assert packed.tell() < 1 << 20
    assert "unpacked" in problems_of(packed.getvalue(), "bomb.xlsx")[0]


def test_a_workbook_of_very_many_parts_is_not_opened() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(reading.MAX_XLSX_PARTS + 1):
            archive.writestr(str(number), b"")
    assert "unpacked" in problems_of(packed.getvalue(), "parts.xlsx")[0]


SHEET = "xl/worksheets/sheet1.xml"


def tampered(part: str, contents: bytes) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(("编码", "名称"), (1, "x")))) as source,
        zipfile.ZipFile(packed, "w") as target,
    ):
        for name in source.namelist():
            target.writestr(name, contents if name == part else source.read(name))
    return packed.getvalue()


ROW = b'<row r="%d"><c r="A%d" t="inlineStr"><is><t>x</t></is></c></row>'
OPEN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
CLOSE = b"</sheetData></worksheet>"
LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + OPEN + b"<row><c><v>&b;</v></c></row>" + CLOSE
)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"<",
        OPEN,
        OPEN + b"<row><c t='s'><v>99999</v></c></row>" + CLOSE,
        OPEN + b"<row r='-1'><c r='ZZZZ1'><v>1</v></c></row>" + CLOSE,
        OPEN + b"<row r='x'/>" + CLOSE,
        LAUGHS,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + OPEN + CLOSE,
        OPEN + (ROW % (10**15, 10**15)) + CLOSE,
    ],
)
def test_a_hostile_sheet_is_a_fault_of_the_file(contents: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_XLSX_ROWS", 20_000)  # each row before the last is walked through
    (problem,) = problems_of(tampered(SHEET, contents), "bad.xlsx")[:1]
    assert problem.startswith("bad.xlsx:")


def test_a_row_far_below_is_too_many_rows() -> None:
    header = (
        OPEN + b'<row r="1"><c r="A1" t="inlineStr"><is><t>code</t></is></c>'
        b'<c r="B1" t="inlineStr"><is><t>name</t></is></c></row>'
    )
    far = header + ROW % (20_000, 20_000) + CLOSE
    assert "more than 1000 rows" in problems_of(tampered(SHEET, far), "far.xlsx")[0]


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "[Content_Types].xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"]
)
@pytest.mark.parametrize("contents", [b"", b"<x/>", b"\x00" * 100])
def test_a_hostile_part_is_a_fault_of_the_file_or_does_not_matter(part: str, contents: bytes) -> None:
    _, problems = tried(tampered(part, contents), "bad.xlsx")
    assert all(problem.startswith("bad.xlsx:") for problem in problems)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_faults(data: bytes) -> None:
    records, problems = tried(data, "t.csv")
    assert all(problem.isprintable() for problem in problems)
    assert all(value.isprintable() for record in records for value in record.values.values())


WHOLE = workbook(("编码", "名称"), *((number, f"单位 {number}") for number in range(30)))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_a_damaged_workbook_is_a_table_or_faults(changes: list[tuple[int, int]], cut: bool) -> None:
    data = bytearray(WHOLE)
    for place, byte in changes:
        data[place] = byte
    records, problems = tried(bytes(data[: changes[0][0]] if cut else data), "t.xlsx")
    assert records or problems


@given(st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=8))
def test_any_cells_are_a_table_or_faults(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["编码", "名称", "说明"], *rows])
    records, problems = tried(text.getvalue().encode("utf-8", "surrogatepass"), "t.csv")
    filled = sum(any(cell.strip() for cell in row) for row in rows)
    assert problems or len(records) == filled
