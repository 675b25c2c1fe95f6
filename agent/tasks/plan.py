"""Which tasks run, with which scope, and the job that each of their runs is."""

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

from agent.config import DEFAULT_TASKS, Config, TaskConfig
from agent.files import forbidden
from agent.log import Problems
from agent.policy import Kept
from agent.probing.job import Job
from probes.kit.errors import ScopeError
from probes.kit.scope.file import load_scope
from probes.kit.scope.model import Scope
from wire.codec import encode
from wire.types import Policy, Responder, ScopeEntry

RESPONDER_PROBE = "bandwidth"
"""The one probe that may reach the collector's responder, whatever the scope says of it."""
SHORTEST_TIMEOUT = 30.0
LONGEST_TIMEOUT = 3600.0


def effective(config: Config, policy: Policy) -> dict[str, TaskConfig]:
    """Give the tasks by name: the collector's, with the local ones before those of the same name; else the defaults."""
    handed_down = [
        TaskConfig(task.name, task.probe, task.interval, task.options, handed_down=True) for task in policy.tasks
    ]
    chosen = {task.name: task for task in (*handed_down, *config.tasks)}
    return chosen or {task.name: task for task in DEFAULT_TASKS}


def timeout(task: TaskConfig) -> float:
    """Seconds that a run may take: most of the interval, if the configuration does not say."""
    return task.timeout or min(LONGEST_TIMEOUT, max(SHORTEST_TIMEOUT, 0.8 * task.interval))


class ScopeKeeper:
    """Gives the scope of the moment: `edusec scope add` counts at once, without a restart of the agent."""

    def __init__(self, path: Path, problems: Problems) -> None:
        """Read nothing yet."""
        self.path = path
        self._problems = problems
        self._seen: tuple[int, ...] | None = None
        self._scope = Scope()
        self._lock = threading.Lock()

    def current(self) -> Scope:
        """Give the scope; this machine only, as long as the file cannot be read: what is unsure gets no packet."""
        seen = self._signature()
        with self._lock:
            if seen != self._seen:
                self._seen = seen
                self._scope = self._load()
            return self._scope

    def _signature(self) -> tuple[int, ...]:
        day = int(time.time() // 86_400)  # entries end, so each day is another one
        try:
            found = self.path.stat()
        except OSError as error:
            return (day, error.errno or 0)
        return (day, found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)

    def _load(self) -> Scope:
        try:
            found = load_scope(self.path)
        except ScopeError as error:
            message = f"{error}; until that is mended only this machine itself is probed"
            self._problems.report("scope", message, "error")
            return Scope(file=str(self.path))
        self._problems.clear("scope", "the scope file is in force")
        return Scope(found.entries, str(self.path))


def job_of(task: TaskConfig, config: Config, kept: Kept, scope: Scope) -> Job:
    """Make the job of a run; may look up the collector's name, so not in the supervisor's thread."""
    job = Job(
        name=task.name,
        probe=task.probe,
        seconds=timeout(task),
        options=task.options,
        scope=scope.entries,
        scope_file=scope.file,
        policy_file=kept.file,
        limits=config.limits,
        refused=forbidden(task.options, config.files) if task.handed_down else "",
    )
    if task.probe == RESPONDER_PROBE and kept.head.responder is not None:
        return _towards(job, kept.head, kept.head.responder)
    return job


def _towards(job: Job, policy: Policy, responder: Responder) -> Job:
    """Let a job reach the responder, by address: a resolver may be out of scope, and a name may lead elsewhere."""
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}.get(str(job.options.get("family")), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(responder.host, responder.port, family, socket.SOCK_STREAM)
    except OSError:
        return job  # the probe will say that it cannot be resolved
    address = str(found[0][4][0])
    why = "bandwidth responder of this agent's own collector"
    entry = ScopeEntry(address, "collector", why, None, str(responder.port))
    there = replace(policy, responder=replace(responder, host=address))
    return replace(job, scope=(*job.scope, entry), policy=encode(there), policy_file=None)
