"""JSON Schema (2020-12, as OpenAPI 3.1 uses it) of the wire types, with the same bounds that the codec enforces."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from enum import Enum
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from wire.codec import to_plain
from wire.decoders import DEFAULT_MAX, MAX_LIST_ITEMS
from wire.types import Max, Range, Value

Schema = dict[str, Any]

REF = "#/components/schemas/"


def components(kinds: Iterable[type[Any]]) -> dict[str, Schema]:
    """Give the schemas of wire dataclasses and of all that they are made of, by class name."""
    found: dict[str, Schema] = {}
    for kind in kinds:
        _schema(kind, found)
    return found


def _schema(kind: Any, found: dict[str, Schema], notes: tuple[Any, ...] = ()) -> Schema:
    size = next((note.size for note in notes if isinstance(note, Max)), None)
    span = next((note for note in notes if isinstance(note, Range)), None)
    origin = get_origin(kind)
    if origin is Annotated:
        base, *more = get_args(kind)
        return _schema(base, found, tuple(more))
    if kind == Value:
        return {
            "type": ["string", "number", "boolean", "null", "array"],
            "maxLength": DEFAULT_MAX.size,
            "items": {"type": "string", "maxLength": DEFAULT_MAX.size},
            "maxItems": MAX_LIST_ITEMS,
        }
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, found) for part in get_args(kind)]}
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], found), "maxItems": size or MAX_LIST_ITEMS}
    if origin is not None and issubclass(origin, Mapping):
        return {
            "type": "object",
            "additionalProperties": _schema(get_args(kind)[1], found),
            "maxProperties": size or MAX_LIST_ITEMS,
        }
    if is_dataclass(kind):
        return _record(kind, found)
    if issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind]}
    limits = {} if span is None else {"minimum": span.low, "maximum": span.high}
    plain: dict[Any, Schema] = {
        str: {"type": "string", "maxLength": size or DEFAULT_MAX.size},
        int: {"type": "integer", **limits},
        float: {"type": "number", **limits},
        bool: {"type": "boolean"},
        date: {"type": "string", "format": "date"},
        NoneType: {"type": "null"},
    }
    return plain[kind]


def _record(kind: Any, found: dict[str, Schema]) -> Schema:
    name = kind.__name__
    if name not in found:
        found[name] = {}  # a place, should a type ever hold itself
        hints = get_type_hints(kind, include_extras=True)
        properties, required = {}, []
        for item in fields(kind):
            entry = _schema(hints[item.name], found)
            if item.name == "schema":
                entry = {"const": item.default}
                required.append(item.name)
            elif item.default is MISSING and item.default_factory is MISSING:
                required.append(item.name)
            elif item.default is not MISSING and item.default is not None:
                entry["default"] = to_plain(item.default)
            properties[item.name] = entry
        found[name] = {
            "type": "object",
            "description": cleandoc(kind.__doc__ or ""),
            "properties": properties,
            "required": required,
        }
    return {"$ref": REF + name}
