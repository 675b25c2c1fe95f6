"""JSON + gzip codec of the wire types: strict in types and bounds, open to new fields.

`encode` and `decode` work for every dataclass of `wire.types` and for any other frozen dataclass built of the same
parts (text, numbers, dates, enumerations, tuples, mappings of `Value`, nested dataclasses, optional values).
Decoders are built once per type from its annotations, so that a new message costs only its dataclass.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wire.errors import DecodeError, TooLarge, UnsupportedSchema
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Max, Range, Value

T = TypeVar("T")
Decoder = Callable[[Any, str], Any]

DEFAULT_MAX = Max(1024)
MAX_LIST_ITEMS = 1000
GZIP_WINDOW = 31  # zlib's number for "a gzip header and trailer"


def encode(message: object) -> bytes:
    """Write a message as compact JSON in UTF-8; fields that hold their default are left out, but for the schema."""
    return json.dumps(to_plain(message), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decode(kind: type[T], raw: bytes, limit: int = MAX_PLAIN_BYTES) -> T:
    """Read one JSON message of at most `limit` bytes.

    Raises TooLarge, UnsupportedSchema, or DecodeError with the path of the first fault. Unknown fields are ignored.
    """
    if len(raw) > limit:
        raise TooLarge("message", limit)
    return from_plain(kind, parse_json(raw))


def parse_json(raw: bytes) -> Any:
    """Read JSON text that may be hostile: bad UTF-8, NaN, huge numbers and deep nesting are all a DecodeError."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DecodeError("", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DecodeError("", "nested too deeply") from None
    except ValueError as error:
        raise DecodeError("", f"not JSON: {error}") from None


def compress(raw: bytes) -> bytes:
    """Compress with gzip; the same input gives the same bytes (no time stamp in the header)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_WINDOW)
    return packer.compress(raw) + packer.flush()


def decompress(packed: bytes, packed_limit: int = MAX_REPORT_BYTES, limit: int = MAX_PLAIN_BYTES) -> bytes:
    """Undo gzip without ever holding more than `limit` bytes; raises TooLarge or DecodeError."""
    if len(packed) > packed_limit:
        raise TooLarge("compressed message", packed_limit)
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise DecodeError("", f"not gzip: {error}") from None
    if len(plain) > limit:
        raise TooLarge("decompressed message", limit)
    if not unpacker.eof:
        raise DecodeError("", "the gzip stream is cut short")
    if unpacker.unused_data:
        raise DecodeError("", "bytes follow the gzip stream")
    return plain


def to_plain(value: Any) -> Any:
    """Turn a message into what JSON can say."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return {
        name: to_plain(item)
        for name, default in _defaults(type(value))
        if (item := getattr(value, name)) != default or name == "schema"
    }


def from_plain(kind: type[T], plain: Any, where: str = "") -> T:
    """Build a message from parsed JSON; raises DecodeError or UnsupportedSchema and never builds half a message."""
    return cast(T, _decoder(kind)(plain, where))


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((item.name, _default(item)) for item in fields(kind))


def _default(item: "Field[Any]") -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


@cache
def _decoder(kind: Any, bound: Max | None = None, span: Range | None = None) -> Decoder:  # noqa: PLR0911 (a table)
    origin = get_origin(kind)
    if origin is Annotated:
        base, *notes = get_args(kind)
        size = next((note for note in notes if isinstance(note, Max)), None)
        reach = next((note for note in notes if isinstance(note, Range)), None)
        return _decoder(base, size, reach)
    if kind == Value:
        return _decode_value
    if origin in (Union, UnionType):
        return _optional(kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin is tuple:
        return _sequence(get_args(kind)[0], bound or Max(MAX_LIST_ITEMS))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind)[1], bound or Max(MAX_LIST_ITEMS))
    if is_dataclass(kind):
        return _record(cast("type[Any]", kind))
    if issubclass(kind, Enum):
        return _enumeration(kind)
    return {str: _text(bound or DEFAULT_MAX), int: _integer(span), float: _number(span), bool: _boolean, date: _date}[
        kind
    ]


def _record(kind: type[Any]) -> Decoder:
    hints = get_type_hints(kind, include_extras=True)
    plan = [(item.name, _decoder(hints[item.name]), _default(item)) for item in fields(kind)]
    schema = next((default for name, _, default in plan if name == "schema"), None)

    def decode_record(plain: Any, where: str) -> Any:
        if type(plain) is not dict:
            raise DecodeError(where, f"expected an object, found {_kind(plain)}")
        if schema is not None and plain.get("schema") != schema:
            raise UnsupportedSchema(str(plain.get("schema"))[:64], schema)
        values = {}
        for name, read, default in plan:
            if name in plain:
                values[name] = read(plain[name], f"{where}.{name}" if where else name)
            elif default is MISSING:
                raise DecodeError(f"{where}.{name}" if where else name, "is missing")
        return kind(**values)

    return decode_record


