"""The runs of tasks that are under way, each in a thread of its own."""

import threading
import time
from collections.abc import Callable

from agent.config import TaskConfig
from agent.errors import SpoolError
from agent.log import Problems
from agent.metrics.stats import Stats
from agent.probing.job import Job
from agent.probing.runner import Run, perform
from agent.spool.sections import Spool
from wire.types import RunStatus


class TaskRuns:
    """Starts runs and keeps what comes of them: a run has ended once its section is in the spool."""

    def __init__(self, stats: Stats, problems: Problems, ended: Callable[[str], None]) -> None:
        """Run nothing yet; `ended` is told the task's name, from the thread of the run."""
        self._stats, self._problems, self._ended = stats, problems, ended
        self._running: dict[str, threading.Thread] = {}
        self._stop = threading.Event()

    def __len__(self) -> int:
        """Count the runs under way."""
        return len(self._running)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks that run."""
        return tuple(self._running)

    def start(self, task: TaskConfig, job: Callable[[], Job], spool: Spool) -> None:
        """Begin a run; `job` is called in its thread."""
        thread = threading.Thread(target=self._run, args=(task, job, spool), name=f"task {task.name}", daemon=True)
        self._running[task.name] = thread
        thread.start()

    def tidy(self, name: str) -> None:
        """Forget a run that has ended."""
        self._running.pop(name).join()

    def stop(self) -> None:
        """Ask all runs to end; what they found until now is kept."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for all runs, together no longer than this: one may hang in a look-up, and has nothing to lose then."""
        deadline = time.monotonic() + seconds
        for thread in self._running.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, task: TaskConfig, job: Callable[[], Job], spool: Spool) -> None:
        try:
            started = time.monotonic()
            run = perform(job(), stop=self._stop)
            self._keep(task, run, time.monotonic() - started, spool)
            self._problems.clear("processes")
        except OSError as error:
            self._problems.report("processes", f"no probe can be started: {error.strerror}", "error")
        except SpoolError as error:
            self._problems.report("spool", f"{error}; what cannot be kept is counted as dropped", "error")
        finally:
            self._ended(task.name)

    def _keep(self, task: TaskConfig, run: Run, seconds: float, spool: Spool) -> None:
        section = run.packed.section
        about = f"task {task.name}"
        if section.status is RunStatus.CANNOT_RUN and self._stop.is_set():
            return  # it was only being stopped, which is no fact about the unit
        kept = spool.add(run.packed)
        self._stats.ran(section, seconds, run.refusals)
        if not kept:
            self._problems.report(
                "spool", "the spool is full of what must not be dropped; raise [spool] max_bytes", "error"
            )
        if section.status in (RunStatus.DONE, RunStatus.PARTIAL):
            self._problems.clear(about, "the probe runs again")
        else:
            message = f"{section.status.value}: {section.reason}"
            self._problems.report(about, message, probe=task.probe, stderr=run.stderr.strip() or None)
