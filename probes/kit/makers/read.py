"""Read who was assigned which MAC prefix: IEEE's registries (text or CSV), and the lists of arp-scan and nmap.

The prefixes are those of MA-L (24 bits), MA-M (28), MA-S and the former IAB (36), and what a list adds of its own. A
file is taken whole or, with one fault, not at all. What names nobody is left out: blocks that IEEE parted among others,
entries of holders who wish not to be named, and prefixes that no card of a maker has (IEEE 802: group bit, local bit).
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from wire.errors import EdusecError
from wire.faults import not_utf8, reason, too_large
from wire.text import Text, lines_of, within

MAX_FILE = 32 << 20
"""Largest file in bytes; IEEE's largest has 6 MB."""
MAX_PREFIXES = 500_000
MAX_NAME = 256
MAX_FAULTS = 20
NOBODY = frozenset({"private", "ieee registration authority", "icann, iana department"})
"""Whom a prefix was given to without a card of theirs behind it: IANA's is for protocols, as VRRP's (RFC 9542)."""
PREFIX = re.compile(r"[0-9A-F]{2,12}")
"""arp-scan's own bounds, from one octet to a whole MAC."""
CSV_HEAD = "Registry,Assignment,Organization Name"
_SNIFFED, _SNIFFED_LINES = 1 << 16, 20
_TEXT_HEAD = re.compile(r"(OUI|IAB)\b[^\n]*\bOrganization\s*\n")
_TEXT_LINE = re.compile(r"\s*([0-9A-Fa-f-]+)\s+\((hex|base 16)\)(.*)")
_TEXT_OTHERS = ("OUI", "IAB", "company_id")
_HEX = re.compile(r"[0-9A-F]{2}-[0-9A-F]{2}-[0-9A-F]{2}")
_RANGE = re.compile(r"([0-9A-F]*?)(0+)-\1(F+)")
_LISTED = re.compile(r"([0-9A-Fa-f]{2}([:.-]?[0-9A-Fa-f]){4,10})[ \t]+\S")
_RANGE_LENGTH = len("F2F000-F2FFFF")
_GROUP_OR_LOCAL = 0x03


class MakerFileError(EdusecError):
    """A file of MAC prefixes cannot be used, and nothing of it was kept; a line for each fault, file:line:field."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Names by prefix (hex digits in capitals), and how many entries of the file name nobody."""

    names: dict[str, str]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as it stands in a file, with the words by which the file calls its two fields."""

    line: int
    prefix: str
    name: str
    fields: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a line, or with a field of it."""

    line: int
    field: str
    said: Text

    def within(self, file: str) -> Text:
        place = ":".join(filter(None, (file, str(self.line), self.field)))
        return within(place, self.said)


