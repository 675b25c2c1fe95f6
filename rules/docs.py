"""Rows for the tables of docs/rules.md: everything that rules and their writers can refer to."""

from collections.abc import Iterable

from rules.conditions import OPERATORS
from rules.facts import COMMON, VOCABULARY, Fact
from rules.loader import load_packs
from rules.model import Rule

RULE_COLUMNS = ("id", "标题", "title", "select", "severity", "2", "3", "policy", "for", "confidence")
FACT_COLUMNS = ("select", "fact", "含义", "meaning", "type or values", "operators")


def rule_rows(rules: Iterable[Rule] | None = None) -> list[tuple[str, ...]]:
    """Give one row per rule under RULE_COLUMNS; 2 and 3 are the clauses by protection level."""
    return [
        (
            rule.id,
            rule.title.zh,
            rule.title.en,
            rule.select.value,
            rule.severity.name.lower(),
            rule.basis.clauses.get(2, ""),
            rule.basis.clauses.get(3, ""),
            rule.basis.policy,
            f"{rule.hold:.0f} s" if rule.hold else "",
            rule.confidence.value,
        )
        for rule in (load_packs() if rules is None else rules)
    ]


def fact_rows() -> list[tuple[str, ...]]:
    """Give one row per fact under FACT_COLUMNS, those that every subject has (`*`) first."""
    tables = [("*", COMMON), *((kind.value, words) for kind, words in VOCABULARY.items())]
    return [(kind, name, *_describe(fact)) for kind, words in tables for name, fact in words.items()]


def _describe(fact: Fact) -> tuple[str, ...]:
    types = {str: "text", int: "whole number", float: "number", bool: "true, false", tuple: "list of texts"}
    return (
        fact.meaning.zh,
        fact.meaning.en,
        ", ".join(fact.values) or types[fact.type],
        ", ".join(OPERATORS[fact.type]),
    )
