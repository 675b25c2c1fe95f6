"""Every fault that a rule file can have, with the key and the words that name it."""

import json
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import RulesError
from rules.loader import MAX_HOLD, load_packs
from tests.rules.test_loader import GOOD, faults_of, write
from tests.wire.messages import at, paths, replaced

# For each part of the good rule: by what it is replaced, the key of the fault, and a part of what the fault says.
_FAULTS = {
    'id = "camera-port"': [
        ("", "id", "is missing"),
        ('id = ""', "id", "is empty"),
        ("id = 7", "id", "must be a text in quotes, not a whole number"),
        ('id = "Camera_Port"', "id", "must be lower-case words joined by hyphens"),
        ('id = "camera"', "id", "is 'camera', but the file is named camera-port.toml"),
    ],
    'title.zh = "摄像头端口开放"': [
        ("", "title.zh", "is missing"),
    ],
    'title.en = "Camera port open"': [
        ("", "title.en", "is missing"),
        ('title.de = "x"', "title.de", "unknown key; allowed: zh, en"),
        ('title.en = "\\u001b[31m"', "title.en", "has a control character"),
        (f'title.en = "{"x" * 121}"', "title.en", "121 characters, at most 120 are allowed"),
        ('title.en = ["x"]', "title.en", "must be a text in quotes, not a list"),
    ],
    'remedy.zh = "关闭端口。"': [
        ("", "remedy.zh", "is missing"),
    ],
    'remedy.en = "Close the port."': [
        ("", "remedy.en", "is missing"),
    ],
    'remedy.zh = "关闭端口。"\nremedy.en = "Close the port."': [
        ('remedy = "x"', "remedy", 'remedy.zh = "..." and remedy.en'),
    ],
    'select = "service"': [
        ("", "select", "is missing"),
        ('select = "port"', "select", "'port' is not one of service, asset, site, system"),
    ],
    'severity = "low"': [
        ("", "severity", "is missing"),
        ('severity = "urgent"', "severity", "is not one of info, low, medium, high, critical"),
        ("severity = 3", "severity", "a whole number is not one of info"),
        ('severity = "low"\nseverty = "low"', "severty", "unknown key (did you mean 'severity'?); allowed: id"),
        ('severity = "low"\nfor = "soon"', "for", 'a text such as "90s", "10m", "2h" or "7d"'),
        ('severity = "low"\nfor = -1', "for", "at most 366 days"),
        (f'severity = "low"\nfor = {MAX_HOLD + 1}', "for", "at most 366 days"),
        (f'severity = "low"\nfor = {10**400}', "for", "at most 366 days"),
        ('severity = "low"\nfor = nan', "for", "at most 366 days"),
        ('severity = "low"\nfor = true', "for", "must be seconds"),
        (
            'severity = "low"\ndrift = "yes"',
            "drift",
            "must be true, false or one of baseline, baseline_expired, not a text",
        ),
        ('severity = "low"\nreplaces = 1', "replaces", "must be true or false, not a whole number"),
        ('severity = "low"\nreplaces = true', "replaces", "there is no rule 'camera-port' to replace"),
        ('severity = "low"\nconfidence = "rumour"', "confidence", "is not one of verified, common"),
        ('severity = "low"\nmaximum = "pink"', "maximum", "is not one of none, blue, yellow, orange, red"),
    ],
    'control = { 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }': [
        ("", "control", "is missing; name a clause per protection level"),
    ],
    '2 = "7.1.4.4 b", 3': [
        ('1 = "6.1.1", 3', "control.1", "unknown key; allowed: 2, 3"),
    ],
    '2 = "7.1.4.4 b"': [
        ('2 = "7.1.4.4b"', "control.2", "is no clause of GB/T 22239-2019 that edusec knows (did you mean"),
        ("2 = 7.1", "control.2", "a number with a point is no clause"),
        ('2 = "8.1.4.4 b"', "control.2", "a clause of level 3, not of level 2; there it is '7.1.4.4 b'"),
        ('2 = "8.1.3.1 b"', "control.2", "not of level 2; level 2 has no such clause"),
    ],
    '{ 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }': [
        ('"8.1.4.4 b"', "control", "must be a table from protection level to clause"),
        ("{}", "control", "must be a table from protection level to clause"),
    ],
    "control": [
        (
            'policy = "HA-WHITELISTS"\ncontrol',
            "policy[1]",
            "(did you mean 'HA-WHITELIST'?); see rules/data/policies.toml",
        ),
        ('policy = ["HA-WHITELIST", 7]\ncontrol', "policy[2]", "a whole number is no policy item"),
        ("policy = []\ncontrol", "policy", "must be a policy item or a list of them"),
        ("policy = {}\ncontrol", "policy", "must be a policy item or a list of them, not a table"),
    ],
    "[when]": [
        ("[[minimum]]\n[when]", "minimum[1].colour", "is missing"),
        ('[[minimum]]\ncolour = "none"\n[when]', "minimum[1].colour", "'none' is not one of blue, yellow"),
        ('[[minimum]]\ncolour = "red"\nfrom_level = 6\n[when]', "minimum[1].from_level", "a protection level, 1 to 5"),
        ('[[minimum]]\ncolour = "red"\nexposure = "internet"\n[when]', "minimum[1].exposure", "must be a list such as"),
        (
            '[[minimum]]\ncolour = "red"\nexposure = ["moon"]\n[when]',
            "minimum[1].exposure[1]",
            "is not one of isolated",
        ),
        ('[[minimum]]\ncolour = "red"\nlevel = 2\n[when]', "minimum[1].level", "unknown key"),
        ("[minimum]\n[when]", "minimum", "must be written as [[minimum]] tables, not as a table"),
        ("[given]\n[when]", "given", "says nothing; name at least one fact"),
        ("[given]\nstatus = 1\n[when]", "given.status", "no such fact"),
    ],
    '[when]\nstate = "open"\nport = { in = [554, 37777] }': [
        ("", "when", "is missing; say what the facts must be"),
        ('when = "open"', "when", "must be a table of facts, not a text"),
    ],
    'state = "open"\nport': [
        ("port.is", "when.port.is", "no operator for a whole number; allowed: eq, ne, lt"),
        ('state = "opened"\nport', "when.state", "'opened' is not one of open, closed, filtered, open_filtered"),
        ('state = "unknown"\nport', "when.state", "what is not known is tested with { known = false }"),
        ("state = 1\nport", "when.state", "must be a text, not a whole number"),
        ("state = { ge = 'open' }\nport", "when.state.ge", "no operator for a text"),
        ("state = {}\nport", "when.state", "says nothing; allowed operators: eq, ne, in, not_in"),
        ("state = ['open']\nport", "when.state", "write { in = ... }; allowed: eq, ne, in, not_in"),
        ("product = 'unknown'\nport", "when.product", "what is not known is tested with"),
        ("product = '" + "x" * 257 + "'\nport", "when.product", "at most 256 characters"),
        ("product = 2026-01-01\nport", "when.product", "must be a text, not a date"),
        ("product = 10:00:00\nport", "when.product", "must be a text, not a time"),
        ("product = { known = 'no' }\nport", "when.product.known", "must be true or false, not a text"),
        ("any = []\nport", "when.any", "must be a list of 1 to 100 tables"),
        ("any = { port = 1 }\nport", "when.any", "must be a list of 1 to 100 tables"),
        ("any = [{ port = 1 }, {}]\nport", "when.any[2]", "says nothing; name at least one fact"),
        ("any = [1]\nport", "when.any[1]", "must be a table of facts, not a whole number"),
        ("not = [{ port = 1 }]\nport", "when.not", "must be a table of facts, not a list"),
        ("not." * 10 + "port = 1\nport", "when" + ".not" * 9, "nested deeper than 8 levels"),
    ],
    'state = "open"\nport = { in = [554, 37777] }': [
        ("ports = 22", "when.ports", "no such fact for what this rule selects (did you mean 'port'"),
        ("presence = 'present'", "when.presence", "no such fact for what this rule selects"),
    ],
    "{ in = [554, 37777] }": [
        ("{ in = 554 }", "when.port.in", "must be a list of at most 100 values, not a whole number"),
        ("{ in = [554, '37777'] }", "when.port.in[2]", "must be a whole number, not a text"),
        ("{ in = [554, true] }", "when.port.in[2]", "must be a whole number, not true or false"),
        (f"{{ in = {list(range(101))} }}", "when.port.in", "must be a list of at most 100 values"),
        (f"{{ le = {10**400} }}", "when.port.le", "is beyond what a fact can be"),
        ("{ le = 1.5 }", "when.port.le", "must be a whole number, not a number with a point"),
        ("{ equals = 5 }", "when.port.equals", "no operator for a whole number; allowed: eq, ne, lt, le"),
    ],
    "[[example]]": [
        ("[[exemple]]", "exemple", "unknown key (did you mean 'example'?)"),
    ],
    'verdict = "no_match"': [
        ('verdict = "match"', "example", "give at least one [[example]] of facts that do not match"),
    ],
    'verdict = "match"': [
        ('verdict = "unknown"', "example", "give at least one [[example]] of facts that match"),
        ('verdict = "yes"', "example[1].verdict", "'yes' is not one of match, no_match, unknown"),
        ("", "example[1].verdict", "is missing"),
        ('verdict = "match"\ncolour = "pink"', "example[1].colour", "is not one of none, blue"),
        ('verdict = "match"\ncolour = "red"', "example[1]", "gives the colour blue, not red"),
        ('verdict = "match"\nnote = 5', "example[1].note", "must be a text in quotes"),
    ],
    'facts = { state = "open", port = 80 }': [
        ("", "example[2].facts", "is missing; an example of nothing known is facts = {}"),
        ("facts = []", "example[2].facts", "must be a table of facts, not a list"),
    ],
    "port = 80 }": [
        ("prot = 80 }", "example[2].facts.prot", "no such fact for what this rule selects (did you mean 'port'"),
        ("port = '80' }", "example[2].facts.port", "must be a whole number, not a text"),
        ("port = 80, standing = 'unknown' }", "example[2].facts.standing", "{ known = false }"),
        ("port = 37777 }", "example[2]", "gives match, not no_match (state = open, port = 37777)"),
        ("family = 4 }", "example[2]", "gives unknown, not no_match (state = open, port = unknown)"),
    ],
}


