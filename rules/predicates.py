"""Conditions over facts in three-valued (Kleene) logic: True, False, and None where a fact it needs is not known.

The operators are a closed set; nothing in a rule is ever evaluated as code.
"""

from collections.abc import Callable, Iterable, Mapping

from rules.facts import EXPOSURES, INTERNET, NOT_INTERNET, UNKNOWN, FactValue
from rules.model import Condition

Three = bool | None

# What stands for one of several words, and it is open for which: a test that differs between them is unknown.
_EITHER: Mapping[str, tuple[str, ...]] = {
    "open_filtered": ("open", "filtered"),  # no answer over UDP
    NOT_INTERNET: tuple(word for word in EXPOSURES if word != INTERNET),
}


def holds(condition: Condition, facts: Mapping[str, FactValue]) -> Three:
    """Tell whether a condition holds; None if that depends on a fact that is not known. It never raises."""
    if condition.parts:
        # A loop, since every subject meets every rule here. `all` ends at what is false, `any` at what is true.
        end = condition.op == "any"
        result: Three = not end
        for part in condition.parts:
            found = holds(part, facts)
            if found is end:
                result = end
                break
            if found is None:
                result = None
        return opposite(result) if condition.op == "not" else result
    value = facts.get(condition.fact)
    if condition.op == "known":
        return _known(value) == condition.value
    return _TESTS[condition.op](value, condition.value) if _known(value) else None


def all_of(parts: Iterable[Three]) -> Three:
    """False if any part is false, else unknown if any is unknown, else true."""
    result: Three = True
    for part in parts:
        if part is False:
            return False
        if part is None:
            result = None
    return result


def any_of(parts: Iterable[Three]) -> Three:
    """True if any part is true, else unknown if any is unknown, else false."""
    return opposite(all_of(opposite(part) for part in parts))


def opposite(part: Three) -> Three:
    """Swap true and false; unknown stays unknown."""
    return None if part is None else not part


def _known(value: FactValue) -> bool:
    return value is not None and value != UNKNOWN and value == value  # NaN is not equal to itself


def _equal(fact: FactValue, wanted: object) -> Three:
    if not _same_type(fact, wanted):
        return None
    if fact == wanted:
        return True
    return None if isinstance(fact, str) and wanted in _EITHER.get(fact, ()) else False


def _one_of(fact: FactValue, wanted: object) -> Three:
    return any_of(_equal(fact, item) for item in wanted) if isinstance(wanted, tuple) else None


def _contains(fact: FactValue, wanted: object) -> Three:
    if not isinstance(wanted, str):
        return None
    if isinstance(fact, str):
        return wanted.casefold() in fact.casefold()
    return wanted in fact if isinstance(fact, tuple) else None


def _order(compare: Callable[[float, float], bool]) -> Callable[[FactValue, object], Three]:
    def test(fact: FactValue, wanted: object) -> Three:
        return compare(fact, wanted) if _is_number(fact) and _is_number(wanted) else None  # type: ignore[arg-type]

    return test


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_type(fact: FactValue, wanted: object) -> bool:
    return type(fact) is type(wanted) or (_is_number(fact) and _is_number(wanted))


_TESTS: Mapping[str, Callable[[FactValue, object], Three]] = {
    "eq": _equal,
    "ne": lambda fact, wanted: opposite(_equal(fact, wanted)),
    "lt": _order(lambda fact, wanted: fact < wanted),
    "le": _order(lambda fact, wanted: fact <= wanted),
    "gt": _order(lambda fact, wanted: fact > wanted),
    "ge": _order(lambda fact, wanted: fact >= wanted),
    "in": _one_of,
    "not_in": lambda fact, wanted: opposite(_one_of(fact, wanted)),
    "contains": _contains,
}

COMBINATIONS = ("all", "any", "not")
TESTS = (*_TESTS, "known")
