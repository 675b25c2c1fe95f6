"""What is wrong with a parameter or a field of a body, said in both languages; msgspec says it to programmers."""

import re
from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException, SerializationException

from wire.errors import DecodeError
from wire.faults import not_json
from wire.text import Text, as_text, within

TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$"
"""How a moment is written in a parameter: ISO 8601 with its zone."""

_KINDS: Mapping[str, Text] = {
    "int": Text("整数", "a whole number"),
    "float": Text("数值", "a number"),
    "bool": Text(" true 或 false", "true or false"),
    "str": Text("文本", "a text"),
    "object": Text("对象", "an object"),
    "array": Text("列表", "a list"),
}
# Litestar's and our own names for the same thing.
_NAMES = {"wanted": "state", "form": "format", "data": "body"}
_EXPECTED = re.compile(r"Expected `(\w+)(?: \| null)?`(.*)", re.DOTALL)
_REST: tuple[tuple[re.Pattern[str], Text], ...] = (
    (re.compile(r" of length >= (\d+)"), Text("，至少 {0} 个字符", ", at least {0} characters")),
    (re.compile(r" of length <= (\d+)"), Text("，最多 {0} 个字符", ", at most {0} characters")),
    (re.compile(r" >= (\S+)"), Text("，不小于 {0}", " not below {0}")),
    (re.compile(r" <= (\S+)"), Text("，不大于 {0}", " not above {0}")),
)
_OTHERS: tuple[tuple[re.Pattern[str], Text], ...] = (
    (re.compile(r"Invalid enum value (.*)"), Text("{0} 不在可用的值之列", "{0} is none of the words that are allowed")),
    (re.compile(r"Object missing required field `(.*)`"), Text("缺少 {0}", "{0} is missing")),
    (re.compile(r"Object contains unknown field `(.*)`"), Text("没有 {0} 这个字段", "{0} is not a field")),
    (re.compile(r"Missing required .*parameter '?(\w+)'?.*"), Text("缺少参数 {0}", "parameter {0} is missing")),
    (re.compile(r"Unexpected missing value"), Text("缺少", "is missing")),
    (re.compile(r"Integer value out of range"), Text("数值超出范围", "is out of range")),
)
_MOMENT = Text(
    "须为带时区的时间，如 2026-01-31T08:00:00Z", "must be a time with its zone, such as 2026-01-31T08:00:00Z"
)


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body, when it is no JSON, is a DecodeError: msgspec lets bad UTF-8 and deep nesting through."""

    async def json(self) -> Any:
        """Read the body."""
        try:
            return await super().json()
        except SerializationException as error:
            raise DecodeError("body", not_json(error.__cause__ or error)) from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise DecodeError("body", not_json(error)) from None


def faults_of(problem: HTTPException) -> Text | None:
    """Say what is wrong with each parameter that Litestar could not read; None where it names none."""
    extra = getattr(problem, "extra", None)
    named = [item for item in extra if isinstance(item, dict)] if isinstance(extra, list) else []
    said = [_fault(str(item.get("key", "data")), str(item.get("message", ""))) for item in named]
    if not said and (missing := _other(problem.detail)):
        said = [missing]
    return Text("；".join(text.zh for text in said), "; ".join(text.en for text in said)) if said else None


def _fault(key: str, message: str) -> Text:
    return within(_NAMES.get(key, key), _expected(message) or _other(message) or as_text(message))


def _expected(message: str) -> Text | None:
    found = _EXPECTED.fullmatch(message)
    if found is None:
        return None
    kind = _KINDS.get(found[1], as_text(f" {found[1]}"))
    rest = found[2]
    if rest == f" matching regex {TIME!r}":
        return _MOMENT
    for pattern, more in _REST:
        if bound := pattern.fullmatch(rest):
            kind = Text(kind.zh + more.zh.format(bound[1]), kind.en + more.en.format(bound[1]))
    return Text(f"须为{kind.zh}", f"must be {kind.en.strip()}")


def _other(message: str) -> Text | None:
    for pattern, said in _OTHERS:
        if found := pattern.fullmatch(message):
            return Text(said.zh.format(*found.groups()), said.en.format(*found.groups()))
    return None
