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
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES, Check, Max, Range, Value

T = TypeVar("T")
Decoder = Callable[[Any], Any]
Encoder = Callable[[Any], Any]

DEFAULT_MAX = Max(1024)
DEFAULT_INTEGERS = Range(-(2**53), 2**53)
DEFAULT_NUMBERS = Range(-1e300, 1e300)
MAX_LIST_ITEMS = 1000
MAX_WORD = 64
MAX_CONTAINERS = 1 << 19
"""Most objects and lists in one message: a small text such as `[{},{},...` costs thirty times its size once parsed."""
GZIP_WINDOW = 31  # zlib's number for "a gzip header and trailer"

_SCALARS = frozenset((str, int, float, bool, NoneType))
_write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode(message: object) -> bytes:
    """Write a message as compact JSON in UTF-8; fields that hold their default are left out, but for the schema."""
    return _write_json(to_plain(message)).encode()


def decode(kind: type[T], raw: bytes, limit: int = MAX_PLAIN_BYTES) -> T:
    """Read one JSON message of at most `limit` bytes.

    Raises TooLarge, UnsupportedSchema, or DecodeError with the path of the first fault. Unknown fields are ignored.
    """
    if len(raw) > limit:
        raise TooLarge("message", limit)
    return from_plain(kind, parse_json(raw))


