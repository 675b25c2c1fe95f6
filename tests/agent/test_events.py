"""The supervisor's wait: whatever arrives ends it, also what arrives at its worst moment."""

import ctypes
import operator
import select
import signal
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from agent.events import Events

LONG = 60.0  # no test waits for it


@pytest.fixture
def events() -> Iterator[Events]:
    made = Events()
    with made.hearing(signal.SIGHUP, signal.SIGTERM):
        yield made


class Delayed:
    """A poll in front of which a signal arrives after the last moment at which Python calls handlers."""

    def __init__(self, poll: "select.poll", number: int) -> None:
        self._poll = poll
        self._arrive = partial(ctypes.PyDLL(None)["raise"], number)

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        # One call of C code: the interpreter gets no turn between the signal and the wait.
        _, found = map(operator.call, (self._arrive, partial(self._poll.poll, milliseconds)))
        return list(found)


def test_a_signal_just_before_the_wait_ends_it(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_poll", Delayed(events._poll, signal.SIGHUP))
    assert events.get(LONG) == ("signal", signal.SIGHUP)


def test_signals_and_events_arrive_in_order_and_none_is_lost(events: Events) -> None:
    for number in range(100):
        signal.raise_signal(signal.SIGHUP if number % 2 else signal.SIGTERM)
    assert [events.get(LONG) for _ in range(100)] == [("signal", signal.SIGTERM), ("signal", signal.SIGHUP)] * 50
    for number in range(100):
        events.put("ended", number)
    assert [events.get(LONG) for _ in range(100)] == [("ended", number) for number in range(100)]
    assert events.get(0) is None


def test_what_other_threads_put_is_seen(events: Events) -> None:
    def put(name: int) -> None:
        for number in range(500):
            events.put("ended", (name, number))

    threads = [threading.Thread(target=put, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    found = {events.get(LONG) for _ in range(2000)}
    for thread in threads:
        thread.join()
    assert found == {("ended", (name, number)) for name in range(4) for number in range(500)}


def test_afterwards_signals_are_what_they_were_and_a_late_event_hurts_nobody() -> None:
    before, events = signal.getsignal(signal.SIGHUP), Events()
    with events.hearing(signal.SIGHUP):
        assert signal.getsignal(signal.SIGHUP) != before
    assert signal.getsignal(signal.SIGHUP) == before
    assert signal.set_wakeup_fd(-1) == -1
    events.put("ended", "a probe that hung")
