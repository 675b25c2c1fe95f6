"""Readers for TOML that people wrote: each notes a fault with file and key and goes on, so that all are found."""

import math
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from rules.errors import RuleFault
from wire.faults import not_toml, too_large
from wire.text import Text

MAX_FILE_BYTES = 64 << 10
"""Largest rule file; people write a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file we are; `faults` collects what is wrong there and everywhere else."""

    file: str
    faults: list[RuleFault]
    key: str = ""

    def at(self, step: str | int) -> "Place":
        """Give the place one level further in: a key, or the number (from 1) of an item of a list."""
        if isinstance(step, int):
            return Place(self.file, self.faults, f"{self.key}[{step}]")
        step = step if step.isprintable() and len(step) <= 64 else ascii(step[:64])
        return Place(self.file, self.faults, f"{self.key}.{step}" if self.key else step)

    def fault(self, zh: str, en: str) -> None:
        """Note a fault."""
        self.faults.append(RuleFault(self.file, self.key, Text(zh, en)))


def parse(raw: bytes, place: Place, limit: int = MAX_FILE_BYTES) -> dict[str, Any] | None:
    """Read a TOML file of at most `limit` bytes; None after a fault."""
    if len(raw) > limit:
        place.fault(*too_large(limit))
        return None
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, or a number that cannot be held
        place.fault(*not_toml(error))
    return None


def refuse_unknown(table: dict[str, Any], allowed: Collection[str], place: Place) -> None:
    """Note every key that means nothing here."""
    for key in table:
        if key not in allowed:
            near, listed = suggest(key, allowed), ", ".join(allowed)
            place.at(key).fault(f"没有这个键{near.zh}；可用：{listed}", f"unknown key{near.en}; allowed: {listed}")


def suggest(word: str, allowed: Iterable[str]) -> Text:
    """Give `(did you mean 'x'?)`-like help for a mistyped word, or nothing."""
    close = get_close_matches(word[:64], list(allowed), 1, 0.7)
    return Text(f"（是否指 {close[0]!r}？）", f" (did you mean {close[0]!r}?)") if close else Text("", "")


def text(table: dict[str, Any], key: str, place: Place, limit: int, default: str | None = None) -> str:
    """Read a non-empty text without control characters; `default` is for a missing key, None if it must be there."""
    here = place.at(key)
    if key not in table:
        if default is None:
            here.fault("缺少", "is missing")
        return default or ""
    value = table[key]
    if not isinstance(value, str):
        here.fault(f"须为带引号的文本，不是{kind(value).zh}", f"must be a text in quotes, not {kind(value).en}")
        return ""
    if not value.strip():
        here.fault("为空", "is empty")
    elif len(value) > limit:
        here.fault(f"有 {len(value)} 个字符，最多 {limit} 个", f"{len(value)} characters, at most {limit} are allowed")
    elif not value.replace("\n", " ").isprintable():
        here.fault("含有控制字符", "has a control character")
    return value.strip()


def both(table: dict[str, Any], key: str, place: Place, limit: int) -> Text:
    """Read a text in both languages, written `key.zh` and `key.en`."""
    here = place.at(key)
    pair = table.get(key, {})
    if not isinstance(pair, dict):
        form = f'{key}.zh = "..."', f'{key}.en = "..."'
        here.fault(
            f"须用两种语言给出：{form[0]} 和 {form[1]}", f"must be given in both languages: {form[0]} and {form[1]}"
        )
        return Text("", "")
    refuse_unknown(pair, ("zh", "en"), here)
    return Text(text(pair, "zh", here, limit), text(pair, "en", here, limit))


def choice(table: dict[str, Any], key: str, allowed: Collection[str], place: Place, default: str | None = None) -> str:
    """Read one of some words; "" after a fault."""
    if key not in table and default is not None:
        return default
    return word(table[key], allowed, place.at(key)) if key in table else text(table, key, place, 64)


def word(value: Any, allowed: Collection[str], place: Place) -> str:
    """Check that a value is one of some words; "" after a fault."""
    if isinstance(value, str) and value in allowed:
        return value
    found, listed = shown(value), ", ".join(allowed)
    place.fault(f"{found.zh}不是 {listed} 之一", f"{found.en} is not one of {listed}")
    return ""


def words(table: dict[str, Any], key: str, allowed: Collection[str], place: Place) -> tuple[str, ...]:
    """Read a list of some words; empty if the key is missing."""
    here, value = place.at(key), table.get(key, [])
    if not isinstance(value, list):
        form = f"[{', '.join(map(repr, list(allowed)[:2]))}]"
        here.fault(
            f"须为 {form} 这样的列表，不是{kind(value).zh}", f"must be a list such as {form}, not {kind(value).en}"
        )
        return ()
    return tuple(word(item, allowed, here.at(index)) for index, item in enumerate(value, 1))


def flag(table: dict[str, Any], key: str, place: Place) -> bool:
    """Read true or false; false if the key is missing."""
    value = table.get(key, False)
    if not isinstance(value, bool):
        place.at(key).fault(f"须为 true 或 false，不是{kind(value).zh}", f"must be true or false, not {kind(value).en}")
        return False
    return value


def tables(table: dict[str, Any], key: str, place: Place, limit: int) -> list[tuple[Place, dict[str, Any]]]:
    """Read the tables written `[[key]]`, each with its place; empty if there are none."""
    here, value = place.at(key), table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        here.fault(
            f"须写成 [[{key}]] 表，不是{kind(value).zh}",
            f"must be written as [[{key}]] tables, not as {kind(value).en}",
        )
        return []
    if len(value) > limit:
        here.fault(f"有 {len(value)} 个表，最多 {limit} 个", f"{len(value)} tables, at most {limit} are allowed")
        return []
    return [(here.at(index), item) for index, item in enumerate(value, 1)]


def day(table: dict[str, Any], key: str, place: Place) -> date:
    """Read a date written without quotes."""
    value = table.get(key)
    if type(value) is date:
        return value
    place.at(key).fault(
        f"须为不带引号的日期，如 2025-12-31，不是{kind(value).zh}",
        f"must be a date such as 2025-12-31 without quotes, not {kind(value).en}",
    )
    return date.min


def number(value: Any, place: Place) -> float:
    """Check that a value is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    place.fault(f"须为数值，不是{kind(value).zh}", f"must be a number, not {kind(value).en}")
    return 0.0


_KINDS = {
    str: Text("文本", "a text"),
    bool: Text(" true 或 false", "true or false"),
    int: Text("整数", "a whole number"),
    float: Text("小数", "a number with a point"),
    list: Text("列表", "a list"),
    dict: Text("表", "a table"),
    date: Text("日期", "a date"),
    datetime: Text("日期时间", "a date and time"),
    type(None): Text("空", "nothing"),
}


def kind(value: Any) -> Text:
    """Say in plain words what a TOML value is."""
    if isinstance(value, float) and not math.isfinite(value):
        return Text(" nan 或 inf", "nan or inf")
    return _KINDS.get(type(value), Text("时间", "a time"))


def shown(value: Any) -> Text:
    """Give a wrong value as it can be shown: a text escaped and cut, of anything else what it is."""
    if isinstance(value, str):
        cut = ascii(value)[:66]
        return Text(f"{cut} ", cut)
    return kind(value)
