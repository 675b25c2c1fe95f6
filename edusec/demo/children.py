"""Processes of `edusec up`: they write to a log file each, and never outlive the process that started them."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from edusec.exits import ExitCode, Stop
from edusec.lang import t

_PR_SET_PDEATHSIG = 1
_LOG_TAIL = 12
_LOG_LIMIT = 4 << 20
_STOP_SECONDS = 20.0
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """One module of ours (`collector`, `agent`) running as a process of its own."""

    def __init__(self, module: str, words: Sequence[str], log: Path) -> None:
        """Start `python -P -m module words...`; its output is added to the log."""
        self.module, self.log = module, log
        parent = os.getpid()

        def tie_to_parent() -> None:
            # The kernel sends this when the parent dies, however it dies; one that is gone already is noticed here.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command(module, words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for us alone: we stop the agent first, then the collector.
                start_new_session=True,
                preexec_fn=tie_to_parent,  # noqa: PLW1509 (no thread runs when children are started)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    def require_alive(self) -> None:
        """Raise Stop with the end of its log when it has ended."""
        code = self._popen.poll()
        if code is not None:
            raise Stop(
                t(
                    f"{self.module} 进程意外退出（代码 {code}）；日志 {self.log}:\n{self._tail()}",
                    f"the {self.module} process ended unexpectedly (code {code}); from {self.log}:\n{self._tail()}",
                ),
                ExitCode.PARTIAL,
            )

    def stop(self) -> None:
        """Ask it to end, and end it by force when it does not; its own children end with it."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait()

    def _tail(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL:])


def run(module: str, words: Sequence[str], *, said: str, seconds: float = 60) -> None:
    """Run one of our modules to its end, with `said` on standard input; raises Stop with its output when it fails."""
    try:
        done = subprocess.run(
            command(module, words),
            input=said,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            start_new_session=True,  # as above: Ctrl-C does not break it off half-way
        )
    except subprocess.TimeoutExpired:
        raise Stop(t(f"{module} 没有按时结束", f"{module} did not end in time"), ExitCode.PARTIAL) from None
    if done.returncode:
        raise Stop(done.stderr.strip() or done.stdout.strip() or f"{module}: {done.returncode}", ExitCode.PARTIAL)


def command(module: str, words: Sequence[str]) -> list[str]:
    """Give the command line that runs one of our modules with this very interpreter."""
    return [sys.executable, "-P", "-m", module, *words]
