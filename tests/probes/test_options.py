"""Options: from one dataclass come the check of a configuration, the flags and the docs."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.contract import Probe
from probes.kit.errors import OptionError, UnknownProbe
from probes.kit.options import build, describe, option
from probes.kit.registry import load, name_of, names
from tests.support.languages import CHINESE
from wire.ports import parse_ports
from wire.text import Text
from wire.types import SectionKind


@dataclass(frozen=True, slots=True)
class Options:
    word: str = option("any", zh="词", en="a word", choices=("any", "4", "6"))
    ports: str = option("22", zh="端口", en="ports", check=parse_ports)
    path: str = option("/", zh="路径", en="a path", pattern=r"/[a-z/]*")
    count: int = option(3, zh="次数", en="how often", minimum=1, maximum=9)
    least: int = option(3, zh="至少", en="at least", minimum=1)
    seconds: float = option(1.5, zh="秒", en="how long", unit="s", minimum=0.1, maximum=60)
    loud: bool = option(False, zh="大声", en="loudly")
    names: tuple[str, ...] = option((), zh="名称", en="names")


PROBE = Probe(Text("试", "try"), SectionKind.STATE, Options, lambda _options, _context: iter(()))


def test_defaults_and_values() -> None:
    assert build(PROBE, {}) == Options()
    given_values = {"word": "6", "ports": "1-5", "count": 9, "seconds": 2, "loud": True, "names": ["a", "b"]}
    built = build(PROBE, given_values)
    assert (built.word, built.count, built.loud, built.names) == ("6", 9, True, ("a", "b"))
    assert built.seconds == 2.0
    assert isinstance(built.seconds, float)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("colour", 1, "'colour' is not an option; it has word, ports"),
        ("word", "5", "choose one of any, 4, 6"),
        ("word", 4, "expected a text: one of any, 4, 6, found int '4'"),
        ("word", "a\x1bb", "printable"),
        ("ports", "80-", "'80-' is not a port"),
        ("path", "etc", "does not match"),
        ("count", 0, "a whole number from 1 to 9"),
        ("count", 10, "out of range"),
        ("count", 2.0, "expected a whole number"),
        ("count", True, "expected a whole number"),
        ("count", "3", "expected a whole number"),
        ("least", 0, "at least 1"),
        ("seconds", float("nan"), "out of range"),
        ("seconds", float("inf"), "out of range"),
        ("loud", 1, "expected true or false"),
        ("names", "a", "expected a list of texts"),
        ("names", [1], "expected a list of texts"),
        ("names", ["a"] * 1001, "at most 1000"),
        ("names", ["a\n"], "printable"),
        ("names", None, "expected a list of texts"),
    ],
)
def test_faults_name_probe_option_and_what_is_allowed(key: str, value: Any, says: str) -> None:
    with pytest.raises(OptionError) as caught:
        build(PROBE, {key: value})
    assert str(caught.value).startswith(f"{name_of(PROBE)}: ")
    assert key in str(caught.value)
    assert says in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from([*Options.__dataclass_fields__, "other"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.lists(st.one_of(st.text(), st.integers())),
            st.dictionaries(st.text(), st.text()),
        ),
    )
)
def test_whatever_a_configuration_holds_it_is_built_or_refused(given_values: dict[str, Any]) -> None:
    try:
        built = build(PROBE, given_values)
    except OptionError:
        return
    assert 1 <= built.count <= 9
    assert isinstance(built.names, tuple)
    assert built.word in ("any", "4", "6")


def test_describe_gives_all_that_a_flag_and_a_table_need() -> None:
    rows = {item.name: item for item in describe(PROBE)}
    assert list(rows) == list(Options.__dataclass_fields__)
    assert rows["names"].kind == tuple[str, ...]
    assert rows["seconds"].unit == "s"
    assert rows["seconds"].help == Text("秒", "how long")
    assert rows["count"].allowed == Text("整数，1 至 9", "a whole number from 1 to 9")
    assert rows["loud"].default is False


def test_listing_probes_imports_none() -> None:
    code = (
        "import sys; from probes.kit.registry import names; print(names());"
        "print([name for name in sys.modules if name.startswith('probes.') and not name.startswith('probes.kit')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    listed, imported = done.stdout.splitlines()
    assert "open_ports" in listed
    assert imported == "[]"


@pytest.mark.parametrize("name", ["nmap", "", "kit", "kit.net", "../wire/types", "__init__", "open_ports.PROBE"])
def test_an_unknown_probe_is_told_which_there_are(name: str) -> None:
    with pytest.raises(UnknownProbe, match="open_ports") as fault:
        load(name)
    assert "没有探测项" in fault.value.text.zh


_FAULTS = ("", "!!!", "x y", "999999", "1-", "http://", "[::]:99999", "256.1.1.1", "10.0.0.0/33", "2001:db8::/32", "\0")


@pytest.mark.parametrize("name", names())
def test_a_fault_of_an_option_is_said_in_both_languages(name: str) -> None:
    probe, said = load(name), []
    for item in describe(probe):
        for value in (*_FAULTS, -99, 1e300, True, None):
            for raw in (value, [value]):
                try:
                    build(probe, {item.name: raw})
                except OptionError as error:
                    said.append(error.says)
    assert said
    assert [text for text in said if not CHINESE.search(text.zh) or CHINESE.search(text.en)] == []


@pytest.mark.parametrize("name", names())
def test_a_probe_is_named_after_its_file(name: str) -> None:
    assert name_of(load(name)) == name
