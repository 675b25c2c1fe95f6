"""Our own fingerprints: every example in the files holds, and a faulty file names each fault."""

import re
from importlib.resources import files

import pytest

from probes.kit.fingerprint.match import by_key, fill, identify
from probes.kit.fingerprint.model import Fingerprint, FingerprintFileError
from probes.kit.fingerprint.own import built_in, read_own

DATA = sorted(
    (entry for entry in (files("probes.kit.fingerprint") / "data").iterdir() if entry.name.endswith(".toml")),
    key=lambda entry: entry.name,
)


@pytest.mark.parametrize("entry", DATA, ids=lambda entry: entry.name)
def test_a_shipped_file_has_no_fault(entry: object) -> None:
    loaded = read_own(entry.read_text("utf-8"), entry.name)  # type: ignore[attr-defined]
    assert list(map(str, loaded.faults)) == []
    assert loaded.fingerprints


@pytest.mark.parametrize("fingerprint", built_in(), ids=lambda fingerprint: fingerprint.title)
def test_identify_finds_the_entry_or_a_surer_one_for_its_own_examples(fingerprint: Fingerprint) -> None:
    kind = by_key(built_in())[fingerprint.key]
    for example in fingerprint.examples:
        found = identify(kind, example.text)
        assert found is not None
        assert found.certainty >= fingerprint.certainty
        for name, value in example.says.items():
            assert found.says.get(name) == value


GOOD = """
key = "ssh.banner"
[[fingerprint]]
title = "A"
pattern = '^A_([0-9]+)'
certainty = 0.9
says = { "service.version" = "{1}" }
examples = [{ text = "A_1", says = { "service.version" = "1" } }]
"""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("'^A_([0-9]+)'", "'^A_([0-9]+'"), "pattern: missing ), unterminated subpattern"),
        (('"{1}"', '"{2}"'), "says: names group 2, the pattern has 1"),
        (("certainty = 0.9", "certainty = 2.0"), "certainty: must be from 0 to 1"),
        (("certainty = 0.9", 'certainty = "high"'), "certainty: must be of type float"),
        (('text = "A_1"', 'text = "B_1"'), "examples: 'B_1' does not match"),
        (('"1" } }]', '"2" } }]'), "examples: 'A_1' says service.version = '1', not '2'"),
        (('title = "A"', 'title = "A"\ntitel = "A"'), "titel: unknown key"),
        (('title = "A"', ""), "title: is missing"),
        (("examples = [{ text", "examples = []\nsample = [{ text"), "sample: unknown key"),
    ],
)
def test_a_fault_is_named_and_the_entry_left_out(change: tuple[str, str], fault: str) -> None:
    loaded = read_own(GOOD.replace(*change), "a.toml")
    assert loaded.fingerprints == ()
    assert fault in str(loaded.faults[0])
    assert str(loaded.faults[0]).startswith("a.toml: fingerprint 1")


@pytest.mark.parametrize("text", ["", "key = 1", "= ", 'key = "k"\nother = 1\nfingerprint = []'])
def test_what_is_no_fingerprint_file_is_refused(text: str) -> None:
    with pytest.raises(FingerprintFileError, match=r"^a\.toml: "):
        read_own(text, "a.toml")


def test_templates_replace_and_count() -> None:
    found = re.match(r"(\w+) (..)", "1_2_3 \x01\x02")
    assert found is not None
    assert fill({"v": "{1|_|.}", "big": "{2>}", "little": "{2<}", "cpe23": "cpe:/a:x:{v}:"}, found) == {
        "v": "1.2.3",
        "big": "258",
        "little": "513",
        "cpe23": "cpe:/a:x:1.2.3",
    }


def test_braces_in_an_answer_reach_nothing_but_what_the_answer_said() -> None:
    found = re.match(r"(.*)", "{service.version}{9}")
    assert found is not None
    assert fill({"service.product": "{1}", "service.version": "secret"}, found)["service.product"] == "secret{9}"