def holds_prefixes(path: Path) -> bool:
    """Tell by its beginning whether a file is one of MAC prefixes; raises MakerFileError when it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED).decode("utf-8-sig", "replace")
    except OSError as error:
        raise MakerFileError(within(str(path), reason(error))) from None
    if head.startswith(CSV_HEAD) or _TEXT_HEAD.match(head.replace("\r\n", "\n")):
        return True
    return any(_LISTED.match(line) for line in islice(_said(head), _SNIFFED_LINES))


def read_makers(path: Path) -> Assigned:
    """Read a file; raises MakerFileError that names each fault."""
    text = _text(path)
    names: dict[str, str] = {}
    left_out = 0
    faults: list[Text] = []
    for entry in _entries(text):
        read = _read(entry) if isinstance(entry, _Entry) else entry
        if isinstance(read, _Fault):
            faults.append(read.within(path.name))
            if len(faults) == MAX_FAULTS:
                break
            continue
        prefix, name = read
        if names_nobody(prefix, name):
            left_out += 1
            continue
        put(names, prefix, name)
        if len(names) > MAX_PREFIXES:
            most = Text(f"超过 {MAX_PREFIXES} 个前缀", f"more than {MAX_PREFIXES} prefixes")
            raise MakerFileError(within(str(path), most))
    if faults:
        head = Text("文件有误，没有导入：", "the file has faults, nothing was imported:")
        raise MakerFileError(lines_of([head, *faults]))
    if not names:
        raise MakerFileError(within(str(path), Text("没有 MAC 前缀", "holds no MAC prefix")))
    return Assigned(names, left_out)


def put(names: dict[str, str], prefix: str, name: str) -> None:
    """Add a name; of two holders of one prefix (080030 has three) both are named, as far as there is room."""
    held = names.get(prefix)
    if held is None:
        names[prefix] = name
    elif name not in held.split(" / ") and len(held) + len(name) + 3 <= MAX_NAME:
        names[prefix] = f"{held} / {name}"


def plain_prefix(text: str) -> str:
    """Write a prefix (`44-19-B6`, `44:19:b6`, `4419b6`) as hex digits in capitals; "" for what is none."""
    digits = re.sub("[:.-]", "", text).upper()
    return digits if PREFIX.fullmatch(digits) else ""


def names_nobody(prefix: str, name: str) -> bool:
    """Tell whether an entry says of no card who made it."""
    return bool(int(prefix[:2], 16) & _GROUP_OR_LOCAL) or name.casefold() in NOBODY


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise MakerFileError(within(str(path), too_large(MAX_FILE)))
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise MakerFileError(within(str(path), reason(error))) from None
    except UnicodeDecodeError as error:
        raise MakerFileError(within(str(path), not_utf8(error))) from None


def _entries(text: str) -> Iterator[_Entry | _Fault]:
    if text.startswith(CSV_HEAD):
        return _of_csv(text)
    return _of_registry(text) if _TEXT_HEAD.match(text) else _of_list(text)


def _read(entry: _Entry) -> tuple[str, str] | _Fault:
    of_prefix, of_name = entry.fields
    prefix, name = plain_prefix(entry.prefix), " ".join(entry.name.split())
    if not prefix:
        shown = repr(entry.prefix[:40])
        said = Text(f"须为 2 至 12 位十六进制数字，不是 {shown}", f"must be 2 to 12 hex digits, not {shown}")
        return _Fault(entry.line, of_prefix, said)
    if not name:
        return _Fault(entry.line, of_name, Text("缺少", "is missing"))
    if len(name) > MAX_NAME:
        return _Fault(entry.line, of_name, Text(f"最多 {MAX_NAME} 个字符", f"at most {MAX_NAME} characters"))
    return prefix, name


def _of_csv(text: str) -> Iterator[_Entry | _Fault]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    fields, line = ("Assignment", "Organization Name"), 1
    try:
        next(rows)
        line = rows.line_num + 1
        for row in rows:
            if row:
                _, prefix, name = (*row, "", "", "")[:3]
                yield _Entry(line, prefix.strip(), name, fields)
            line = rows.line_num + 1
    except csv.Error:
        yield _Fault(line, "", Text("不是有效的 CSV", "is not CSV"))


def _of_registry(text: str) -> Iterator[_Entry | _Fault]:
    """Read IEEE's text: of each entry the line `(hex)` with the first octets, `(base 16)`, and an address below."""
    octets = ""
    for number, line in enumerate(text.split("\n"), 1):
        found = _TEXT_LINE.fullmatch(line)
        if found is None:
            if line[:1].strip() and not line.startswith(_TEXT_OTHERS):
                said = Text("须为前缀、(hex) 或 (base 16) 与名称", "must be a prefix, (hex) or (base 16), and a name")
                yield _Fault(number, "", said)
        elif found[2] == "hex":
            octets = found[1].upper()
            if not _HEX.fullmatch(octets):
                said = Text("须为 00-22-72 这样的三个字节", "must be three octets such as 00-22-72")
                yield _Fault(number, "hex", said)
                octets = ""
        elif prefix := _prefix_of(octets, found[1].upper()):
            yield _Entry(number, prefix, found[3], ("base 16", "Organization"))
        else:
            said = Text(
                "须为同样的三个字节，或其中 B00000-BFFFFF 这样的一段",
                "must be the same three octets, or a range in them such as B00000-BFFFFF",
            )
            yield _Fault(number, "base 16", said)


def _prefix_of(octets: str, text: str) -> str:
    """Join octets with what a range leaves the same (`70-B3-D5`, `F2F000-F2FFFF`: 70B3D5F2F); "" for any other text."""
    digits = octets.replace("-", "")
    if text == digits:
        return digits
    parts = _RANGE.fullmatch(text) if len(text) == _RANGE_LENGTH else None
    return digits + parts[1] if parts and digits and len(parts[2]) == len(parts[3]) else ""


def _said(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if line.strip() and not line.startswith("#"))


def _of_list(text: str) -> Iterator[_Entry | _Fault]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            prefix, name = (*line.split(None, 1), "")[:2]
            yield _Entry(number, prefix, name, ("prefix", "name"))
