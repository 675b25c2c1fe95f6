"""Read the fingerprint files of the Recog project (XML), so that an operator can load a copy of their own.

The files are written for Ruby's regular expressions: there `^` and `$` always mean line ends, and `m` means that a dot
matches a line end. Both are said in Python's words here. What Python cannot read is left out and named.
"""

import base64
import binascii
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probes.kit.fingerprint.bounded import compiled
from probes.kit.fingerprint.model import (
    BAD_LENGTH,
    MAX_FILE,
    MAX_PATTERN,
    Example,
    Fault,
    Fingerprint,
    FingerprintFileError,
    Loaded,
    entry_place,
    why_not,
)
from wire.faults import reason, too_large
from wire.text import Text, TextError, within

DEFAULT_CERTAINTY = 0.85
RUBY_DOTALL = re.compile(r"\(\?([a-z]*)m([a-z]*)([:)])")
MISPLACED_FLAGS = re.compile(r"^\^\(\?([a-z]+)\)")
FLAGS = {"REG_ICASE": re.IGNORECASE, "REG_DOT_NEWLINE": re.DOTALL, "REG_MULTILINE": re.DOTALL}


def read_recog(path: Path) -> Loaded:
    """Read one XML file, or every `*.xml` of a folder in name order.

    Raises FingerprintFileError when a file is not XML, too large or not of this kind; faults of
    single entries are listed.
    """
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise FingerprintFileError(Text(f"{path}：目录中没有 *.xml 文件", f"{path}: no *.xml file is in this folder"))
    loaded = [_read_file(file) for file in files]
    return Loaded(
        tuple(fingerprint for part in loaded for fingerprint in part.fingerprints),
        tuple(fault for part in loaded for fault in part.faults),
    )


def _read_file(file: Path) -> Loaded:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    try:
        if file.stat().st_size > MAX_FILE:
            raise FingerprintFileError(within(str(file), too_large(MAX_FILE)))
        root = parse(file, forbid_dtd=True).getroot()
    except OSError as error:
        raise FingerprintFileError(within(str(file), reason(error))) from None
    except ParseError as error:
        line, column = error.position
        what = Text(f"不是有效的 XML：第 {line} 行第 {column + 1} 列", f"not XML: {error}")
        raise FingerprintFileError(within(str(file), what)) from None
    except (DefusedXmlException, ValueError) as error:
        what = Text("XML 含有 DTD 或实体，不予读取", f"not read: {str(error) or type(error).__name__}")
        raise FingerprintFileError(within(str(file), what)) from None
    if root is None or root.tag != "fingerprints":
        raise FingerprintFileError(
            Text(f"{file}：最外层元素须为 <fingerprints>", f"{file}: the outermost element must be <fingerprints>")
        )
    key = root.get("matches") or f"{root.get('protocol', 'unknown')}.{file.stem}"
    certainty = _certainty(root.get("preference"), DEFAULT_CERTAINTY)
    fingerprints: list[Fingerprint] = []
    faults: list[Fault] = []
    for index, element in enumerate(root.iter("fingerprint"), 1):
        try:
            fingerprints.append(_entry(element, key, certainty, file))
        except (ValueError, re.error, RecursionError, OverflowError) as error:
            faults.append(Fault(file.name, entry_place(index, _title(element)), why_not(error)))
    return Loaded(tuple(fingerprints), tuple(faults))


def _entry(element: Any, key: str, certainty: float, file: Path) -> Fingerprint:
    pattern = element.get("pattern") or ""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise TextError(*BAD_LENGTH)
    flags = re.MULTILINE
    for word in filter(None, (element.get("flags") or "").split(",")):
        if word not in FLAGS:
            listed = ", ".join(FLAGS)
            raise TextError(f"标志 {word!r} 不是 {listed} 之一", f"flag {word!r} is not one of {listed}")
        flags |= FLAGS[word]
    python = RUBY_DOTALL.sub(r"(?\1s\2\3", MISPLACED_FLAGS.sub(r"(?\1)^", pattern))
    says = dict(_says(element, compiled(python, flags).groups))
    own = next((value for name, value in says.items() if name.endswith(".certainty")), None)
    return Fingerprint(
        key=key,
        pattern=python,
        flags=int(flags),
        title=_title(element),
        says=says,
        certainty=_certainty(own, certainty),
        source=f"recog/{file.name}",
        examples=tuple(_example(example, file) for example in element.findall("example")),
    )


def _says(element: Any, groups: int) -> Iterator[tuple[str, str]]:
    for item in element.findall("param"):
        name, position = item.get("name") or "", item.get("pos") or ""
        if not name or not (position.isascii() and position.isdigit()):
            raise TextError("param 须有 name 和 pos", "a param needs a name and a position")
        if int(position) > groups:
            raise TextError(
                f"param {name} 引用了第 {position} 个分组，正则表达式只有 {groups} 个",
                f"param {name} names group {position}, the pattern has {groups}",
            )
        yield name, f"{{{position}}}" if int(position) else item.get("value") or ""


def _example(element: Any, file: Path) -> Example:
    text = element.text or ""
    if element.get("_encoding") == "base64":
        try:
            raw = base64.b64decode(text)
        except binascii.Error as error:
            raise TextError("示例不是 base64", f"an example is not base64: {error}") from None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if element.get("_filename"):
        text = _beside(file, element.get("_filename"))
    return Example(text, {name: value for name, value in element.attrib.items() if not name.startswith("_")})


def _beside(file: Path, name: str) -> str:
    inside = (file.parent / file.stem).resolve()
    wanted = (inside / name).resolve()
    if not wanted.is_relative_to(inside):
        raise TextError(
            f"示例文件 {name!r} 在 {inside.name}/ 之外", f"example file {name!r} lies outside {inside.name}/"
        )
    try:
        return wanted.read_text("utf-8", errors="replace")
    except OSError as error:
        raise TextError(
            f"示例文件 {name!r}：{reason(error).zh}", f"example file {name!r}: {reason(error).en}"
        ) from None


def _title(element: Any) -> str:
    description = element.find("description")
    return " ".join((description.text or "").split())[:256] if description is not None else ""


def _certainty(text: str | None, default: float) -> float:
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else default
