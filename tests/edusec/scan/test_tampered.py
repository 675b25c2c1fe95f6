"""Files of earlier scans that somebody changed: named in one line, and never a traceback."""

import copy
import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edusec.exits import Stop
from edusec.scan.output import show
from edusec.scan.output.forms import FORMS
from edusec.scan.request.asked import Asked
from edusec.scan.result.finished import Measure, judged
from edusec.scan.run.join import made
from edusec.scan.store import compare, journal, results, resume
from edusec.scan.store.checked import undamaged
from edusec.scan.store.runs import show_runs
from tests.support.reports import covers, host, service
from wire.errors import EdusecError
from wire.types import Body, Coverage, Observation, RunStatus, Skipped

_SAID = (service("10.0.0.1", 80, product="nginx"), host("10.0.0.1", closed=[5]), host("10.0.0.3"))
_BODY = Body(_SAID, (covers("10.0.0.0/29"),), (Skipped("10.0.0.9 tcp ports 5", "loss"),))
assert isinstance(_SAID[0], Observation)
assert isinstance(_BODY.coverage[0], Coverage)
_SECTION = made("open_ports", RunStatus.PARTIAL, "", _BODY, (1e9, 1e9 + 5))
_LINES: list[Any] = json.loads(
    json.dumps(judged("ab" * 16, _SECTION, Asked(("x",), {}, "80", "", (), ""), Measure((), date(2026, 11, 29), "red")))
)
_STRANGE = ("x", "", None, True, -1, 10**30, [], {}, ["a"], {"a": 1}, "10.0.0.1%x", "\x1b", "host", "[", "[" * 9999, 7)


def _places(plain: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in inside:
        yield (*before, key)
        yield from _places(value, (*before, key))


def _changed(plain: Any, dice: random.Random) -> Any:
    plain = copy.deepcopy(plain)
    *way, last = dice.choice(list(_places(plain)))
    there = plain
    for key in way:
        there = there[key]
    if dice.random() < 0.25:
        del there[last]
    else:
        there[last] = copy.deepcopy(dice.choice(_STRANGE))
    return plain


def test_a_file_to_compare_with(tmp_path: Path) -> None:
    dice, refused = random.Random(3), list[str]()
    for _ in range(250):
        file = tmp_path / "before.jsonl"
        file.write_text("\n".join(map(json.dumps, _changed(_LINES, dice))), "utf-8")
        try:
            lines = compare.compared(_LINES, compare.earlier(str(file)), 3)
        except Stop as stop:
            refused.append(str(stop))
            continue
        for form in FORMS.values():
            assert b"\x1b" not in form(lines)
    assert refused
    assert all(str(tmp_path) in said for said in refused)


def test_the_file_of_kept_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, dice, refused = tmp_path / "scans.db", random.Random(4), list[str]()
    monkeypatch.setenv("EDUSEC_SCANS", str(file))
    results.save(file, _LINES)
    whole = file.read_bytes()
    for _ in range(80):
        file.write_bytes(whole)
        database = sqlite3.connect(file)
        table = dice.choice(("scans", "hosts", "services"))
        column = dice.choice([row[1] for row in database.execute(f"pragma table_info({table})")])
        value = dice.choice([item for item in _STRANGE if item is None or isinstance(item, str)])
        try:
            database.execute(f"update {table} set {column} = ?", (value,))  # noqa: S608 (our own names)
        except sqlite3.Error:
            continue
        finally:
            database.commit()
            database.close()
        for use in (lambda: show.show(results.last(file)), lambda: show_runs(file, as_json=False)):
            try:
                with undamaged(file):
                    use()
                    compare.compared(_LINES, None, 3)
            except Stop as stop:
                refused.append(str(stop))
    assert refused
    assert all(str(file) in said for said in refused)
    assert "\x1b" not in capsys.readouterr().out


def test_the_journal_of_an_unfinished_scan(tmp_path: Path) -> None:
    work = {
        "prefixes": ["127.0.0.1"],
        "parts": [{"transport": "tcp", "ports": "1-10", "options": {}}],
        "asked": {"targets": ["127.0.0.1"], "names": {}, "ports": "", "udp": "", "whitelist": "", "exclude": []},
        "quiet_hours": [],
    }
    file, dice, refused = tmp_path / "scans.db", random.Random(5), 0
    for number in range(80):
        kept = journal.Journal(file, f"{number:032x}", f"2026-{number:04}", _changed(work, dice))
        kept.pause()
        with sqlite3.connect(file) as database:
            if number % 4 == 0:
                column = dice.choice(("asked", "started", "process"))
                value = dice.choice([item for item in _STRANGE if item is None or isinstance(item, str)])
                database.execute(f"update unfinished set {column} = ?", (value,))  # noqa: S608 (our own)
        try:
            resume.taken_up(resume.find(file, ""), tmp_path / "scope.toml", 9.0)
        except EdusecError:
            refused += 1
        file.unlink()
    assert refused
