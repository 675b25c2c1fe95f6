"""Readers for TOML that people wrote: each notes a fault with file and key and goes on, so that all are found."""

import math
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from rules.errors import RuleFault
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

    def fault(self, what: str) -> None:
        """Note a fault."""
        self.faults.append(RuleFault(self.file, self.key, what))


def parse(raw: bytes, place: Place, limit: int = MAX_FILE_BYTES) -> dict[str, Any] | None:
    """Read a TOML file of at most `limit` bytes; None after a fault."""
    if len(raw) > limit:
        place.fault(f"larger than {limit} bytes")
        return None
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        place.fault(f"line {line} is not UTF-8; save the file as UTF-8")
    except tomllib.TOMLDecodeError as error:
        place.fault(f"not TOML: {error}")
    except RecursionError:
        place.fault("nested too deeply")
    except ValueError as error:  # tomllib lets through what int() and date() refuse
        place.fault(f"not TOML: {error}")
    return None


def refuse_unknown(table: dict[str, Any], allowed: Collection[str], place: Place) -> None:
    """Note every key that means nothing here."""
    for key in table:
        if key not in allowed:
            place.at(key).fault(f"unknown key{suggest(key, allowed)}; allowed: {', '.join(allowed)}")


def suggest(word: str, allowed: Iterable[str]) -> str:
    """Give `, did you mean 'x'?`-like help for a mistyped word, or nothing."""
    close = get_close_matches(word[:64], list(allowed), 1, 0.7)
    return f" (did you mean {close[0]!r}?)" if close else ""


def text(table: dict[str, Any], key: str, place: Place, limit: int, default: str | None = None) -> str:
    """Read a non-empty text without control characters; `default` is for a missing key, None if it must be there."""
    here = place.at(key)
    if key not in table:
        if default is None:
            here.fault("is missing")
        return default or ""
    value = table[key]
    if not isinstance(value, str):
        here.fault(f"must be a text in quotes, not {kind(value)}")
        return ""
    if not value.strip():
        here.fault("is empty")
    elif len(value) > limit:
        here.fault(f"{len(value)} characters, at most {limit} are allowed")
    elif not value.replace("\n", " ").isprintable():
        here.fault("has a control character")
    return value.strip()


def both(table: dict[str, Any], key: str, place: Place, limit: int) -> Text:
    """Read a text in both languages, written `key.zh` and `key.en`."""
    here = place.at(key)
    pair = table.get(key, {})
    if not isinstance(pair, dict):
        here.fault(f'must be given in both languages: {key}.zh = "..." and {key}.en = "..."')
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
    shown = ascii(value)[:66] if isinstance(value, str) else kind(value)
    place.fault(f"{shown} is not one of {', '.join(allowed)}")
    return ""


def words(table: dict[str, Any], key: str, allowed: Collection[str], place: Place) -> tuple[str, ...]:
    """Read a list of some words; empty if the key is missing."""
    here, value = place.at(key), table.get(key, [])
    if not isinstance(value, list):
        here.fault(f"must be a list such as [{', '.join(map(repr, list(allowed)[:2]))}], not {kind(value)}")
        return ()
    return tuple(word(item, allowed, here.at(index)) for index, item in enumerate(value, 1))


def flag(table: dict[str, Any], key: str, place: Place) -> bool:
    """Read true or false; false if the key is missing."""
    value = table.get(key, False)
    if not isinstance(value, bool):
        place.at(key).fault(f"must be true or false, not {kind(value)}")
        return False
    return value


def tables(table: dict[str, Any], key: str, place: Place, limit: int) -> list[tuple[Place, dict[str, Any]]]:
    """Read the tables written `[[key]]`, each with its place; empty if there are none."""
    here, value = place.at(key), table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        here.fault(f"must be written as [[{key}]] tables, not as {kind(value)}")
        return []
    if len(value) > limit:
        here.fault(f"{len(value)} tables, at most {limit} are allowed")
        return []
    return [(here.at(index), item) for index, item in enumerate(value, 1)]


def day(table: dict[str, Any], key: str, place: Place) -> date:
    """Read a date written without quotes."""
    value = table.get(key)
    if type(value) is date:
        return value
    place.at(key).fault(f"must be a date such as 2025-12-31 without quotes, not {kind(value)}")
    return date.min


def number(value: Any, place: Place) -> float:
    """Check that a value is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    place.fault(f"must be a number, not {kind(value)}")
    return 0.0


def kind(value: Any) -> str:
    """Say in plain words what a TOML value is."""
    names = {
        str: "a text",
        bool: "true or false",
        int: "a whole number",
        float: "a number with a point" if not isinstance(value, float) or math.isfinite(value) else "nan or inf",
        list: "a list",
        dict: "a table",
        date: "a date",
        datetime: "a date and time",
        type(None): "nothing",
    }
    return names.get(type(value), "a time")
