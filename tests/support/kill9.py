"""Kills an agent and its collector over and over, and then compares what was durable with what arrived.

An observation counts as durable once it was seen in the spool from outside; each has a number of its own (the test
probe `counting`). At the end everything durable must be in the collector's store, exactly once.
"""

import contextlib
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.support.gateway import Gateway
from tests.support.processes import Running, wait_until

TASKS = "processes = 3\n[spool]\nmax_bytes = 16777216\n" + "".join(
    f'[[task]]\nname = "c{number}"\nprobe = "counting"\ninterval = 1\n' for number in range(3)
)


class Collector(Protocol):
    """The far side, however it is made."""

    def start(self) -> None:
        """Start it, if it does not run."""

    def kill(self) -> None:
        """End it as a power cut would."""

    def numbers(self) -> list[str]:
        """Give the numbers of all observations in its store; it must run."""


@dataclass(slots=True)
class Siege:
    """What was seen during the kills."""

    gateway: Gateway
    collector: Collector
    random: Random
    durable: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    agent_kills: int = 0
    collector_kills: int = 0

    def run(self, rounds: int) -> None:
        """Kill the agent once a round, and the collector about every second round; ends with both at work."""
        self.collector.start()
        up = True
        for number in range(rounds):
            agent = self.gateway.run("--now", ready=None)
            with self._watched():
                if number % 2:
                    time.sleep(self.random.uniform(0.1, 1.2))  # wherever that is in its start or its work
                else:
                    self._wait_for_news()
                    time.sleep(self.random.uniform(0.0, 0.5))
                if self.random.random() < 0.5:
                    if up:
                        self.acknowledged.update(self.collector.numbers())
                        self.collector.kill()
                        self.collector_kills += 1
                    else:
                        self.collector.start()
                    up = not up
                    time.sleep(self.random.uniform(0.0, 1.0))
            agent.kill()
            self.agent_kills += 1
            self.durable.update(self._spooled())
        if not up:
            self.collector.start()

    def settle(self) -> Counter[str]:
        """Let an agent deliver all it has, end it, and give how often each number is in the collector's store."""
        agent: Running = self.gateway.run("--now")
        wait_until(lambda: self.durable <= set(self.collector.numbers()), "all that was durable arrives", seconds=60)
        assert agent.terminate() == 0
        self.durable.update(self._spooled())
        assert not self._spooled(), "an orderly end delivers what is left"
        return Counter(self.collector.numbers())

    def _wait_for_news(self) -> None:
        known = len(self.durable)
        wait_until(lambda: len(self.durable) > known, "something new is durable")

    def _spooled(self) -> list[str]:
        return self.gateway.spooled(lambda observation: str(observation["values"]["number"]))

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Look into the spool all the while: what is there for a moment only is durable too."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                with contextlib.suppress(OSError, sqlite3.Error, ValueError, KeyError, zlib.error):
                    self.durable.update(self._spooled())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def check(siege: Siege, arrived: Counter[str], *, at_least: int) -> None:
    """Nothing durable or acknowledged is missing, and nothing is there twice; `at_least` so many were there at all."""
    assert siege.durable - set(arrived) == set()
    assert siege.acknowledged - set(arrived) == set()
    assert [number for number, times in arrived.items() if times > 1] == []
    assert len(arrived) >= at_least, "too little happened for the test to mean something"