def _sequence(item_kind: Any, bound: Max) -> Decoder:
    read = _decoder(item_kind)

    def decode_sequence(plain: Any, where: str) -> Any:
        if type(plain) is not list:
            raise DecodeError(where, f"expected a list, found {_kind(plain)}")
        if len(plain) > bound.size:
            raise DecodeError(where, f"{len(plain)} items, at most {bound.size} are allowed")
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(plain))

    return decode_sequence


def _mapping(item_kind: Any, bound: Max) -> Decoder:
    read = _decoder(item_kind)
    key = _text(Max(64))

    def decode_mapping(plain: Any, where: str) -> Any:
        if type(plain) is not dict:
            raise DecodeError(where, f"expected an object, found {_kind(plain)}")
        if len(plain) > bound.size:
            raise DecodeError(where, f"{len(plain)} entries, at most {bound.size} are allowed")
        return {key(name, where): read(item, f"{where}.{name[:64]}") for name, item in plain.items()}

    return decode_mapping


def _optional(kind: Any) -> Decoder:
    inner = [part for part in get_args(kind) if part is not NoneType]
    if len(inner) != 1:
        raise TypeError(f"{kind} has no single meaning on the wire")
    read = _decoder(inner[0])
    return lambda plain, where: None if plain is None else read(plain, where)


def _enumeration(kind: type[Enum]) -> Decoder:
    known = {member.value: member for member in kind}
    fallback = known.get("unknown")

    def decode_enumeration(plain: Any, where: str) -> Any:
        if type(plain) is not str or len(plain) > 64:
            raise DecodeError(where, f"expected a word, found {_kind(plain)}")
        member = known.get(plain, fallback)
        if member is None:
            raise DecodeError(where, f"{plain!r} is not one of {', '.join(map(repr, known))}")
        return member

    return decode_enumeration


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decode_literal(plain: Any, where: str) -> Any:
        for item in allowed:
            if type(plain) is type(item) and plain == item:
                return item
        raise DecodeError(where, f"expected one of {', '.join(map(repr, allowed))}")

    return decode_literal


def _text(bound: Max) -> Decoder:
    def decode_text(plain: Any, where: str) -> Any:
        if type(plain) is not str:
            raise DecodeError(where, f"expected text, found {_kind(plain)}")
        if len(plain) > bound.size:
            raise DecodeError(where, f"{len(plain)} characters, at most {bound.size} are allowed")
        if not plain.isascii() and any("\ud800" <= char <= "\udfff" for char in plain):
            raise DecodeError(where, "has a lone surrogate, which is not text")
        return plain

    return decode_text


def _integer(span: Range | None) -> Decoder:
    low, high = span or Range(-(2**53), 2**53)

    def decode_integer(plain: Any, where: str) -> Any:
        if type(plain) is not int:
            raise DecodeError(where, f"expected a whole number, found {_kind(plain)}")
        if not low <= plain <= high:
            raise DecodeError(where, f"must be from {low:.15g} to {high:.15g}")
        return plain

    return decode_integer


def _number(span: Range | None) -> Decoder:
    low, high = span or Range(-1e300, 1e300)

    def decode_number(plain: Any, where: str) -> Any:
        if type(plain) is not float and type(plain) is not int:
            raise DecodeError(where, f"expected a number, found {_kind(plain)}")
        if not low <= plain <= high:  # false for infinity too, which JSON can say as 1e999
            raise DecodeError(where, f"must be from {low:.15g} to {high:.15g}")
        return float(plain)

    return decode_number


def _boolean(plain: Any, where: str) -> Any:
    if type(plain) is not bool:
        raise DecodeError(where, f"expected true or false, found {_kind(plain)}")
    return plain


def _date(plain: Any, where: str) -> Any:
    if type(plain) is not str or len(plain) != len("2000-01-01"):
        raise DecodeError(where, "expected a date such as 2026-12-31")
    try:
        return date.fromisoformat(plain)
    except ValueError:
        raise DecodeError(where, f"{plain!r} is not a date such as 2026-12-31") from None


_value_text = _text(Max(1024))
_value_integer = _integer(None)
_value_number = _number(None)


def _decode_value(plain: Any, where: str) -> Any:
    kind = type(plain)
    if kind is str:
        return _value_text(plain, where)
    if kind is bool or plain is None:
        return plain
    if kind is int:
        return _value_integer(plain, where)
    if kind is float:
        return _value_number(plain, where)
    if kind is list:
        if len(plain) > MAX_LIST_ITEMS:
            raise DecodeError(where, f"{len(plain)} items, at most {MAX_LIST_ITEMS} are allowed")
        return tuple(_value_text(item, f"{where}[{index}]") for index, item in enumerate(plain))
    raise DecodeError(where, f"expected text, a number, true, false, null or a list of texts, found {_kind(plain)}")


def _kind(plain: Any) -> str:
    return {
        dict: "an object",
        list: "a list",
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        NoneType: "null",
    }.get(type(plain), type(plain).__name__)
