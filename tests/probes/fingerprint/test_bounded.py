"""Matching is bounded in time: an answer made for a pattern that backtracks costs little, and others still match."""

import re
import signal
import threading

import pytest

from probes.kit.fingerprint.bounded import Clock, Patience, TooLong
from probes.kit.fingerprint.match import identify
from probes.kit.fingerprint.model import Fingerprint

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


def test_other_threads_may_match_too() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(identify([fingerprint("!$")], ANSWER)))
    thread.start()
    thread.join()
    assert found[0] is not None
