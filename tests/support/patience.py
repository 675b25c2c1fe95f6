"""Limits that are part of a test and must be short, on machines that may be slow."""

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def given_time(attempt: Callable[[float], _T], counts: Callable[[_T], bool], *, first: float, enough: float = 20) -> _T:
    """Give the first result of attempts with `first` seconds, then with five times as much, that counts; or the last.

    An attempt that was cut short before what the test is about could happen says nothing. The last one has `enough`
    seconds at least, so that whatever it gives is the product's own doing.
    """
    seconds = first
    while True:
        found = attempt(seconds)
        if counts(found) or seconds >= enough:
            return found
        seconds *= 5
