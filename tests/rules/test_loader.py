"""Rule files: what they may say, and that every fault is named by file and key, all of them at once."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import reading
from rules.errors import RuleFault, RulesError
from rules.loader import load_packs
from rules.model import Basis, Colour, Condition, Confidence, Minimum, Rule, Severity, Verdict
from rules.reading import MAX_FILE_BYTES, Place
from wire.errors import EdusecError

GOOD = """
id = "camera-port"
title.zh = "摄像头端口开放"
title.en = "Camera port open"
select = "service"
severity = "low"
control = { 2 = "7.1.4.4 b", 3 = "8.1.4.4 b" }
remedy.zh = "关闭端口。"
remedy.en = "Close the port."

[when]
state = "open"
port = { in = [554, 37777] }

[[example]]
facts = { state = "open", port = 554 }
verdict = "match"

[[example]]
facts = { state = "open", port = 80 }
verdict = "no_match"
"""


def write(folder: Path, text: str = GOOD, name: str = "camera-port") -> Path:
    """Write a rule file and give its path."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(path: Path) -> Rule:
    """Load the one rule of a file, beside those shipped."""
    return next(rule for rule in load_packs([path]) if rule.file == str(path))


def faults_of(*paths: Path) -> tuple[RuleFault, ...]:
    """Give the faults of rule files that cannot be loaded."""
    with pytest.raises(RulesError) as caught:
        load_packs(paths)
    assert isinstance(caught.value, EdusecError)
    assert str(caught.value) == "\n".join(map(str, caught.value.faults))
    return caught.value.faults


def test_a_rule_is_read_as_written(tmp_path: Path) -> None:
    full = (
        GOOD.replace('severity = "low"', 'severity = "critical"\nfor = "10m"\ndrift = true\nconfidence = "common"')
        .replace("[when]", 'maximum = "orange"\npolicy = "HA-WHITELIST"\n\n[given]\nfamily = 4\n\n[when]')
        .replace(
            "[[example]]", '[[minimum]]\ncolour = "yellow"\nfrom_level = 3\nexposure = ["internet"]\n\n[[example]]', 1
        )
        .replace("facts = { ", "facts = { family = 4, ")
        .replace('verdict = "match"', 'verdict = "match"\ncolour = "orange"\nnote = "n"')
    )
    rule = load(write(tmp_path, full))
    assert rule.id == "camera-port"
    assert rule.title == ("摄像头端口开放", "Camera port open")
    assert rule.severity is Severity.CRITICAL
    assert rule.hold == 600
    assert rule.drift == "baseline"
    assert rule.confidence is Confidence.COMMON
    assert rule.maximum is Colour.ORANGE
    assert rule.minimum == (Minimum(Colour.YELLOW, 3, ("internet",)),)
    assert rule.basis.clauses == {2: "7.1.4.4 b", 3: "8.1.4.4 b"}
    assert rule.basis.policy == "HA-WHITELIST"
    assert rule.given == Condition("eq", "family", 4)
    assert rule.when == Condition(
        "all", parts=(Condition("eq", "state", "open"), Condition("in", "port", (554, 37777)))
    )
    assert rule.examples[0].note == "n"
    assert [example.verdict for example in rule.examples] == [Verdict.MATCH, Verdict.NO_MATCH]


def test_what_may_be_left_out_has_its_default(tmp_path: Path) -> None:
    rule = load(write(tmp_path))
    assert (rule.hold, rule.drift, rule.confidence, rule.maximum) == (0, "", Confidence.VERIFIED, Colour.RED)
    assert (rule.given, rule.minimum) == (None, ())
    assert isinstance(rule.basis, Basis)


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ("state = { ne = 'open' }", Condition("ne", "state", "open")),
        ("port = { ge = 1, le = 9 }", Condition("all", parts=(Condition("ge", "port", 1), Condition("le", "port", 9)))),
        ("product = { contains = 'nginx' }", Condition("contains", "product", "nginx")),
        ("mlps_level = { known = false }", Condition("known", "mlps_level", False)),
        ("port_clear_text = false", Condition("eq", "port_clear_text", False)),
        ("not = { port = 22 }", Condition("not", parts=(Condition("eq", "port", 22),))),
        ("any = [{ port = 22 }]", Condition("eq", "port", 22)),
        (
            "any = [{ port = 22 }, { all = [{ port = 23 }, { family = 6 }] }]",
            Condition(
                "any",
                parts=(
                    Condition("eq", "port", 22),
                    Condition("all", parts=(Condition("eq", "port", 23), Condition("eq", "family", 6))),
                ),
            ),
        ),
    ],
)
def test_a_condition_is_read_as_it_is_written(tmp_path: Path, written: str, condition: Condition) -> None:
    text = GOOD.replace('state = "open"\nport = { in = [554, 37777] }', written)
    (rule,) = [rule for rule in load_packs([write(tmp_path, text)], run=False) if rule.id == "camera-port"]
    assert rule.when == condition


