"""The page on writing rules is true: its example loads, its faults and keys are the real ones; the tables are whole."""

import re
from pathlib import Path

import pytest

from rules import docs
from rules.conditions import OPERATORS
from rules.errors import RulesError
from rules.facts import SubjectKind, facts_of
from rules.loader import RULE_KEYS, load_packs
from rules.model import Severity, Verdict
from rules.predicates import COMBINATIONS, TESTS

PAGE = (Path(__file__).parents[2] / "docs" / "rules-writing.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def save(folder: Path, text: str) -> Path:
    """Save the example under the name that the page gives it."""
    path = folder / "camera-outside-vlan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_a_rule_and_shows_every_verdict(tmp_path: Path) -> None:
    (text,) = EXAMPLE
    path = save(tmp_path, text)
    rule = {rule.id: rule for rule in load_packs([path])}["camera-outside-vlan"]
    assert {example.verdict for example in rule.examples} == set(Verdict)
    assert path.name in PAGE


def test_the_faults_that_the_page_shows_are_the_real_ones(tmp_path: Path) -> None:
    path = save(tmp_path, EXAMPLE[0].replace('"high"', '"urgent"').replace("port =", "prot =", 1))
    with pytest.raises(RulesError) as caught:
        load_packs([path])
    (shown,) = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    said = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    lines = [line.removesuffix("...") for line in shown.splitlines()]
    assert len(lines) == len(said)
    assert all(real.startswith(line) for line, real in zip(lines, said, strict=True))


def test_the_page_explains_every_key_operator_and_word() -> None:
    explained = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`[^`]*`", PAGE))))
    assert explained >= set(RULE_KEYS)
    assert explained >= {*TESTS, *COMBINATIONS, *Verdict, *(kind.value for kind in SubjectKind)}
    assert explained >= {severity.name.lower() for severity in Severity}


def test_rows_for_the_tables_of_rules_and_facts() -> None:
    rules = load_packs()
    rows = docs.rule_rows()
    assert [row[0] for row in rows] == [rule.id for rule in rules]
    assert {len(row) for row in rows} == {len(docs.RULE_COLUMNS)}
    facts = docs.fact_rows()
    assert {len(row) for row in facts} == {len(docs.FACT_COLUMNS)}
    for kind in SubjectKind:
        assert {row[1] for row in facts if row[0] in ("*", kind.value)} == set(facts_of(kind))
    assert all(row[5] for row in facts)
    assert set(OPERATORS) >= {fact.type for kind in SubjectKind for fact in facts_of(kind).values()}
    # A bar would break a table of Markdown.
    assert not [cell for row in (*rows, *facts) for cell in row if "|" in cell]
