"""From parsed JSON to values of the wire types: a decoder for each type, built once from its annotations.

Each checks types and bounds and raises DecodeError with the path of the first fault; unknown fields are ignored.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from wire.errors import DecodeError, UnsupportedSchema
from wire.text import Text, as_text, text_of
from wire.types import Check, Max, Range, Value

Decoder = Callable[[Any], Any]

DEFAULT_MAX = Max(1024)
DEFAULT_INTEGERS = Range(-(2**53), 2**53)
DEFAULT_NUMBERS = Range(-1e300, 1e300)
MAX_LIST_ITEMS = 1000
MAX_WORD = 64

OBJECT, LIST, TEXT = Text("对象", "an object"), Text("列表", "a list"), Text("文本", "text")
WHOLE, NUMBER, BOOLEAN = (
    Text("整数", "a whole number"),
    Text("数值", "a number"),
    Text("true 或 false", "true or false"),
)
_DATE = Text("2026-12-31 这样的日期", "a date such as 2026-12-31")
_VALUE = Text("文本、数值、true、false、null 或文本列表", "text, a number, true, false, null or a list of texts")
_KINDS: Mapping[type[Any], Text] = {
    dict: OBJECT,
    list: LIST,
    str: TEXT,
    int: WHOLE,
    float: NUMBER,
    bool: BOOLEAN,
    NoneType: Text("null", "null"),
}


@cache
def decoder_of(kind: Any, notes: tuple[Any, ...] = ()) -> Decoder:
    """Give the function that makes a value of a type from parsed JSON; `notes` are what its annotation says besides."""
    origin = get_origin(kind)
    if origin is Annotated:
        return decoder_of(get_args(kind)[0], get_args(kind)[1:])
    bound = next((note for note in notes if isinstance(note, Max)), None)
    if kind == Value:
        return _decode_value
    if origin in (Union, UnionType):
        return _optional(kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin is tuple:
        return _sequence(decoder_of(get_args(kind)[0]), bound or Max(MAX_LIST_ITEMS))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(decoder_of(get_args(kind)[1]), bound or Max(MAX_LIST_ITEMS))
    if is_dataclass(kind):
        return _record(cast("type[Any]", kind))
    if issubclass(kind, Enum):
        return _enumeration(kind)
    if kind is str:
        return _text(bound or DEFAULT_MAX, next((note for note in notes if isinstance(note, Check)), None))
    span = next((note for note in notes if isinstance(note, Range)), None)
    return {
        int: _integer(span or DEFAULT_INTEGERS),
        float: _number(span or DEFAULT_NUMBERS),
        bool: _boolean,
        date: _date,
    }[kind]


def _record(kind: type[Any]) -> Decoder:
    hints = get_type_hints(kind, include_extras=True)
    plan = tuple((item.name, decoder_of(hints[item.name]), default_of(item) is MISSING) for item in fields(kind))
    schema = next((default_of(item) for item in fields(kind) if item.name == "schema"), None)

    def decode_record(plain: Any) -> Any:
        if type(plain) is not dict:
            raise DecodeError("", _expected(OBJECT, plain))
        if schema is not None and plain.get("schema") != schema:
            found = plain.get("schema")
            raise UnsupportedSchema(found[:64] if type(found) is str else _kind(found).en, schema)
        values = {}
        name = ""
        try:
            for name, read, required in plan:
                if name in plain:
                    values[name] = read(plain[name])
                elif required:
                    raise DecodeError("", Text("缺少", "is missing"))
        except DecodeError as error:
            raise error.within(name) from None
        return kind(**values)

    return decode_record


def _sequence(read: Decoder, bound: Max) -> Decoder:
    def decode_sequence(plain: Any) -> Any:
        if type(plain) is not list:
            raise DecodeError("", _expected(LIST, plain))
        if len(plain) > bound.size:
            raise DecodeError("", _too_many(len(plain), bound, Text("项", "items")))
        values: list[Any] = []
        try:
            for item in plain:
                values.append(read(item))  # noqa: PERF401 (the length says where a fault is)
        except DecodeError as error:
            raise error.within(f"[{len(values)}]") from None
        return tuple(values)

    return decode_sequence


def _mapping(read: Decoder, bound: Max) -> Decoder:
    read_key = _text(Max(64), None)

    def decode_mapping(plain: Any) -> Any:
        if type(plain) is not dict:
            raise DecodeError("", _expected(OBJECT, plain))
        if len(plain) > bound.size:
            raise DecodeError("", _too_many(len(plain), bound, Text("项", "entries")))
        values = {}
        name = ""
        try:
            for name, item in plain.items():
                values[read_key(name)] = read(item)
        except DecodeError as error:
            raise error.within(name[:64] if name and name.isprintable() else ascii(name[:64])) from None
        return values

    return decode_mapping


def _optional(kind: Any) -> Decoder:
    inner = [part for part in get_args(kind) if part is not NoneType]
    if len(inner) != 1:
        raise TypeError(f"{kind} has no single meaning on the wire")
    read = decoder_of(inner[0])
    return lambda plain: None if plain is None else read(plain)


def _enumeration(kind: type[Enum]) -> Decoder:
    known = {member.value: member for member in kind}
    fallback = known.get("unknown")

    def decode_enumeration(plain: Any) -> Any:
        if type(plain) is not str:
            raise DecodeError("", _expected(Text("单词", "a word"), plain))
        member = known.get(plain, fallback)
        if member is None or len(plain) > MAX_WORD:
            raise DecodeError("", _not_one_of(plain, known))
        return member

    return decode_enumeration


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decode_literal(plain: Any) -> Any:
        for item in allowed:
            if type(plain) is type(item) and plain == item:
                return item
        words = ", ".join(map(repr, allowed))
        raise DecodeError("", Text(f"须为 {words} 之一", f"expected one of {words}"))

    return decode_literal


def _text(bound: Max, check: Check | None) -> Decoder:
    size = bound.size

    def decode_text(plain: Any) -> Any:
        if type(plain) is not str:
            raise DecodeError("", _expected(TEXT, plain))
        if len(plain) > size:
            raise DecodeError("", _too_many(len(plain), bound, Text("个字符", "characters")))
        if not plain.isascii():
            try:
                plain.encode()
            except UnicodeEncodeError:
                raise DecodeError(
                    "", Text("含有单个代理码元，不是文本", "has a lone surrogate, which is not text")
                ) from None
        return plain

    def decode_checked(plain: Any) -> Any:
        try:
            cast(Check, check).read(decode_text(plain))
        except ValueError as error:
            raise DecodeError("", text_of(error)) from None
        return plain

    return decode_checked if check else decode_text


def _integer(span: Range) -> Decoder:
    low, high = span

    def decode_integer(plain: Any) -> Any:
        if type(plain) is not int:
            raise DecodeError("", _expected(WHOLE, plain))
        if not low <= plain <= high:
            raise DecodeError("", _from_to(low, high))
        return plain

    return decode_integer


def _number(span: Range) -> Decoder:
    low, high = span

    def decode_number(plain: Any) -> Any:
        if type(plain) is not float and type(plain) is not int:
            raise DecodeError("", _expected(NUMBER, plain))
        if not low <= plain <= high:  # false for infinity too, which JSON can say as 1e999
            raise DecodeError("", _from_to(low, high))
        return float(plain)

    return decode_number


def _boolean(plain: Any) -> Any:
    if type(plain) is not bool:
        raise DecodeError("", _expected(BOOLEAN, plain))
    return plain


def _date(plain: Any) -> Any:
    if type(plain) is not str:
        raise DecodeError("", _expected(_DATE, plain))
    try:
        day = date.fromisoformat(plain)
    except ValueError:
        day = None
    if day is None or day.isoformat() != plain:  # Python also reads 20261231 and 2026-W53-4
        shown = repr(plain[:MAX_WORD])
        raise DecodeError("", Text(f"{shown} 不是 2026-12-31 这样的日期", f"{shown} is not a date such as 2026-12-31"))
    return day


_values: Mapping[type[Any], Decoder] = {
    str: _text(DEFAULT_MAX, None),
    int: _integer(DEFAULT_INTEGERS),
    float: _number(DEFAULT_NUMBERS),
    bool: _boolean,
    NoneType: lambda plain: plain,
    list: _sequence(_text(DEFAULT_MAX, None), Max(MAX_LIST_ITEMS)),
}


def _decode_value(plain: Any) -> Any:
    read = _values.get(type(plain))
    if read is None:
        raise DecodeError("", _expected(_VALUE, plain))
    return read(plain)


def _kind(plain: Any) -> Text:
    return _KINDS.get(type(plain), as_text(type(plain).__name__))


def _expected(wanted: Text, plain: Any) -> Text:
    found = _kind(plain)
    return Text(f"须为{_spaced(wanted.zh)}，不是{_spaced(found.zh)}", f"expected {wanted.en}, found {found.en}")


def _spaced(zh: str) -> str:
    return f" {zh}" if zh[0].isascii() else zh


def _from_to(low: float, high: float) -> Text:
    span = (f"{low:.16g}", f"{high:.16g}")
    return Text(f"须为 {span[0]} 至 {span[1]}", f"must be from {span[0]} to {span[1]}")


def _too_many(count: int, bound: Max, unit: Text) -> Text:
    return Text(
        f"有 {count} {unit.zh}，最多 {bound.size} {unit.zh}", f"{count} {unit.en}, at most {bound.size} are allowed"
    )


def _not_one_of(plain: str, known: Iterable[Any]) -> Text:
    shown, words = repr(plain[:MAX_WORD]), ", ".join(map(repr, known))
    return Text(f"{shown} 不是 {words} 之一", f"{shown} is not one of {words}")


def default_of(item: "Field[Any]") -> Any:
    """Give what a field of a dataclass holds when nothing is said; MISSING when something must be."""
    return item.default_factory() if item.default_factory is not MISSING else item.default