def parse_json(raw: bytes) -> Any:
    """Read JSON text that may be hostile: bad UTF-8, NaN, endless numbers and deep nesting are all a DecodeError."""
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
        raise DecodeError("", f"more than {MAX_CONTAINERS} objects and lists")
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DecodeError("", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DecodeError("", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise DecodeError("", f"not JSON: {error}") from None
    except ValueError:  # the interpreter's bound on the digits of a whole number
        raise DecodeError("", "a whole number has too many digits") from None


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
    kind: Any = type(value)
    return value if kind in _SCALARS else _encoder(kind)(value)


def from_plain(kind: type[T], plain: Any) -> T:
    """Build a message from parsed JSON; raises DecodeError or UnsupportedSchema and never builds half a message."""
    return cast(T, _decoder(cast(Any, kind))(plain))


def _refuse_constant(text: str) -> Any:
    raise DecodeError("", f"{text} is not a JSON number")


@cache
def _encoder(kind: type[Any]) -> Encoder:
    if issubclass(kind, Enum):
        return lambda value: value.value
    if issubclass(kind, str | int | float):
        return lambda value: value
    if issubclass(kind, tuple | list):
        return lambda value: [to_plain(item) for item in value]
    if issubclass(kind, Mapping):
        return lambda value: {key: to_plain(item) for key, item in value.items()}
    if issubclass(kind, date):
        return lambda value: value.isoformat()
    plan = tuple((item.name, _default(item)) for item in fields(kind))
    return lambda value: {
        name: to_plain(item) for name, default in plan if (item := getattr(value, name)) != default or name == "schema"
    }


def _default(item: "Field[Any]") -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


@cache
def _decoder(kind: Any, notes: tuple[Any, ...] = ()) -> Decoder:
    origin = get_origin(kind)
    if origin is Annotated:
        return _decoder(get_args(kind)[0], get_args(kind)[1:])
    bound = next((note for note in notes if isinstance(note, Max)), None)
    if kind == Value:
        return _decode_value
    if origin in (Union, UnionType):
        return _optional(kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin is tuple:
        return _sequence(_decoder(get_args(kind)[0]), bound or Max(MAX_LIST_ITEMS))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_decoder(get_args(kind)[1]), bound or Max(MAX_LIST_ITEMS))
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
    plan = tuple((item.name, _decoder(hints[item.name]), _default(item) is MISSING) for item in fields(kind))
    schema = next((_default(item) for item in fields(kind) if item.name == "schema"), None)

    def decode_record(plain: Any) -> Any:
        if type(plain) is not dict:
            raise DecodeError("", f"expected an object, found {_kind(plain)}")
        if schema is not None and plain.get("schema") != schema:
            found = plain.get("schema")
            raise UnsupportedSchema(found[:64] if type(found) is str else _kind(found), schema)
        values = {}
        name = ""
        try:
            for name, read, required in plan:
                if name in plain:
                    values[name] = read(plain[name])
                elif required:
                    raise DecodeError("", "is missing")
        except DecodeError as error:
            raise error.within(name) from None
        return kind(**values)

    return decode_record


def _sequence(read: Decoder, bound: Max) -> Decoder:
    def decode_sequence(plain: Any) -> Any:
        if type(plain) is not list:
            raise DecodeError("", f"expected a list, found {_kind(plain)}")
        if len(plain) > bound.size:
            raise DecodeError("", f"{len(plain)} items, at most {bound.size} are allowed")
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
            raise DecodeError("", f"expected an object, found {_kind(plain)}")
        if len(plain) > bound.size:
            raise DecodeError("", f"{len(plain)} entries, at most {bound.size} are allowed")
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
    read = _decoder(inner[0])
    return lambda plain: None if plain is None else read(plain)


def _enumeration(kind: type[Enum]) -> Decoder:
    known = {member.value: member for member in kind}
    fallback = known.get("unknown")

    def decode_enumeration(plain: Any) -> Any:
        if type(plain) is not str:
            raise DecodeError("", f"expected a word, found {_kind(plain)}")
        member = known.get(plain, fallback)
        if member is None or len(plain) > MAX_WORD:
            raise DecodeError("", f"{plain[:MAX_WORD]!r} is not one of {', '.join(map(repr, known))}")
        return member

    return decode_enumeration


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decode_literal(plain: Any) -> Any:
        for item in allowed:
            if type(plain) is type(item) and plain == item:
                return item
        raise DecodeError("", f"expected one of {', '.join(map(repr, allowed))}")

    return decode_literal


def _text(bound: Max, check: Check | None) -> Decoder:
    size = bound.size

    def decode_text(plain: Any) -> Any:
        if type(plain) is not str:
            raise DecodeError("", f"expected text, found {_kind(plain)}")
        if len(plain) > size:
            raise DecodeError("", f"{len(plain)} characters, at most {size} are allowed")
        if not plain.isascii():
            try:
                plain.encode()
            except UnicodeEncodeError:
                raise DecodeError("", "has a lone surrogate, which is not text") from None
        return plain

    def decode_checked(plain: Any) -> Any:
        try:
            cast(Check, check).read(decode_text(plain))
        except ValueError as error:
            raise DecodeError("", str(error)) from None
        return plain

    return decode_checked if check else decode_text


def _integer(span: Range) -> Decoder:
    low, high = span

    def decode_integer(plain: Any) -> Any:
        if type(plain) is not int:
            raise DecodeError("", f"expected a whole number, found {_kind(plain)}")
        if not low <= plain <= high:
            raise DecodeError("", f"must be from {low:.16g} to {high:.16g}")
        return plain

    return decode_integer


def _number(span: Range) -> Decoder:
    low, high = span

    def decode_number(plain: Any) -> Any:
        if type(plain) is not float and type(plain) is not int:
            raise DecodeError("", f"expected a number, found {_kind(plain)}")
        if not low <= plain <= high:  # false for infinity too, which JSON can say as 1e999
            raise DecodeError("", f"must be from {low:.16g} to {high:.16g}")
        return float(plain)

    return decode_number


def _boolean(plain: Any) -> Any:
    if type(plain) is not bool:
        raise DecodeError("", f"expected true or false, found {_kind(plain)}")
    return plain


def _date(plain: Any) -> Any:
    if type(plain) is not str:
        raise DecodeError("", f"expected a date such as 2026-12-31, found {_kind(plain)}")
    try:
        day = date.fromisoformat(plain)
    except ValueError:
        day = None
    if day is None or day.isoformat() != plain:  # Python also reads 20261231 and 2026-W53-4
        raise DecodeError("", f"{plain[:MAX_WORD]!r} is not a date such as 2026-12-31")
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
        raise DecodeError("", f"expected text, a number, true, false, null or a list of texts, found {_kind(plain)}")
    return read(plain)


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
