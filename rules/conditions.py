"""Reading conditions and facts as rule files write them.

A table holds when all its lines hold. A line is `fact = value`, `fact = { operator = value }` (of several operators all
must hold), or `all` or `any` with a list of tables, or `not` with one table.
"""

from collections.abc import Mapping
from typing import Any

from rules.facts import UNKNOWN, Fact, FactValue
from rules.model import Condition
from rules.predicates import COMBINATIONS
from rules.reading import Place, kind, number, suggest, word
from wire.text import Text

MAX_DEPTH = 8
MAX_PARTS = 100
MAX_TEXT = 256

_ORDER = ("lt", "le", "gt", "ge")
_LISTS = ("in", "not_in")
OPERATORS: Mapping[type, tuple[str, ...]] = {
    str: ("eq", "ne", *_LISTS, "contains", "known"),
    int: ("eq", "ne", *_ORDER, *_LISTS, "known"),
    float: ("eq", "ne", *_ORDER, *_LISTS, "known"),
    bool: ("eq", "ne", "known"),
    tuple: ("contains", "known"),
}
"""Which operators make sense for which type of fact."""


def read_condition(plain: Any, vocabulary: Mapping[str, Fact], place: Place, depth: int = 0) -> Condition | None:
    """Read one table of a condition; None after a fault."""
    if not isinstance(plain, dict):
        place.fault(f"须为事实的表，不是{kind(plain).zh}", f"must be a table of facts, not {kind(plain).en}")
        return None
    if not plain:
        place.fault("没有内容；至少写一个事实", "says nothing; name at least one fact")
        return None
    if depth > MAX_DEPTH:
        place.fault(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH} levels")
        return None
    if len(plain) > MAX_PARTS:
        place.fault(f"有 {len(plain)} 行，最多 {MAX_PARTS} 行", f"{len(plain)} lines, at most {MAX_PARTS} are allowed")
        return None
    parts = [_read_line(key, value, vocabulary, place.at(key), depth) for key, value in plain.items()]
    return _combined("all", parts)


def read_facts(plain: Any, vocabulary: Mapping[str, Fact], place: Place) -> dict[str, FactValue]:
    """Read the facts of an example; what is faulty is left out."""
    if not isinstance(plain, dict):
        place.fault(f"须为事实的表，不是{kind(plain).zh}", f"must be a table of facts, not {kind(plain).en}")
        return {}
    facts: dict[str, FactValue] = {}
    for name, value in plain.items():
        here = place.at(name)
        if name not in vocabulary:
            here.fault(*_unknown_fact(name, vocabulary, ()))
        elif vocabulary[name].type is tuple:
            facts[name] = _read_list(value, Fact(str, vocabulary[name].meaning), here)
        else:
            facts[name] = _read_value(value, vocabulary[name], here, vocabulary[name].values)
    return facts


def _read_line(key: str, value: Any, vocabulary: Mapping[str, Fact], place: Place, depth: int) -> Condition | None:
    if key == "not":
        part = read_condition(value, vocabulary, place, depth + 1)
        return Condition("not", parts=(part,)) if part else None
    if key in COMBINATIONS:
        if not isinstance(value, list) or not value or len(value) > MAX_PARTS:
            form = "[{ ... }, { ... }]"
            place.fault(
                f"须为 1 至 {MAX_PARTS} 个表的列表：{form}", f"must be a list of 1 to {MAX_PARTS} tables: {form}"
            )
            return None
        parts = [read_condition(item, vocabulary, place.at(index), depth + 1) for index, item in enumerate(value, 1)]
        return _combined(key, parts)
    if key not in vocabulary:
        place.fault(*_unknown_fact(key, vocabulary, COMBINATIONS))
        return None
    fact = vocabulary[key]
    if isinstance(value, dict):
        if not value:
            place.fault(
                f"没有内容；可用的运算符：{_allowed(fact)}", f"says nothing; allowed operators: {_allowed(fact)}"
            )
            return None
        return _combined("all", [_read_test(key, op, wanted, fact, place.at(op)) for op, wanted in value.items()])
    if fact.type is tuple or isinstance(value, list):
        form = f"{{ {'contains' if fact.type is tuple else 'in'} = ... }}"
        place.fault(f"请写成 {form}；可用：{_allowed(fact)}", f"write {form}; allowed: {_allowed(fact)}")
        return None
    return _read_test(key, "eq", value, fact, place)


