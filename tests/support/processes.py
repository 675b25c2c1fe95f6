"""Processes that a test starts: ready before use, ended by their own process group, always reaped."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from probes.kit.raw.helper.process import NAME
from tests.support.netns import Namespace
from tests.support.ports import listens

Ready = int | str | re.Pattern[str] | Callable[[], bool] | None


class NotReady(AssertionError):
    """A process ended, or its time was over, before it was ready; the message carries its output."""


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Wait for a condition, asked again every few milliseconds; a generous limit, never a measurement."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise NotReady(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def open_files() -> set[str]:
    """What this process holds open, each by a name that no other has; what others leave late may go in between."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{entry.name} {entry.readlink()}")
    return found


def helpers_of(parent: int) -> list[int]:
    """Process ids of the SYN engine's helpers that a process started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            named, _, rest = entry.read_text(encoding="utf-8").rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == parent and named.endswith(f"({NAME}"):
            found.append(int(entry.parent.name))
    return found


class Running:
    """One started process; its standard output and error go to files, so it never blocks on a full pipe."""

    def __init__(self, argv: Sequence[str], folder: Path, *, env: Mapping[str, str] | None, cwd: Path | None) -> None:
        """Start argv in a process group of its own, with nothing on standard input."""
        self.argv = list(argv)
        folder.mkdir(parents=True, exist_ok=True)
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status once it ended (negative: the signal), None while it runs."""
        return self._popen.poll()

    @property
    def stdout(self) -> str:
        """What it wrote to standard output so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self, ready: Ready, *, seconds: float = 60) -> None:
        """Wait for a listening TCP port (int), a pattern in the output (str, compiled) or a condition (callable)."""
        if ready is None:
            return
        if isinstance(ready, int):
            port = ready

            def is_ready() -> bool:
                return listens(self.pid, port)
        elif isinstance(ready, str | re.Pattern):
            pattern = re.compile(ready)

            def is_ready() -> bool:
                return bool(pattern.search(self.stdout) or pattern.search(self.stderr))
        else:
            is_ready = ready

        def ready_or_dead() -> bool:
            # A look after the end as well: a short program may have said its line and left.
            ended = self.returncode is not None
            if is_ready():
                return True
            if ended:
                raise NotReady(f"ended before it was ready\n{self._story()}")
            return False

        try:
            wait_until(ready_or_dead, f"{self.argv[0]} ready", seconds=seconds)
        except NotReady as error:
            raise NotReady(f"{error}\n{self._story()}") from None

    def wait(self, *, seconds: float = 100) -> int:
        """Exit status of the process when it ends by itself (negative: the signal)."""
        try:
            return self._popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise NotReady(f"still running after {seconds:g} s\n{self._story()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its children; harmless when it has ended."""
        self._popen.send_signal(number)

    def terminate(self, *, seconds: float = 60) -> int:
        """Ask it to end (SIGTERM) and return its exit status; a process that does not obey fails the test."""
        self.send(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def kill(self) -> int:
        """End it and whatever it started in its process group, as a power cut would, and reap it."""
        # The kernel keeps the number while its group lives; a process that has it after ours was reaped is a stranger.
        if self.returncode is None or not Path("/proc", str(self.pid)).exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait(timeout=30)

    def _story(self) -> str:
        return f"{self.argv!r}: {self.returncode=}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Processes:
    """Starts processes for one test and ends all of them."""

    def __init__(self, folder: Path) -> None:
        """Keep the output of the processes under a folder."""
        self._folder = folder
        self._all: list[Running] = []

    def __call__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        ready: Ready = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        netns: Namespace | None = None,
        seconds: float = 60,
    ) -> Running:
        """Start argv, inside a namespace if one is given, and return once it is ready.

        env replaces the whole environment when given. ready: see Running.wait_ready.
        """
        full = [*(netns.prefix if netns else ()), *(os.fspath(part) for part in argv)]
        running = Running(full, self._folder / str(len(self._all)), env=env, cwd=cwd)
        self._all.append(running)
        running.wait_ready(ready, seconds=seconds)
        return running

    def close(self) -> None:
        """End what still runs, last started first: politely, then by force, each by its own process group."""
        for running in reversed(self._all):
            if running.returncode is None:
                running.send(signal.SIGTERM)
                with contextlib.suppress(NotReady):
                    running.wait(seconds=5)
            running.kill()
