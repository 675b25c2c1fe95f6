"""What Python says of a faulty text is said in Chinese too, with the place and the reason."""

import re
import tomllib

import pytest

from tests.support.languages import CHINESE, ENGLISH
from wire.faults import not_a_pattern, not_toml

_VAGUE = "有语法错误"


@pytest.mark.parametrize(
    "text",
    [
        "a 1", "[a", "[[a]\n", 'a = "x', "a = x", "a = [1,", "a = {b=1", "a = 1 b = 2", "= 1", 'a="\\q"', 'a="\\uzzzz"',
        "a = 1\na = 2", "[a]\n[a]", "a={b=1,b=2}", "a={}\na.b=1", "[a.b]\n[a]\nb.c=1", 'a="\x01"', "&&",
    ],
)  # fmt: skip
def test_a_fault_of_toml(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as fault:
        tomllib.loads(text)
    said = not_toml(fault.value)
    assert _VAGUE not in said.zh
    assert not ENGLISH.search(said.zh)
    assert not CHINESE.search(said.en)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a", "a)", "[a", "*a", "a**", "a{3,1}", r"\y", r"\x1", "[b-a]", "(?X)", r"\1", "(?P=a)", "(?P<a>)(?P<a>)",
        "(?<=a*)", "a(?i)", "(?",
    ],
)  # fmt: skip
def test_a_fault_of_a_pattern(pattern: str) -> None:
    with pytest.raises(re.error) as fault:
        re.compile(pattern)
    said = not_a_pattern(fault.value)
    assert _VAGUE not in said.zh
    assert not ENGLISH.search(said.zh)
    assert not CHINESE.search(said.en)


def test_what_a_later_python_says_in_other_words_still_has_its_place() -> None:
    assert not_toml(tomllib.TOMLDecodeError("Oh no (at line 3, column 2)")).zh.endswith(f"第 3 行第 2 列{_VAGUE}")
