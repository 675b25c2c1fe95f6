"""What the HTTP interface refuses, it says in the language that was asked for, and in that one only."""

import re
from typing import Any

import pytest

from tests.collector.web.door import Door, Heard
from tests.support.languages import CHINESE, ENGLISH

NOTE = "/api/v1/alerts/x/ack"
CASES: tuple[tuple[str, str, Any, int], ...] = (
    ("GET", "/api/v1/assets?limit=many", None, 400),
    ("GET", "/api/v1/assets?limit=0", None, 400),
    ("GET", "/api/v1/assets?limit=9999", None, 400),
    ("GET", "/api/v1/assets?q=" + "x" * 300, None, 400),
    ("GET", "/api/v1/assets?cursor=nonsense", None, 400),
    ("GET", "/api/v1/drift?since=yesterday", None, 400),
    ("GET", "/api/v1/drift?kind=odd", None, 400),
    ("GET", "/api/v1/alerts?state=odd", None, 400),
    ("GET", "/api/v1/ipv6/report?trend=perhaps", None, 400),
    ("GET", "/api/v1/ipv6/sites?below=9", None, 400),
    ("GET", "/api/v1/ipv6/history?unit=&kind=unit", None, 400),
    ("GET", "/api/v1/whitelist/export?format=pdf", None, 400),
    ("GET", "/api/v1/scans/x/progress?wait=-1", None, 400),
    ("GET", "/api/v1/scans/" + "x" * 65, None, 400),
    ("GET", "/api/v1/sites/no", None, 404),
    ("PUT", "/api/v1/units", None, 405),
    ("POST", NOTE, b"{", 400),
    ("POST", NOTE, b'"\xff"', 400),
    ("POST", NOTE, b"[" * 10_000, 400),
    ("POST", NOTE, {}, 404),
    ("POST", NOTE, {"note": 3}, 400),
    ("POST", NOTE, {"note": "x" * 2000}, 400),
    ("POST", NOTE, {"note": "", "more": 1}, 400),
    ("POST", NOTE, [], 400),
    ("POST", "/api/v1/enrolment-tokens", {"unit": "640104", "ttl_seconds": 0}, 400),
    ("POST", "/api/v1/enrolment-tokens", {"unit": "640104", "ttl_seconds": "long"}, 400),
    ("POST", "/api/v1/scans", {"unit": "640104", "probe": 3}, 400),
    ("POST", "/api/v1/scans", {"unit": "640104", "probe": "no such"}, 400),
    ("POST", "/api/v1/scans", b"[" * 100_000, 413),
)


def _message(heard: Heard) -> str:
    return heard.refusal().message if heard.status >= 400 else heard.body.decode()


@pytest.fixture(scope="module")
def said(shared: Door) -> dict[str, list[tuple[str, int, str]]]:
    found: dict[str, list[tuple[str, int, str]]] = {}
    kind = {"Content-Type": "application/json"}
    for lang in ("zh", "en"):
        found[lang] = []
        for method, path, body, _ in CASES:
            heard = shared.ask(method, path, body, token=shared.admin, headers={"Accept-Language": lang, **kind})
            found[lang].append((f"{method} {path} {body!r}"[:90], heard.status, _message(heard)))
        heard = shared.ask("GET", "/api/v1/units", token="wrong", headers={"Accept-Language": lang})
        found[lang].append(("a wrong token", heard.status, _message(heard)))
    return found


def test_every_fault_keeps_its_status(said: dict[str, list[tuple[str, int, str]]]) -> None:
    for lang in ("zh", "en"):
        assert [status for _, status, _ in said[lang]] == [*(status for *_, status in CASES), 401], said[lang]


def test_english_has_no_chinese(said: dict[str, list[tuple[str, int, str]]]) -> None:
    assert [line for line in said["en"] if CHINESE.search(line[2])] == []


def test_chinese_has_no_english(said: dict[str, list[tuple[str, int, str]]]) -> None:
    assert [line for line in said["zh"] if ENGLISH.search(line[2]) or not CHINESE.search(line[2])] == []


def test_both_name_the_same_parameter(said: dict[str, list[tuple[str, int, str]]]) -> None:
    for (case, _, zh), (_, _, en) in zip(said["zh"], said["en"], strict=True):
        if named := re.match(r"[a-z_.]+: ", en):
            assert zh.startswith(f"{named[0][:-2]}："), (case, zh, en)
