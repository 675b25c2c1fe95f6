"""What reaches a terminal: safe, aligned, coloured only where wanted."""

import io
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edusec.demo.report import called
from edusec.terminal.render import cells, clip, json_line, pad, safe, table, wrap

ACTIVE = {"\x1b", "\x07", "\x08", "\r", "\n", "\x7f", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\x00"}
UNSEEN = {"\xad", "\u034f", "\u1160", "\u180e", "\u200b", "\u3164", "\ufe0f", "\uffa0", "\U0001d173", "\U000e0041"}
ACTIVE |= UNSEEN


@given(st.text(alphabet=st.one_of(st.sampled_from(sorted(ACTIVE)), st.characters())))
def test_safe_leaves_nothing_that_acts_and_keeps_the_rest(text: str) -> None:
    written = safe(text)
    assert not ACTIVE & set(written)
    if not ACTIVE & set(text) and text.isprintable():
        assert written == text


def test_safe_shows_what_was_there() -> None:
    assert safe("\x1b]0;pwned\x07") == "\\x1b]0;pwned\\x07"
    assert safe("\u202egpj.exe") == "\\u202egpj.exe"
    assert safe("nginx\u3164\U000e0041") == "nginx\\u3164\\U000e0041"
    assert safe("示例小学") == "示例小学"


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_json_line_is_one_harmless_line_that_reads_back(plain: dict[str, object]) -> None:
    line = json_line(plain)
    assert json.loads(line) == plain
    assert not ACTIVE & set(line)


def test_json_line_escapes_what_json_itself_would_not() -> None:
    assert json_line(["\x7f\u202e\U000e0041"]) == r'["\u007f\u202e\udb40\udc41"]'


def test_widths_follow_the_terminal() -> None:
    assert cells("端口 22") == 7
    assert pad("端口", 6) == "端口  "
    assert clip("兴庆区示例小学", 8) == "兴庆区…"
    assert clip("short", 8) == "short"


@given(st.text(alphabet="ab 端口，。", max_size=60), st.integers(4, 20))
def test_wrap_loses_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrap_breaks_chinese_text_at_the_width() -> None:
    assert all(cells(line) <= 21 for line in wrap("校园网络安全监测端口白名单三级资产台账与等保告警", 20))


def test_a_plain_table_is_aligned_stable_and_uncut() -> None:
    out = io.StringIO()
    table(["名称", "PORT"], [["示例小学", 22], ["a\x1b[2Jb" + "x" * 200, 443]], stream=out)
    lines = out.getvalue().splitlines()
    assert lines[2].startswith("a\\x1b[2Jb" + "x" * 200 + "  443")
    assert cells(lines[0].removesuffix("PORT")) == cells(lines[1].removesuffix("22"))


def test_the_next_commands_are_ones_that_the_shell_finds(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "edusec"
    program.parent.mkdir()
    program.touch()
    assert called(str(program), str(program)) == "edusec"
    assert called(".venv/bin/edusec", None) == ".venv/bin/edusec"
    assert called(".venv/bin/edusec", str(program)) == ".venv/bin/edusec"
    assert called("/usr/lib/python3/edusec/__main__.py", None) == "edusec"