@pytest.mark.parametrize(
    ("old", "new", "key", "what"), [(old, *case) for old, cases in _FAULTS.items() for case in cases]
)
def test_every_fault_names_its_key_and_what_is_allowed(tmp_path: Path, old: str, new: str, key: str, what: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    found = {fault.key: fault for fault in faults_of(path)}
    assert key in found
    assert what in found[key].what.en
    assert str(found[key]).startswith(f"{path}: {key}: ")
    assert str(found[key]).isprintable()


def test_an_empty_file_lacks_everything_that_must_be_there(tmp_path: Path) -> None:
    assert [fault.key for fault in faults_of(write(tmp_path, ""))] == [
        "select",
        "severity",
        "id",
        "title.zh",
        "title.en",
        "remedy.zh",
        "remedy.en",
        "control",
    ]


_WORDS = [
    "",
    "x",
    "open",
    "unknown",
    "any",
    "not",
    "known",
    "in",
    "8.1.3.1 b",
    "HA-WHITELIST",
    "\u200b",
    "\n",
    "x" * 3000,
]
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_JUNK = st.recursive(
    st.sampled_from(_WORDS)
    | st.sampled_from([True, -1, 2, 2**70, 0.5, float("nan"), float("inf"), date(2026, 1, 1), time(1), _NOON])
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_WORDS) | st.text(st.characters(codec="utf-8"), max_size=5), inner)
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """Write a value as inline TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(name)} = {toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else str(value)


@given(st.data(), _JUNK)
def test_junk_anywhere_in_a_rule_is_a_fault_or_a_rule(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, junk: Any
) -> None:
    good = tomllib.loads(GOOD)
    path = data.draw(st.sampled_from([path for path in paths(good) if path]))
    if isinstance(at(good, path), dict) and isinstance(junk, dict):
        junk = {**at(good, path), **junk}
    bad = replaced(good, path, junk)
    file = tmp_path_factory.mktemp("rules") / "camera-port.toml"
    file.write_text("".join(f"{toml(name)} = {toml(item)}\n" for name, item in bad.items()), encoding="utf-8")
    try:
        rules = load_packs([file])
    except RulesError as error:
        faults = error.faults
    else:
        faults = ()
        assert any(rule.file == str(file) for rule in rules)
    for fault in faults:
        assert fault.file == str(file)
        assert not fault.what.en.startswith("not TOML")
        assert str(fault).isprintable()
        assert len(str(fault)) < 2000
