"""JSON + gzip codec of the wire types: strict in types and bounds, open to new fields.

`encode` and `decode` work for every message of `wire` and for any other frozen dataclass built of the same
parts (text, numbers, dates, enumerations, tuples, mappings of `Value`, nested dataclasses, optional values).
What a message may look like is read off its annotations (wire.decoders), so that a new one costs only its dataclass.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast

from wire.decoders import decoder_of, default_of
from wire.errors import DecodeError, TooLarge
from wire.faults import not_json
from wire.text import Text
from wire.types import MAX_PLAIN_BYTES, MAX_REPORT_BYTES

T = TypeVar("T")
Encoder = Callable[[Any], Any]

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
        raise TooLarge(Text("消息", "message"), limit)
    return from_plain(kind, parse_json(raw))


def parse_json(raw: bytes) -> Any:
    """Read JSON text that may be hostile: bad UTF-8, NaN, endless numbers and deep nesting are all a DecodeError."""
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
        raise DecodeError(
            "", Text(f"对象和列表超过 {MAX_CONTAINERS} 个", f"more than {MAX_CONTAINERS} objects and lists")
        )
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise DecodeError("", not_json(error)) from None
    except ValueError:  # the interpreter's bound on the digits of a whole number
        raise DecodeError("", Text("整数的位数过多", "a whole number has too many digits")) from None


def compress(raw: bytes) -> bytes:
    """Compress with gzip; the same input gives the same bytes (no time stamp in the header)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_WINDOW)
    return packer.compress(raw) + packer.flush()


def decompress(packed: bytes, packed_limit: int = MAX_REPORT_BYTES, limit: int = MAX_PLAIN_BYTES) -> bytes:
    """Undo gzip without ever holding more than `limit` bytes; raises TooLarge or DecodeError."""
    if len(packed) > packed_limit:
        raise TooLarge(Text("压缩后的消息", "compressed message"), packed_limit)
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise DecodeError("", Text("不是 gzip 数据", f"not gzip: {error}")) from None
    if len(plain) > limit:
        raise TooLarge(Text("解压后的消息", "decompressed message"), limit)
    if not unpacker.eof:
        raise DecodeError("", Text("gzip 数据不完整", "the gzip stream is cut short"))
    if unpacker.unused_data:
        raise DecodeError("", Text("gzip 数据之后还有内容", "bytes follow the gzip stream"))
    return plain


def to_plain(value: Any) -> Any:
    """Turn a message into what JSON can say."""
    kind: Any = type(value)
    return value if kind in _SCALARS else _encoder(kind)(value)


def from_plain(kind: type[T], plain: Any) -> T:
    """Build a message from parsed JSON; raises DecodeError or UnsupportedSchema and never builds half a message."""
    return cast(T, decoder_of(cast(Any, kind))(plain))


def _refuse_constant(text: str) -> Any:
    raise DecodeError("", Text(f"{text} 不是 JSON 数值", f"{text} is not a JSON number"))


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
    plan = tuple((item.name, default_of(item)) for item in fields(kind))
    return lambda value: {
        name: to_plain(item) for name, default in plan if (item := getattr(value, name)) != default or name == "schema"
    }