def _read_test(name: str, op: str, wanted: Any, fact: Fact, place: Place) -> Condition | None:
    before = len(place.faults)
    allowed = OPERATORS[fact.type]
    read: FactValue | tuple[FactValue, ...] = None
    if op not in allowed:
        near, what = suggest(op, allowed), kind(fact.type())
        place.fault(
            f"{what.zh.strip()}没有这个运算符{near.zh}；可用：{_allowed(fact)}",
            f"no operator for {what.en}{near.en}; allowed: {_allowed(fact)}",
        )
    elif op == "known":
        if not isinstance(wanted, bool):
            place.fault(f"须为 true 或 false，不是{kind(wanted).zh}", f"must be true or false, not {kind(wanted).en}")
        read = wanted
    elif op in _LISTS:
        read = _read_list(wanted, fact, place)
    elif op == "contains":
        read = _read_value(wanted, Fact(str, fact.meaning), place, ())
    else:
        read = _read_value(wanted, fact, place, _definite(fact))
    return Condition(op, name, read) if len(place.faults) == before else None


def _read_list(plain: Any, fact: Fact, place: Place) -> tuple[Any, ...]:
    if not isinstance(plain, list) or len(plain) > MAX_PARTS:
        place.fault(
            f"须为最多 {MAX_PARTS} 个值的列表，不是{kind(plain).zh}",
            f"must be a list of at most {MAX_PARTS} values, not {kind(plain).en}",
        )
        return ()
    return tuple(_read_value(item, fact, place.at(index), _definite(fact)) for index, item in enumerate(plain, 1))


def _read_value(plain: Any, fact: Fact, place: Place, values: tuple[str, ...]) -> FactValue:
    if fact.type is float:
        return float(number(plain, place))
    if type(plain) is not fact.type:
        wanted, found = kind(fact.type()), kind(plain)
        place.fault(f"须为{wanted.zh}，不是{found.zh}", f"must be {wanted.en}, not {found.en}")
        return None
    if plain == UNKNOWN and UNKNOWN not in values:
        place.fault("未知用 { known = false } 判断", "what is not known is tested with { known = false }")
    elif values:
        word(plain, values, place)
    elif isinstance(plain, str) and (len(plain) > MAX_TEXT or not plain.isprintable()):
        place.fault(
            f"最多 {MAX_TEXT} 个字符，不含控制字符", f"must be at most {MAX_TEXT} characters without control characters"
        )
    elif isinstance(plain, int) and abs(plain) > 2**53:
        place.fault("超出事实的取值范围", "is beyond what a fact can be")
    return plain  # type: ignore[no-any-return]


def _definite(fact: Fact) -> tuple[str, ...]:
    return tuple(value for value in fact.values if value != UNKNOWN)


def _combined(op: str, parts: list[Condition | None]) -> Condition | None:
    whole = tuple(part for part in parts if part is not None)
    if len(whole) < len(parts):
        return None
    return whole[0] if len(whole) == 1 else Condition(op, parts=whole)


def _allowed(fact: Fact) -> str:
    return ", ".join(OPERATORS[fact.type])


def _unknown_fact(name: str, vocabulary: Mapping[str, Fact], combinations: tuple[str, ...]) -> Text:
    words = (*vocabulary, *combinations)
    near, listed = suggest(name, words), ", ".join(words)
    return Text(
        f"本规则的对象没有这个事实{near.zh}；可用：{listed}",
        f"no such fact for what this rule selects{near.en}; allowed: {listed}",
    )
