"""Strategies for every message of the wire, built from annotations and bounds: a new type is covered by being there."""

import dataclasses
import inspect
import types as pytypes
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from wire import orders, types
from wire.decoders import DEFAULT_INTEGERS, DEFAULT_MAX, DEFAULT_NUMBERS, MAX_LIST_ITEMS
from wire.ports import format_ports
from wire.types import Check, Max, Range, Value

MESSAGES: tuple[type[Any], ...] = tuple(
    member
    for module in (types, orders)
    for _, member in inspect.getmembers(module, dataclasses.is_dataclass)
    if inspect.isclass(member)
)

# Text that JSON, UTF-8 and terminals like to stumble over, besides what hypothesis thinks of.
_AWKWARD = ("", "\x00", "\x1b[31m", "中文", "𝒳", '"', "\\", "é", "\u2028", "null")

_PORT_SETS = st.frozensets(st.integers(0, 65535), max_size=8).map(format_ports)


def texts(limit: int) -> st.SearchStrategy[str]:
    """Give texts up to a bound; the bound itself too, when that is cheap enough."""
    size = min(limit, 24)
    edges = [st.just("x" * limit)] if limit <= 1024 else []
    return st.one_of(
        st.sampled_from([text for text in _AWKWARD if len(text) <= limit]),
        st.text(st.characters(codec="utf-8"), max_size=size),
        *edges,
    )


@cache
def messages(kind: Any, notes: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Give values of any type that the codec knows, within the bounds of its annotation."""
    origin = get_origin(kind)
    bound = next((note for note in notes if isinstance(note, Max)), None)
    span = next((note for note in notes if isinstance(note, Range)), None)
    if origin is Annotated:
        return messages(get_args(kind)[0], get_args(kind)[1:])
    if kind == Value:
        return values()
    if origin in (Union, pytypes.UnionType):
        return st.one_of(*map(messages, get_args(kind)))
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if origin is tuple:
        return st.lists(messages(get_args(kind)[0]), max_size=min((bound or Max(MAX_LIST_ITEMS)).size, 3)).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(texts(64), messages(get_args(kind)[1]), max_size=3)
    if kind is pytypes.NoneType:
        return st.none()
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        parts = {item.name: messages(hints[item.name]) for item in dataclasses.fields(kind) if item.name != "schema"}
        return st.builds(kind, **parts)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is str:
        return _PORT_SETS if any(isinstance(note, Check) for note in notes) else texts((bound or DEFAULT_MAX).size)
    if kind is int:
        low, high = span or DEFAULT_INTEGERS
        return st.integers(int(low), int(high))
    if kind is float:
        low, high = span or DEFAULT_NUMBERS
        return st.floats(low, high)
    return {bool: st.booleans(), date: st.dates()}[kind]


def values() -> st.SearchStrategy[Any]:
    """Give what an observation may say."""
    low, high = DEFAULT_INTEGERS
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(int(low), int(high)),
        st.floats(*DEFAULT_NUMBERS),
        texts(1024),
        st.lists(texts(1024), max_size=3).map(tuple),
    )


def any_message() -> st.SearchStrategy[Any]:
    """Give a message of any type."""
    return st.sampled_from(MESSAGES).flatmap(messages)


def paths(plain: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """List the way to every value inside parsed JSON, the whole first."""
    yield here
    if isinstance(plain, dict):
        for name, item in plain.items():
            yield from paths(item, (*here, name))
    elif isinstance(plain, list):
        for index, item in enumerate(plain):
            yield from paths(item, (*here, index))


def replaced(plain: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Give a copy of parsed JSON with one value put in place of another."""
    if not path:
        return value
    if isinstance(plain, dict):
        return {name: replaced(item, path[1:], value) if name == path[0] else item for name, item in plain.items()}
    return [replaced(item, path[1:], value) if index == path[0] else item for index, item in enumerate(plain)]


def at(plain: Any, path: tuple[str | int, ...]) -> Any:
    """Give the value at the end of a path."""
    for step in path:
        plain = plain[step]
    return plain


def written(path: tuple[str | int, ...]) -> str:
    """Write a path as the codec's errors do."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if step and step.isprintable() else ascii(step))
    return text
