"""A few threads over a list of targets, each with its part of the Net: waiting for one site keeps no other waiting."""

import ctypes
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from probes.kit.sending.net import Net

T = TypeVar("T")
R = TypeVar("R")

_STACK = 512 << 10
_M_ARENA_MAX = -8
"""mallopt(3) of glibc; musl has neither arenas nor this call."""


def work(net: Net, targets: Sequence[T], workers: int, look: Callable[[Net], Callable[[T], R]]) -> Iterator[R]:
    """Give results as they come, in no particular order; `look` is called once in each thread with its own Net.

    An error in a thread ends the run and is raised here. Closing the iterator lets each thread end its present target.
    """
    count = max(1, min(workers, len(targets)))
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[R | None, BaseException | None, bool]] = queue.SimpleQueue()
    for target in targets:
        todo.put(target)
    stop = threading.Event()

    def run(part: Net) -> None:
        failure: BaseException | None = None
        try:
            each = look(part)
            while not stop.is_set():
                try:
                    target = todo.get_nowait()
                except queue.Empty:
                    break
                done.put((each(target), None, False))
        except BaseException as error:  # noqa: BLE001 - raised again where the results are taken
            failure = error
        done.put((None, failure, True))

    parts = net.share(count)
    with small_threads():
        threads = [threading.Thread(target=run, args=(part,), daemon=True) for part in parts]
        for thread in threads:
            thread.start()
    running = count
    try:
        while running:
            result, failure, ended = done.get()
            running -= ended
            if failure is not None:
                raise failure
            if not ended:
                yield result  # type: ignore[misc]
    finally:
        stop.set()
        for thread, part in zip(threads, parts, strict=True):
            thread.join()
            net.absorb(part)


class small_threads:  # noqa: N801 (used like a function)
    """Keep threads small: a probe's address space is limited, and glibc would set aside 64 MB for each thread."""

    def __enter__(self) -> None:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
        self._before = threading.stack_size(_STACK)

    def __exit__(self, *_: object) -> None:
        threading.stack_size(self._before)
