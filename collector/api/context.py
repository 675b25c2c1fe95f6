"""What every handler of the HTTP interface works with, and the bounds of how much work waits at once."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, cast

from litestar.connection import ASGIConnection

from collector.api.failures import Failures
from collector.errors import Busy
from collector.memory.board import Board
from collector.metrics.exposition import Metrics
from collector.process.config import Limits
from collector.process.journal import Once
from collector.running import Running
from wire.endpoint import Endpoint
from wire.text import Text

P = ParamSpec("P")
R = TypeVar("R")
Unless = Callable[[], bool]

STATE_KEY = "edusec"
RETRY_SECONDS = 5.0
PULSE_SECONDS = 0.25
DRAIN_SECONDS = 1.0
"""For how long a request may still arrive once the collector is closing; one that is held is answered at once."""


class Pool:
    """A few threads for calls that block, and a bound on how many calls wait for them."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        """Start no thread before the first call."""
        self._name, self._waiting = name, waiting
        self._inside = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call in a thread; raises Busy at once when too many wait."""
        if self._inside >= self._waiting:
            raise Busy(
                Text(
                    f"已有 {self._waiting} 个请求（{self._name}）在等待",
                    f"{self._waiting} requests of {self._name} are waiting already",
                ),
                RETRY_SECONDS,
            )
        self._inside += 1
        future = self._threads.submit(call, *args, **kwargs)
        future.add_done_callback(lambda _: self._out())
        # Shielded: a request that is given up must not cancel what a thread has begun.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Let the calls that run finish, forget those that wait."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _out(self) -> None:
        self._inside -= 1


class Pulse:
    """Whether the store is well: asked once for all who ask at a time, since anybody may ask, without any token."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._asked: asyncio.Task[bool] | None = None
        self._since = 0.0

    async def well(self, ask: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Give what `ask` says, or what it said a moment ago; raises what it raises."""
        now = asyncio.get_running_loop().time()
        if self._asked is None or (self._asked.done() and now - self._since >= PULSE_SECONDS):
            self._asked, self._since = asyncio.create_task(ask()), now
        return await asyncio.shield(self._asked)


class Drain:
    """Tells requests that are still arriving, or are held, that the collector is closing."""

    def __init__(self) -> None:
        """Start open."""
        self.closing = False
        self._grace: dict[asyncio.Timeout, float] = {}

    def enter(self, timeout: asyncio.Timeout, grace: float = DRAIN_SECONDS) -> None:
        """Note a request that waits under a timeout, and the seconds that are left to it once all closes."""
        self._grace[timeout] = grace

    def leave(self, timeout: asyncio.Timeout) -> None:
        """Forget a request that waits no more."""
        self._grace.pop(timeout, None)

    def close(self) -> None:
        """Shorten the time of all that wait."""
        self.closing = True
        now = asyncio.get_running_loop().time()
        for timeout, grace in self._grace.items():
            if not timeout.expired():
                soon = now + grace
                timeout.reschedule(min(timeout.when() or soon, soon))


class Held:
    """Requests that wait for news: one for each agent and few for people, so that some connections always stay free."""

    def __init__(self, most: int) -> None:
        """Allow so many."""
        self._most = most
        self._waiting: dict[object, asyncio.Event] = {}

    def full(self) -> bool:
        """Tell whether no more may wait."""
        return len(self._waiting) >= self._most

    async def wait(self, who: object, board: Board, key: str, drain: Drain, seconds: float, *, unless: Unless) -> None:
        """Wait until there is news of a key, until the time is over, or until the same one asks anew.

        `unless` is asked once the news is listened for: True does not wait at all.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        if (before := self._waiting.get(who)) is not None:
            before.set()  # its line is dead, or it is another one under the same name
        self._waiting[who] = news

        def ring() -> None:
            loop.call_soon_threadsafe(news.set)

        try:
            with board.listening(key, ring):
                async with asyncio.timeout(0 if drain.closing or unless() else seconds) as timeout:
                    drain.enter(timeout, grace=0.0)
                    try:
                        await news.wait()
                    finally:
                        drain.leave(timeout)
        except TimeoutError:
            pass
        finally:
            if self._waiting.get(who) is news:
                del self._waiting[who]


@dataclass(frozen=True, slots=True)
class Context:
    """The running collector as the handlers see it."""

    core: Running
    limits: Limits
    ca_pem: bytes
    ca_digest: str
    scrape_token: str
    metrics: Metrics
    clock: Callable[[], float]
    own_target: Endpoint
    once: Once = field(default_factory=Once)
    failures: Failures = field(default_factory=Failures)
    pulse: Pulse = field(default_factory=Pulse)
    drain: Drain = field(default_factory=Drain)
    held_agents: Held = field(init=False)
    held_people: Held = field(default_factory=lambda: Held(32))
    agents: Pool = field(default_factory=lambda: Pool("agents", 4, 256))
    people: Pool = field(default_factory=lambda: Pool("people", 4, 64))

    def __post_init__(self) -> None:
        """Let agents hold half of all connections."""
        object.__setattr__(self, "held_agents", Held(self.limits.connections // 2))

    def close(self) -> None:
        """End the threads."""
        self.agents.close()
        self.people.close()


def context_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """Give the context of the application that serves a connection."""
    return cast(Context, connection.app.state[STATE_KEY])
