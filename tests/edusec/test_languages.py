"""One language at a time: help pages and errors have no left-overs of the other, and no text lacks one of them."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edusec import faulty_files
from tests.support.languages import CHINESE, ENGLISH
from tests.support.repository import ROOT

WORDS = tuple(
    tuple(line.split())
    for line in """
scan
scan 300.1.1.1
scan 10.0.0.0/33
scan 10.0.0.1-x
scan 198.51.100.1
scan 127.0.0.1 --ports 10-1
scan 127.0.0.1 --ports abc
scan 127.0.0.1 --ports 1,,2
scan 127.0.0.1 --ports 99999
scan 127.0.0.1 --retries 99
scan 127.0.0.1 --engine fast
scan 127.0.0.1 --format pdf
scan 127.0.0.1 --wait 3
scan 127.0.0.1 --quiet-hours 25:00-26:00
scan 127.0.0.1 --whitelist /nowhere
scan 127.0.0.1 --exclude x..y
scan 127.0.0.1 --dry-run --ports 22 --udp 53
discover --methods zz
probe run nope
probe run open_ports --targets x..y
probe run open_ports --targets 127.0.0.1-5 --targets 127.0.0.5-1
probe run site_ipv6 --targets http://[x
ipv6 check x..y
scope list
scope add
scope add x..y --authoriser a --reason b --until 2027-01-01
scope add 10.0.0.0/1 --authoriser a --reason b --until 2020-01-01
scope add 10.0.0.0/8 --authoriser a --reason b --until soon
scope remove 11.0.0.0/8
agent enroll
agent enroll --collector x --token y --state /nowhere/at/all
agent check --config /nowhere
agent nope
collector init
collector nope
collector person --data /nowhere --name a --role king --profile /nowhere
unit import /nowhere
unit list --profile /nowhere
nope
--version
scan --nope
scan 127.0.0.1 --ports
scan 127.0.0.1 --retries many
scan 127.0.0.1 --resume --last
scan --import HOME/gbk.csv
scan --import HOME/bad.xml
alert list --state
alert show
alert show a b
asset list --limit many
asset list --limit 0
unit import
agent token
agent run --config HOME/agent.toml
agent check --config HOME/agent.toml
agent check --config HOME/gbk.csv
agent check --config HOME/broken.toml
agent enroll --collector http://x --token edt1.a.b --state HOME/state
agent enroll --collector https://127.0.0.1:9 --token edt1.aaaa.0000 --state HOME/state
collector run --data HOME
collector run --data HOME --check
collector run --data HOME/gbk.csv
collector init --data HOME/folder --name x..y --listen 127.0.0.1
collector init --data HOME
rules check HOME/rule.toml
rules check HOME/broken.toml
rules check HOME/none
data import HOME/bad.xml
data import HOME/faults.xml
data import HOME/nmap-service-probes
data import HOME/gbk.csv
data import HOME/own.toml
data import HOME/broken.toml
data remove nope
probe run snmp_tables --targets 127.0.0.1 --credentials HOME/snmp.toml
probe run site_ipv6 --targets 10.1.2.3
unit list --profile HOME/broken.toml
unit list --profile HOME/gbk.csv
unit list --profile HOME/profile.toml
whitelist review --days many
doctor
""".strip().splitlines()
)
# Commands, their usage, values of flags and data to copy are the same in both languages.
COPIED = re.compile(r"^(?:\{| +edusec | {2,}-|用法).*|^edusec[a-z ]*(?::|--help)|→ .*|`[^`]*`")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    faulty_files.write(home)
    return home


def spoken(lang: str, home: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.edusec.speak", lang],
        input=json.dumps([[word.replace("HOME", str(home)) for word in words] for words in WORDS]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
    )
    return dict(json.loads(done.stderr))


def test_english_has_no_chinese(home: Path) -> None:
    found = spoken("en", home)
    assert len(found) > 100
    assert [(words, line) for words, text in found.items() for line in text.splitlines() if CHINESE.search(line)] == []


def test_chinese_has_no_english(home: Path) -> None:
    found = spoken("zh", home)
    left = [
        (words, line)
        for words, text in found.items()
        for line in text.splitlines()
        if ENGLISH.search(COPIED.sub("", line))
    ]
    assert not left, "\n".join(f"{words} | {line}" for words, line in left)
    silent = [words for words, text in found.items() if words != "--version" and not CHINESE.search(text)]
    assert silent == []


def declared() -> Iterator[tuple[str, str, str]]:
    """Give the texts that the code declares in both languages, with their place."""
    rooms = ("agent", "collector", "edusec", "probes", "rules", "wire")
    for file in (file for room in rooms for file in sorted((ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            named = {word.arg: word.value for word in node.keywords}
            if name == "fault" and not (node.args and CHINESE.search(_text(node.args[0]))):
                continue
            pair = node.args if name in ("t", "Text", "TextError", "fault") else [named.get("zh"), named.get("en")]
            if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", _text(pair[0]), _text(pair[1])


HALF_WIDTH = re.compile("[\u3400-\u9fff][,;:?!(]|[,;?!):](?=[\u3400-\u9fff])|\\([^()]*[\u3400-\u9fff][^()]*\\)")


def test_chinese_has_its_own_punctuation() -> None:
    own_colon = "主机:端口"  # what is to be typed
    assert [(place, zh) for place, zh, _ in declared() if HALF_WIDTH.search(zh.replace(own_colon, ""))] == []


def _text(node: ast.AST) -> str:
    """Give what is written of a text; what is filled in, and a name that holds one, have nothing of their own."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.FormattedValue):
        return ""
    return "".join(map(_text, ast.iter_child_nodes(node)))


def test_no_declared_text_lacks_a_language() -> None:
    texts = list(declared())
    assert len(texts) > 1000
    han = re.compile("[\u3400-\u9fff]")
    assert [(place, en) for place, _, en in texts if han.search(en)] == []
    assert [(place, zh) for place, zh, _ in texts if ENGLISH.search(zh) and not han.search(zh)] == []
    assert [(place, en) for place, zh, en in texts if han.search(zh) and not en.strip()] == []


OTHER_WORDS = ("探针", "收集器", "密码", "报警", "扫描器", "必须是", "不能为空", "非法")
"""What elsewhere stands for what the glossary of docs/architecture.md calls by another word."""


def test_one_word_for_one_thing() -> None:
    said = [(place, zh) for place, zh, _ in declared()]
    for pack in sorted((ROOT / "rules" / "packs").rglob("*.toml")):
        table = tomllib.loads(pack.read_text(encoding="utf-8"))
        said += [(pack.name, table[key]["zh"]) for key in ("title", "remedy")]
    assert [(place, zh) for place, zh in said if any(word in zh for word in OTHER_WORDS)] == []
    glossary = (
        (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("\n## Words\n")[1].split("\n## ")[0]
    )
    words = [word for row in re.findall(r"^\| [^|]+ \| ([^|]+) \|", glossary, re.MULTILINE) for word in row.split("、")]
    assert len(words) > 25
    everything = "".join(zh for _, zh in said)
    assert [word for word in words[1:] if "-" not in word and word not in everything] == []
