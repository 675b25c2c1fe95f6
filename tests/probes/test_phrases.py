"""Evidence in Chinese: every line that the probes can write is known, and a stranger's text passes through unharmed."""

import ast
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.phrases.book import TEMPLATES, WORDS
from probes.kit.phrases.lookup import in_chinese
from probes.kit.reasons import because, explain
from tests.support.languages import CHINESE, ENGLISH
from tests.support.repository import ROOT

WRITERS = (
    *sorted((ROOT / "probes" / "kit" / "ipv6").rglob("*.py")),
    *(ROOT / "probes" / "kit" / "snmp" / name for name in ("credentials.py", "session.py")),
    *sorted((ROOT / "probes").glob("*.py")),
)
# These speak to an operator in both languages, to a programmer, or to a peer.
OTHERS = {"Text", "TextError", "ValueError", "TypeError", "BadJob", "compile", "option", "hosts_option"}
FOR_PEERS = ("HTTP/1.1", "User-Agent", "helper that listens", "{}: too much", "passed and", "CAP_NET_RAW")
PARTS = {
    " (IPv4 is behind NAT)": "rules, input: open on IPv6 only: tcp 22{}",
    "is not UTF-8": "x: {}",
    "is not TOML": "x: {}",
}


def written() -> Iterator[tuple[str, str]]:
    """Give the texts of these modules that read as English, with their place; `{}` stands for what is filled in."""
    for file in WRITERS:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        passed: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in OTHERS:
                    passed.update(map(id, ast.walk(node)))
            elif isinstance(node, ast.Expr):  # a docstring
                passed.add(id(node.value))
            elif isinstance(node, ast.JoinedStr):
                passed.update(id(part) for part in ast.walk(node) if part is not node)
        for node in ast.walk(tree):
            text = _template(node) if id(node) not in passed else ""
            text = PARTS[text].format(text) if text in PARTS else text
            if ENGLISH.search(text.replace("{}", "")) and not any(mark in text for mark in FOR_PEERS):
                yield f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", text


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) or "{}" for part in node.values)
    return ""


def test_every_line_that_a_probe_writes_is_known() -> None:
    lines = list(written())
    assert len(lines) > 30
    left = [(place, text) for place, text in lines if ENGLISH.search(in_chinese(text.replace("{}", "1")))]
    assert left == []


def test_a_phrase_keeps_what_it_copies() -> None:
    for text in TEMPLATES:
        assert text.zh.count("{") == text.en.count("{"), text
    assert all(CHINESE.search(zh) for zh in WORDS.values())


@pytest.mark.parametrize(
    ("line", "zh"),
    [
        ("https://a.cn/ @ 2001:db8::1: 200", "https://a.cn/ @ 2001:db8::1: 200"),
        ("https://a.cn/ @ 2001:db8::1: tcp filtered", "https://a.cn/ @ 2001:db8::1：TCP 被过滤"),
        ("https://a.cn/ @ 2001:db8::1: 200 body timeout", "https://a.cn/ @ 2001:db8::1：200 正文超时"),
        ("443: IPv4 open, IPv6 filtered", "443：IPv4 开放，IPv6 被过滤"),
        (
            "3 of 5 (1 unknown): 60-80%; 4 hosts; 9 found, 5 tried",
            "3 / 5（1 个未知）：60-80%；4 个主机；发现 9 个，尝试 5 个",
        ),
        ("IPv4 title: it translates", "IPv4 标题：it translates"),
        ("/etc/edusec/snmp.toml: Permission denied", "/etc/edusec/snmp.toml：权限不足"),
        ("no phrase at all", "no phrase at all"),
    ],
)
def test_lines_as_they_are_shown(line: str, zh: str) -> None:
    assert in_chinese(line) == zh


@given(st.text(max_size=300))
def test_a_strangers_text_is_copied(text: str) -> None:
    assert in_chinese(f"IPv6 title: {text}") == (f"IPv6 标题：{text}" if text else "IPv6 title: ")
    in_chinese(text)
    in_chinese("; ".join([text] * 50) + ": , " * 100)


def test_reasons_have_their_details_in_chinese_too() -> None:
    reason = because("no_credentials", "/etc/edusec/snmp.toml: must be a file of the agent's own user")
    assert explain(reason, "en").endswith(reason.partition(": ")[2])
    assert explain(reason, "zh").endswith("/etc/edusec/snmp.toml：须为代理自身用户的文件")
