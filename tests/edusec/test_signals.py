"""Signals that ask for an end: heard whatever they interrupt, and never the end of all hearing."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from edusec.commands.up import Told
from edusec.running import Interruptible


@pytest.fixture
def interrupting() -> Iterator[Callable[[signal.Signals, Any, int], None]]:
    """`interrupting(number, module, step)`: send a signal before that step of what the module's functions do next."""
    before = sys.gettrace()

    def begin(number: signal.Signals, module: Any, step: int) -> None:
        left = iter(range(step, -1, -1))

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename != module.__file__:
                return None
            if event == "line" and next(left, -1) == 0:
                signal.raise_signal(number)
            return trace

        sys.settrace(trace)

    yield begin
    sys.settrace(before)


@pytest.mark.parametrize("step", range(4))
def test_a_signal_at_any_step_of_waiting_for_it_is_heard(
    interrupting: Callable[[signal.Signals, Any, int], None], step: int
) -> None:
    told = Told()
    before = signal.signal(signal.SIGTERM, told.tell)
    try:
        assert not told.within(0)
        interrupting(signal.SIGTERM, sys.modules[Told.__module__], step)
        told.within(0.01)
        sys.settrace(None)
        assert told.within(0)
        assert told.within(60)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("step", range(8))
def test_a_second_signal_at_any_step_of_the_first_gives_up_at_once(
    interrupting: Callable[[signal.Signals, Any, int], None], step: int
) -> None:
    stop = threading.Event()
    with Interruptible(stop):
        interrupting(signal.SIGTERM, threading, step)
        with pytest.raises(KeyboardInterrupt):
            _twice()


def _twice() -> None:
    signal.raise_signal(signal.SIGINT)
    sys.settrace(None)
    signal.raise_signal(signal.SIGINT)  # where the first was handled in fewer steps
