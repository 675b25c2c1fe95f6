"""Options of probes: one dataclass gives the command line's flags, the check of a configuration and the docs table."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from probes.kit.contract import Probe
from probes.kit.errors import OptionError
from probes.kit.registry import name_of
from wire.text import Text, TextError, text_of
from wire.types import Value

O = TypeVar("O")  # noqa: E741 (the options dataclass of a probe)

MAX_TEXT = 4096
MAX_ITEMS = 1000
_KINDS: Mapping[Any, Text] = {
    str: Text("文本", "a text"),
    int: Text("整数", "a whole number"),
    float: Text("数值", "a number"),
    bool: Text("true 或 false", "true or false"),
    tuple[str, ...]: Text("文本列表", "a list of texts"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option as people meet it; `kind` is str, int, float, bool or tuple[str, ...]."""

    name: str
    kind: Any
    default: Value
    help: Text
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    check: Callable[[Any], object] | None = None

    @property
    def allowed(self) -> Text:
        """Say what the option accepts."""
        kind = _KINDS[self.kind]
        low, high = _plain(self.minimum), _plain(self.maximum)
        if self.choices:
            words = ", ".join(self.choices)
            return Text(f"{kind.zh}：{words} 之一", f"{kind.en}: one of {words}")
        if low and high:
            return Text(f"{kind.zh}，{low} 至 {high}", f"{kind.en} from {low} to {high}")
        if low:
            return Text(f"{kind.zh}，不小于 {low}", f"{kind.en}, at least {low}")
        if self.pattern:
            return Text(f"{kind.zh}，形如 {self.pattern}", f"{kind.en} that matches {self.pattern}")
        return kind


def option(
    default: Value,
    *,
    zh: str,
    en: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str = "",
    check: Callable[[Any], object] | None = None,
) -> Any:
    """Make a field of an options dataclass: its default, its meaning in both languages, and what it accepts.

    `minimum` and `maximum` bound a number, `choices` and `pattern` each text; `check` raises ValueError for the rest.
    """
    facts = {
        "help": Text(zh, en),
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "pattern": pattern,
        "check": check,
    }
    return field(default=default, metadata=facts)


def describe(probe: Probe[Any]) -> tuple[Option, ...]:
    """List the options of a probe, in the order of its dataclass."""
    kinds = get_type_hints(probe.options)
    return tuple(
        Option(item.name, kinds[item.name], None if item.default is MISSING else item.default, **item.metadata)
        for item in fields(probe.options)
    )


def build(probe: Probe[O], given: Mapping[str, Any]) -> O:
    """Make the options of a probe from a configuration; raises OptionError for the first fault, naming its place."""
    name = name_of(probe)
    known = {item.name: item for item in describe(probe)}
    values: dict[str, Value] = {}
    for key, raw in given.items():
        item = known.get(key)
        if item is None:
            shown, others = repr(str(key)[:64]), ", ".join(known)
            raise OptionError(
                name,
                Text(
                    f"没有选项 {shown}；可用 {others or '（无）'}",
                    f"{shown} is not an option; it has {others or 'none'}",
                ),
            )
        try:
            values[key] = _read(item, raw)
        except ValueError as error:
            raise OptionError(name, text_of(error), key) from None
    return probe.options(**values)


def _read(item: Option, raw: Any) -> Value:
    if item.kind == tuple[str, ...]:
        if not isinstance(raw, list | tuple) or not all(isinstance(part, str) for part in raw):
            raise _unexpected(item, raw)
        if len(raw) > MAX_ITEMS:
            raise TextError(
                f"有 {len(raw)} 项，最多 {MAX_ITEMS} 项", f"{len(raw)} items, at most {MAX_ITEMS} are allowed"
            )
        for part in raw:
            _check_text(item, part)
        value: Value = tuple(raw)
    elif item.kind is float and type(raw) is int:
        value = float(raw)
    elif type(raw) is not item.kind:
        raise _unexpected(item, raw)
    else:
        value = raw
    if isinstance(value, str):
        _check_text(item, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(item, value)
    if item.check is not None:
        item.check(value)
    return value


def _unexpected(item: Option, raw: Any) -> TextError:
    return TextError(f"须为{item.allowed.zh}，不是 {_shown(raw)}", f"expected {item.allowed.en}, found {_shown(raw)}")


def _check_text(item: Option, text: str) -> None:
    if len(text) > MAX_TEXT or not text.isprintable():
        raise TextError(f"最多 {MAX_TEXT} 个可打印字符", f"at most {MAX_TEXT} printable characters are allowed")
    if item.choices and text not in item.choices:
        allowed = ", ".join(item.choices)
        raise TextError(
            f"{text[:64]!r} 不可用；须为 {allowed} 之一", f"{text[:64]!r} is not allowed; choose one of {allowed}"
        )
    if item.pattern and not re.fullmatch(item.pattern, text):
        raise TextError(f"{text[:64]!r} 不符合 {item.pattern}", f"{text[:64]!r} does not match {item.pattern}")


def _check_number(item: Option, number: float) -> None:
    low = -math.inf if item.minimum is None else item.minimum
    high = math.inf if item.maximum is None else item.maximum
    if not (math.isfinite(number) and low <= number <= high):
        raise TextError(f"{number!r} 超出范围；须为{item.allowed.zh}", f"{number!r} is out of range; {item.allowed.en}")


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:.15g}"


def _shown(raw: Any) -> str:
    return f"{type(raw).__name__} {str(raw)[:64]!r}"