@pytest.mark.parametrize(
    ("written", "seconds"), [("0", 0), ("90", 90), ("1.5", 1.5), ("'90s'", 90), ("'2 h'", 7200), ("'7d'", 604800)]
)
def test_a_hold_time_is_seconds_or_has_its_unit(tmp_path: Path, written: str, seconds: float) -> None:
    assert load(write(tmp_path, f"for = {written}\n{GOOD}")).hold == seconds


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    one = write(tmp_path, GOOD.replace('"low"', '"x"').replace("state =", "stat ="))
    other = write(tmp_path, "nonsense", "other")
    assert [(fault.file, fault.key) for fault in faults_of(tmp_path)] == [
        (str(one), "severity"),
        (str(one), "when.stat"),
        (str(one), "example[1].facts.stat"),
        (str(one), "example[2].facts.stat"),
        (str(other), ""),
    ]


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"id = ", "not TOML: "),
        (b'id = "x"\n\n= 1\n', "not TOML: Invalid statement (at line 3, column 1)"),
        ("\n\ntitle.zh = '中文'".encode("gb18030"), "line 3 is not UTF-8; save the file as UTF-8"),
        (b"x = " + b"[" * 30_000, "nested too deeply"),
        (b"x = " + b"9" * 5000, "not TOML: "),
        (b"x = 2026-02-30", "not TOML: "),
        (b"#" * (MAX_FILE_BYTES + 1), f"larger than {MAX_FILE_BYTES} bytes"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, raw: bytes, what: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(raw)
    (fault,) = faults_of(path)
    assert (fault.file, fault.key) == (str(path), "")
    assert fault.what.en.startswith(what)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_toml_or_a_fault(raw: bytes) -> None:
    faults: list[RuleFault] = []
    assert (reading.parse(raw, Place("x.toml", faults)) is None) == bool(faults)


def test_an_id_may_come_only_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = write(tmp_path / "a"), write(tmp_path / "b", GOOD + "\n")
    (fault,) = faults_of(tmp_path)
    assert (fault.file, fault.key) == (str(second), "id")
    assert f"'camera-port' is already the rule of {first}" in fault.what.en


def test_a_shipped_rule_is_replaced_only_on_purpose(tmp_path: Path) -> None:
    text = GOOD.replace("camera-port", "unlisted-port")
    (fault,) = faults_of(write(tmp_path, text, "unlisted-port"))
    assert "is already the rule of rules/packs/base/unlisted-port.toml" in fault.what.en
    path = write(tmp_path, f"replaces = true\n{text}", "unlisted-port")
    rules = {rule.id: rule for rule in load_packs([path])}
    assert rules["unlisted-port"].file == str(path)
    assert len(rules) == len(load_packs())


def test_a_shipped_rule_may_be_checked_where_it_lies() -> None:
    pack = Path(__file__).parents[2] / "rules" / "packs" / "base"
    assert load_packs([pack]) == load_packs() == load_packs([pack / "unlisted-port.toml"]) == load_packs([pack.parent])


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    assert [(fault.file, fault.what.en) for fault in faults_of(tmp_path / "no", tmp_path / "empty", tmp_path)] == [
        (f"{tmp_path}/no", "is no file or folder that can be read"),
        (f"{tmp_path}/empty", "holds no rule file (*.toml)"),
        (f"{tmp_path}/folder.toml", "is no file or folder that can be read"),
        (f"{tmp_path}/pipe.toml", "is no file or folder that can be read"),
    ]


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads every file")
    (fault,) = faults_of(path)
    assert fault.what.en == "cannot be read: Permission denied"


def test_examples_may_be_left_to_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("port = 80 }", "port = 554 }"))
    assert faults_of(path)
    assert [rule for rule in load_packs([path], run=False) if rule.file == str(path)]
