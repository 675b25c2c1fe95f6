"""Matching is bounded in time: an answer made for a pattern that backtracks costs little, and others still match."""

import contextlib
import gc
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from probes.kit.fingerprint.bounded import SECONDS, Clock, Patience, TooLong
from probes.kit.fingerprint.match import identify
from probes.kit.fingerprint.model import MAX_VALUE, Fingerprint
from probes.kit.fingerprint.own import read_own
from probes.kit.fingerprint.recog import read_recog
from probes.kit.fingerprint.store import Imported, load, save

ANSWER = "a" * 4000 + "!"
"""Each of the patterns below would take longer than the universe has been there."""


def fingerprint(pattern: str, certainty: float = 0.9) -> Fingerprint:
    """One with a pattern and a product of the same name."""
    return Fingerprint("k", pattern, 0, pattern, {"service.product": pattern}, certainty, "test")


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(?:a|a)+$", "^([a-z_.]+)+b", "(?:a|b|ab)*c$", r"^(?:\w+\s?)*#"])
def test_a_pattern_that_backtracks_is_given_up_and_the_next_one_matches(pattern: str) -> None:
    found = identify([fingerprint(pattern), fingerprint("!$", 0.8)], ANSWER)
    assert found is not None
    assert found.title == "!$"


def test_a_host_that_has_used_up_its_patience_is_believed_no_more() -> None:
    patience = Patience(2)
    slow = [fingerprint("^(a+)+$"), fingerprint("^(a|a)+$"), fingerprint("a")]
    assert identify(slow, ANSWER, patience) is None
    assert patience.left == 0
    assert identify([fingerprint("a")], "a", patience) is None
    assert identify([fingerprint("a")], "a") is not None


def test_what_was_found_before_stays() -> None:
    found = identify([fingerprint("!", 0.5), fingerprint("^(a+)+$"), fingerprint("^(a|a)+$")], ANSWER, Patience(2))
    assert found is not None
    assert found.title == "!"


def test_the_timer_ends_with_the_search_and_a_late_signal_does_nothing() -> None:
    with Clock() as clock, pytest.raises(TooLong):
        clock.search(re.compile("^(a+)+$"), ANSWER)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    signal.raise_signal(signal.SIGVTALRM)


def spin() -> None:
    """Use up 30 seconds of CPU, if nobody ends it."""
    end = time.thread_time() + 30
    while time.thread_time() < end:
        pass


class Finalised:
    """Takes its time when it goes; what is raised meanwhile is printed and forgotten by the interpreter."""

    def __del__(self) -> None:
        spin()


def test_what_was_raised_where_the_interpreter_forgets_it_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: forgotten.append(told.exc_type))

    def call() -> None:
        _goes_at_once = Finalised()
        del _goes_at_once
        spin()

    with Clock() as clock, pytest.raises(TooLong):
        clock.run(call)
    assert forgotten == [TooLong]


def test_the_time_that_collecting_garbage_takes_is_not_the_pattern_s() -> None:
    collected: list[str] = []

    def callback(phase: str, _info: dict[str, int]) -> None:
        collected.append(phase)

    def call() -> int:
        return len([[number] for number in range(10 * gc.get_threshold()[0])])

    gc.callbacks.append(callback)
    try:
        with Clock() as clock:
            assert clock.run(call)
            during = list(collected)
        assert call()
    finally:
        gc.callbacks.remove(callback)
    assert during == []
    assert collected != []
    assert gc.isenabled()


@pytest.mark.parametrize("line", sorted({line for *_, line in Clock.run.__code__.co_lines() if line}))
def test_the_end_may_be_raised_at_any_line_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    monkeypatch.setattr("probes.kit.fingerprint.bounded.SECONDS", -1.0)  # every signal within a run ends it

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and frame.f_lineno == line:
            signal.raise_signal(signal.SIGVTALRM)
        return trace if frame.f_code is Clock.run.__code__ else None

    before = sys.gettrace()
    with Clock() as clock:
        sys.settrace(trace)
        try:
            with contextlib.suppress(TooLong):
                assert clock.run(lambda: 5) == 5
        finally:
            sys.settrace(before)
        assert gc.isenabled()
        signal.raise_signal(signal.SIGVTALRM)


def test_what_another_thread_does_meanwhile_is_not_the_pattern_s_time() -> None:
    def work() -> None:
        while time.thread_time() < 3 * SECONDS:
            sum(range(1000))

    def call() -> bool:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return True

    with Clock() as clock:
        assert clock.run(call)


def test_other_threads_may_match_too() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(identify([fingerprint("!$")], ANSWER)))
    thread.start()
    thread.join()
    assert found[0] is not None


def test_a_file_that_was_tampered_with_costs_its_own_entries_only(tmp_path: Path) -> None:
    strange = [
        replace(fingerprint("^(a)"), says={"service.product": "{9}", "service.version": "{1}" * 99_999}),
        replace(fingerprint("^(a"), certainty=0.99),
        replace(fingerprint("a"), flags=1 << 40, certainty=0.98),
        replace(fingerprint("[\u0100-\U0010ffff]" * 340), flags=int(re.IGNORECASE), certainty=0.97),
    ]
    save(tmp_path / "own.jsonl", Imported(tuple(strange)))
    found = identify(load([tmp_path / "own.jsonl"]).fingerprints, "aa")
    assert found is not None
    assert set(found.says) == {"service.version"}
    assert found.says["service.version"] == "a" * MAX_VALUE


SLOW = "[\u0100-\U0010ffff]" * 340
OWN = (
    'key = "k"\n[[fingerprint]]\ntitle = "t"\npattern = \'{0}\'\ncertainty = 0.9\nsays = {{}}\n'
    'examples = [{{ text = "{1}" }}]\n'
)


def test_what_takes_for_ever_at_an_import_is_named_and_left_out(tmp_path: Path) -> None:
    own = read_own(OWN.format("^(a+)+$", "a" * 60 + "!"), "own.toml")
    assert [fault.reason.en.rpartition(": ")[2] for fault in own.faults] == ["the pattern takes too long"]
    file = tmp_path / "r.xml"
    file.write_text(f"<fingerprints><fingerprint pattern='{SLOW}' flags='REG_ICASE'/></fingerprints>", "utf-8")
    assert [fault.reason.en for fault in read_recog(file).faults] == ["the pattern takes too long"]
