"""What terminals get: safe text, columns that respect wide characters, colours where they are wanted."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO
from unicodedata import category, east_asian_width

# What could drive or deceive a terminal: controls (C0, DEL, C1), line separators, lone surrogates; and what is unseen,
# such as direction marks and fillers (Unicode's Default_Ignorable_Code_Point).
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufff9-\ufffb"
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ANSI = {"bold": "1", "dim": "2", "red": "31", "orange": "38;5;208", "yellow": "33", "green": "32", "blue": "34"}


def safe(value: object) -> str:
    """Write text from the network or a file so that no character of it can act on a terminal (`\\x1b`, `\\u202e`)."""
    return _UNSAFE.sub(_escaped, str(value))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_line(plain: Any) -> str:
    """Write one JSON Lines line, Chinese readable, and nothing in it that could act on a terminal."""
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda match: "".join(f"\\u{code:04x}" for code in _utf16(match[0])), text)


def _utf16(char: str) -> tuple[int, ...]:
    """Give the code units by which JSON escapes a character (RFC 8259 section 7)."""
    code = ord(char)
    if code < 0x10000:
        return (code,)
    return 0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF)


def cells(text: str) -> int:
    """Give how many columns of a terminal a text takes."""
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if east_asian_width(char) in {"W", "F"} else 1


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text with spaces up to a width in columns."""
    fill = " " * max(0, width - cells(text))
    return fill + text if right else text + fill


def clip(text: str, width: int) -> str:
    """Cut a text to a width in columns, with an ellipsis where something was left out."""
    if cells(text) <= width:
        return text
    kept, used = [], 1
    for char in text:
        used += _cells_of(char)
        if used > width:
            break
        kept.append(char)
    return "".join(kept) + "…"


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns: between words, and between Chinese characters anywhere."""
    lines, line = [], ""
    for word in re.findall(r"\s+|[\u2e80-\uffef][，。、；：）」！？]?|[^\s\u2e80-\uffef]+", text):
        if cells(line) + cells(word) > width and line.strip():
            lines.append(line.rstrip())
            line = ""
        line = line + word if line or not word.isspace() else ""
    return [*lines, line.rstrip()] if line.strip() else lines


def colours(stream: TextIO) -> bool:
    """Tell whether colours are wanted on a stream: a terminal, and neither NO_COLOR (no-color.org) nor a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    """Colour a text if its stream wants colours; a style that is not known leaves it plain."""
    code = _ANSI.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code and colours(stream) else text


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    style: Callable[[int, str], str] = lambda _column, _text: "",
    stream: TextIO | None = None,
) -> None:
    """Print a table: by rich on a terminal, elsewhere as plain columns, stable and never cut.

    `style` names the colour of a cell from its column and its text.
    """
    out = stream or sys.stdout
    body = [[safe(cell) for cell in row] for row in rows]
    if out.isatty():
        _rich_table(heads, body, style, out)
        return
    widths = [max(cells(line[column]) for line in [list(heads), *body]) for column in range(len(heads))]
    for line in [list(heads), *body]:
        padded = (pad(text, width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip(), file=out)


def _rich_table(
    heads: Sequence[str], body: Sequence[Sequence[str]], style: Callable[[int, str], str], out: TextIO
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for head in heads:
        drawn.add_column(head, overflow="fold")
    for line in body:
        drawn.add_row(*(Text(text, style=_rich_style(style(column, text))) for column, text in enumerate(line)))
    Console(file=out, highlight=False, color_system="auto" if colours(out) else None).print(drawn)


def _rich_style(name: str) -> str:
    return "dark_orange" if name == "orange" else name
