"""`edusec rules`: the shipped rules, and an operator's own beside them."""

from pathlib import Path

import pytest

from tests.edusec.run_cli import edusec, json_lines

OWN = """\
id = "own-rule"
title = { zh = "自有规则", en = "A rule of our own" }
select = "service"
severity = "low"
control = { 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }
remedy = { zh = "关闭它", en = "close it" }

[when]
port = 8080
"""
EXAMPLES = """
[[example]]
verdict = "match"
facts = { port = 8080 }

[[example]]
verdict = "no_match"
facts = { port = 80 }
"""


def test_shipped_rules_are_listed_with_their_clauses_in_both_languages() -> None:
    rules = {rule["id"]: rule for rule in json_lines(edusec("rules", "list", "--json"))}
    assert len(rules) >= 10
    assert rules["unlisted-port"]["clauses"]["3"].startswith("8.1.")
    chinese, english = edusec("rules", "list", "--lang", "zh").stdout, edusec("rules", "list").stdout
    assert rules["unlisted-port"]["title"]["zh"] in chinese
    assert rules["unlisted-port"]["title"]["en"] in english


def test_shipped_rules_hold_their_examples() -> None:
    results = json_lines(edusec("rules", "test", "--json"))
    assert {result["verdict"] for result in results} >= {"match", "no_match"}
    assert [result for result in results if result["fault"]] == []
    assert edusec("rules", "test").returncode == 0


def _write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "own-rule.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_rules_of_ones_own_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    _write(tmp_path, OWN + EXAMPLES)
    assert "own-rule" in {rule["id"] for rule in json_lines(edusec("rules", "list", tmp_path, "--json"))}
    assert edusec("rules", "check", tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = [", "own-rule.toml"),
        (OWN + EXAMPLES + "\nsurprise = 1\n", "surprise"),
        (OWN.replace('"low"', '"harmless"') + EXAMPLES, "severity"),
        (OWN.replace("port = 8080", "colour = 1") + EXAMPLES, "colour"),
        (OWN + EXAMPLES.replace("port = 80 ", "port = 8080 "), "example"),
        (OWN, "example"),
    ],
)
def test_a_faulty_rule_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    done = edusec("rules", "check", _write(tmp_path, text))
    assert (done.returncode, done.stdout) == (2, "")
    assert "own-rule.toml" in done.stderr
    assert said in done.stderr
