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
        place.fault(f"must be a table of facts, not {kind(plain)}")
        return None
    if not plain:
        place.fault("says nothing; name at least one fact")
        return None
    if depth > MAX_DEPTH:
        place.fault(f"nested deeper than {MAX_DEPTH} levels")
        return None
    if len(plain) > MAX_PARTS:
        place.fault(f"{len(plain)} lines, at most {MAX_PARTS} are allowed")
        return None
    parts = [_read_line(key, value, vocabulary, place.at(key), depth) for key, value in plain.items()]
    return _combined("all", parts)


def read_facts(plain: Any, vocabulary: Mapping[str, Fact], place: Place) -> dict[str, FactValue]:
    """Read the facts of an example; what is faulty is left out."""
    if not isinstance(plain, dict):
        place.fault(f"must be a table of facts, not {kind(plain)}")
        return {}
    facts: dict[str, FactValue] = {}
    for name, value in plain.items():
        here = place.at(name)
        if name not in vocabulary:
            here.fault(_unknown_fact(name, vocabulary, ()))
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
            place.fault(f"must be a list of 1 to {MAX_PARTS} tables: [{{ ... }}, {{ ... }}]")
            return None
        parts = [read_condition(item, vocabulary, place.at(index), depth + 1) for index, item in enumerate(value, 1)]
        return _combined(key, parts)
    if key not in vocabulary:
        place.fault(_unknown_fact(key, vocabulary, COMBINATIONS))
        return None
    fact = vocabulary[key]
    if isinstance(value, dict):
        if not value:
            place.fault(f"says nothing; allowed operators: {', '.join(OPERATORS[fact.type])}")
            return None
        return _combined("all", [_read_test(key, op, wanted, fact, place.at(op)) for op, wanted in value.items()])
    if fact.type is tuple or isinstance(value, list):
        place.fault(f"write {{ {'contains' if fact.type is tuple else 'in'} = ... }}; allowed: {_allowed(fact)}")
        return None
    return _read_test(key, "eq", value, fact, place)


def _read_test(name: str, op: str, wanted: Any, fact: Fact, place: Place) -> Condition | None:
    before = len(place.faults)
    allowed = OPERATORS[fact.type]
    read: FactValue | tuple[FactValue, ...] = None
    if op not in allowed:
        place.fault(f"no operator for {kind(fact.type())}{suggest(op, allowed)}; allowed: {', '.join(allowed)}")
    elif op == "known":
        if not isinstance(wanted, bool):
            place.fault(f"must be true or false, not {kind(wanted)}")
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
        place.fault(f"must be a list of at most {MAX_PARTS} values, not {kind(plain)}")
        return ()
    return tuple(_read_value(item, fact, place.at(index), _definite(fact)) for index, item in enumerate(plain, 1))


def _read_value(plain: Any, fact: Fact, place: Place, values: tuple[str, ...]) -> FactValue:
    if fact.type is float:
        return float(number(plain, place))
    if type(plain) is not fact.type:
        place.fault(f"must be {kind(fact.type())}, not {kind(plain)}")
        return None
    if plain == UNKNOWN and UNKNOWN not in values:
        place.fault("what is not known is tested with { known = false }")
    elif values:
        word(plain, values, place)
    elif isinstance(plain, str) and (len(plain) > MAX_TEXT or not plain.isprintable()):
        place.fault(f"must be at most {MAX_TEXT} characters without control characters")
    elif isinstance(plain, int) and abs(plain) > 2**53:
        place.fault("is beyond what a fact can be")
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


def _unknown_fact(name: str, vocabulary: Mapping[str, Fact], combinations: tuple[str, ...]) -> str:
    words = (*vocabulary, *combinations)
    return f"no such fact for what this rule selects{suggest(name, words)}; allowed: {', '.join(words)}"
