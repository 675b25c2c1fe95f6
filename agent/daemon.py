"""The supervisor: starts what is due, keeps what comes of it, and ends in good order.

Threads: this one (schedule, signals, watchdog), one for each probe that runs, one for the uplink, one for the metrics.
Everything that is worth keeping goes through the spool before anything else is done with it.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent import policy as policies
from agent import state
from agent.check import check_tasks
from agent.config import Config, TaskConfig, load
from agent.errors import ConfigError, SpoolError
from agent.events import Events
from agent.log import Problems, log
from agent.metrics.door import MetricsDoor
from agent.metrics.stats import Stats
from agent.notify import notify, watchdog_interval
from agent.orders.desk import OrderDesk
from agent.orders.run import Surroundings, section_name
from agent.probing.job import Job
from agent.spool.sections import Spool
from agent.tasks import plan
from agent.tasks.runs import TaskRuns
from agent.tasks.schedule import Schedule
from agent.uplink.identity import Identity
from agent.uplink.postman import Courier, Postman
from agent.uplink.reports import Hooks, Uplink
from wire.orders import Order
from wire.types import Policy, Report
from wire.version import VERSION

TICK = 30.0
"""The longest sleep of the supervisor; see schedule.GAP."""
HOLD_SECONDS = 15.0
"""A new agent waits so long for its first policy, so that its first runs already know the whitelist."""
FIRST_REPORT_SECONDS = 10.0
FLUSH_SECONDS = 5.0
END_SECONDS = 15.0
ONCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Manner:
    """What the command line asked for, also of a configuration that is read again.

    `now` starts all tasks at once and reports each result; `once` also ends after one round.
    """

    config_path: Path | None = None
    state: Path | None = None
    now: bool = False
    once: bool = False


class Daemon:
    """One agent at work in a state folder that this process holds."""

    def __init__(self, config: Config, identity: Identity, manner: Manner) -> None:
        """Prepare; nothing runs before `run`."""
        self._config = config
        self._identity = identity
        self._manner = manner
        self._events = Events()
        self._stats = Stats()
        self._problems = Problems()
        self._scope = plan.ScopeKeeper(config.scope, self._problems)
        self._kept, problem = policies.load(config.state)
        if problem:
            self._problems.report("policy", f"{problem}; the collector will be asked for it again")
        self._stats.policy = self._kept.head.digest
        self._tasks = plan.effective(config, self._kept.head)
        self._schedule = Schedule(self._intervals(), time.monotonic(), random)
        self._runs = TaskRuns(self._stats, self._problems, lambda name: self._events.put("ended", name))
        self._door = MetricsDoor(self._stats, self._problems)
        self._orders: OrderDesk | None = None
        self._unfinished = set(self._tasks) if manner.once else set()
        self._undelivered = manner.once
        self._hold = 0.0
        self._stopping = False

    def run(self) -> int:
        """Work until told to stop; gives the exit code (5: one round was asked for and could not be delivered)."""
        with self._events.hearing(signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            spool = self._open_spool()
            if spool is None:
                return 0
            with contextlib.closing(spool):
                postman = self._start_uplink(spool)
                try:
                    self._start_orders(spool, postman)
                    self._door.open(self._config.metrics, spool)
                    notify("READY=1", f"STATUS=reports for {self._identity.unit} to {self._identity.url}")
                    log(
                        "info",
                        "the agent works",
                        unit=self._identity.unit,
                        collector=self._identity.url,
                        version=VERSION,
                    )
                    code = self._supervise(spool, postman)
                finally:
                    notify("STOPPING=1")
                    self._end_probes()
                    postman.stop(FLUSH_SECONDS)
                    self._door.close()
        log("info", "the agent has stopped")
        return code

    # ---- the loop

    def _supervise(self, spool: Spool, postman: Postman) -> int:
        beat = watchdog_interval()
        self._hold = time.monotonic() + (HOLD_SECONDS if not self._kept.head.digest else 0.0)
        if self._manner.now or self._manner.once:
            self._schedule.hasten(self._tasks, time.monotonic())
        deadline = float("inf")
        while not self._stopping:
            if not postman.alive:
                log("error", "the uplink has failed; the agent ends, so that it can be started anew")
                return 1
            if self._orders is not None and not self._orders.alive:
                self._problems.report("orders", "what asks for orders has failed; restart the agent", "error")
            now = time.monotonic()
            self._start_due(spool, now)
            if beat is not None:
                notify("WATCHDOG=1")
            if self._door.due(now):
                self._door.open(self._config.metrics, spool)
            if self._manner.once and not self._unfinished and not self._runs:
                if not spool.waiting() and not self._undelivered:
                    return 0
                deadline = min(deadline, now + ONCE_SECONDS)
                if now > deadline:
                    return 5
            self._take_event(spool, postman, self._sleep(now, beat))
        return 0

    def _sleep(self, now: float, beat: float | None) -> float:
        due = self._schedule.wait(now, self._held_back()) if len(self._runs) < self._config.processes else None
        if due is not None and now < self._hold:
            due = max(due, self._hold - now)
        once = 0.2 if self._manner.once else None
        return min(seconds for seconds in (TICK, due, beat, once) if seconds is not None)

    def _take_event(self, spool: Spool, postman: Postman, seconds: float) -> None:
        kind, value = self._events.get(seconds) or ("", None)
        if kind == "ended" and isinstance(value, str):
            self._runs.tidy(value)
            self._schedule.finish(value, time.monotonic())
            self._unfinished.discard(value)
            self._undelivered = self._manner.once
            if self._manner.now or self._manner.once:
                postman.hurry()
        elif kind == "attempted":
            self._hold = 0.0
            self._undelivered = False
        elif kind == "order" and self._orders is not None:
            self._orders.tidy()
        elif kind == "policy":
            self._replan()
        elif kind == "signal" and value == signal.SIGHUP:
            self._reload(spool)
        elif kind == "signal":
            self._stopping = True

    # ---- probes

    def _start_due(self, spool: Spool, now: float) -> None:
        if now < self._hold:
            return
        if self._orders is not None:
            self._orders.start_due(disturbed=any(self._measures(name) for name in self._runs.names))
        while len(self._runs) < self._config.processes:
            name = self._schedule.due(now, self._held_back())
            if name is None:
                return
            if self._manner.once and name not in self._unfinished:
                # It has had its run; nothing else is to start.
                self._schedule.start(name, now)
                self._schedule.finish(name, now)
                continue
            self._schedule.start(name, now)
            task = self._tasks[name]
            self._runs.start(task, partial(self._job, task, self._config, self._kept), spool)

    def _job(self, task: TaskConfig, config: Config, kept: policies.Kept) -> Job:
        return plan.job_of(task, config, kept, self._scope.current())

    def _measures(self, name: str) -> bool:
        """Tell whether a task measures what a scan beside it would disturb."""
        return name in self._tasks and self._tasks[name].probe == plan.RESPONDER_PROBE

    def _held_back(self) -> frozenset[str]:
        if self._orders is None or not self._orders.busy:
            return frozenset()
        return frozenset(name for name in self._tasks if self._measures(name))

    def _end_probes(self) -> None:
        self._runs.stop()
        if self._orders is not None:
            self._orders.stop()
        self._runs.join(END_SECONDS)

    # ---- the collector

    def _start_uplink(self, spool: Spool) -> Postman:
        courier = Courier(self._identity, self._config.state)
        hooks = Hooks(self._envelope, self._interval, self._adopt_policy, random, self._orders_wait)
        uplink = Uplink(spool, courier, hooks, self._stats, self._problems, self._identity.url)
        at_once = self._manner.now or self._manner.once or not self._kept.head.digest
        first = 0.0 if at_once else random() * min(FIRST_REPORT_SECONDS, self._interval())
        postman = Postman(uplink, courier, first, lambda: self._events.put("attempted"))
        postman.start()
        return postman

    def _start_orders(self, spool: Spool, postman: Postman) -> None:
        if self._manner.once:
            return

        def job(order: Order) -> Job:
            task = TaskConfig(section_name(order), order.probe, order.time_limit, order.options, order.time_limit)
            return self._job(task, self._config, self._kept)

        around = Surroundings(
            self._identity,
            spool,
            self._stats,
            self._problems,
            random,
            config=lambda: self._config,
            job=job,
            wake=lambda: self._events.put("order"),
            deliver=postman.hurry,
        )
        try:
            self._orders = OrderDesk(around)
        except SpoolError as error:
            self._problems.report("spool", f"{error}; no orders are taken", "error")
            return
        self._orders.start()

    def _orders_wait(self) -> None:
        if self._orders is not None:
            self._orders.hurry()

    def _envelope(self) -> Report:
        return Report(
            agent=self._identity.agent,
            spool="",
            sequence=1,
            batch="",
            created=time.time(),
            software=f"edusec/{VERSION}",
            sections=(),
            scope=self._scope.current().entries,
            policy=self._kept.head.digest,
            metrics_url=self._door.url(self._config),
        )

    def _interval(self) -> float:
        return self._config.report_interval or self._kept.head.report_interval

    def _adopt_policy(self, head: Policy) -> None:
        try:
            self._kept = policies.adopt(self._config.state, head)
        except OSError as error:
            message = f"a new policy cannot be stored ({error.strerror}); the one before stays in force"
            self._problems.report("policy", message, "error")
            return
        self._problems.clear("policy", "the policy is stored")
        self._stats.policy = head.digest
        log("info", "a new policy is in force", digest=head.digest, unit=head.unit)
        self._events.put("policy")

    # ---- settings

    def _intervals(self) -> dict[str, float]:
        return {name: task.interval for name, task in self._tasks.items()}

    def _replan(self) -> None:
        before = self._tasks
        self._tasks = plan.effective(self._config, self._kept.head)
        self._schedule.replace(self._intervals(), time.monotonic())
        self._stats.keep(self._tasks)
        added = self._tasks.keys() - before.keys()
        if self._manner.now or self._manner.once:
            self._schedule.hasten(added, time.monotonic())
        if self._manner.once:
            self._unfinished = (self._unfinished & self._tasks.keys()) | added

    def _reload(self, spool: Spool) -> None:
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            fresh = load(self._manner.config_path)
            check_tasks(fresh)
            fresh = replace(fresh, state=self._manner.state or fresh.state)
        except ConfigError as error:
            for problem in error.problems:
                log("error", problem, about="config")
            log("error", "the configuration has faults; the one before stays in force", about="config")
        else:
            fixed = (self._config.state, self._config.spool_bytes)
            if fixed != (fresh.state, fresh.spool_bytes):
                log("warning", "agent.state and spool.max_bytes take effect at the next start", about="config")
            moved = fresh.metrics != self._config.metrics
            self._config = fresh
            if self._scope.path != fresh.scope:
                self._scope = plan.ScopeKeeper(fresh.scope, self._problems)
            self._replan()
            if moved:
                self._door.open(self._config.metrics, spool)
            self._orders_wait()
            log("info", "the configuration is in force", about="config", file=fresh.file)
        notify("READY=1")

    # ---- beginning and end

    def _open_spool(self) -> Spool | None:
        """Open the spool; while that is impossible (disk full, say), say so once and try again. None when stopped."""
        path = self._config.state / state.SPOOL
        while not self._stopping:
            try:
                spool = Spool(
                    path,
                    self._config.spool_bytes,
                    agent=self._identity.agent,
                    unit=self._identity.unit,
                    on_reset=lambda why: log("error", f"the spool could not be used: {why}", about="spool"),
                )
            except (SpoolError, OSError) as error:
                self._problems.report("spool", f"the spool cannot be opened: {error}", "error")
                notify("READY=1", "STATUS=the spool cannot be opened", "WATCHDOG=1")
                kind, value = self._events.get(min(10.0, watchdog_interval() or 10.0)) or ("", None)
                self._stopping = kind == "signal" and value != signal.SIGHUP
                continue
            self._problems.clear("spool")
            again = spool.reconsider()
            if again:
                log("info", "sections that were set aside are tried again", about="spool", sections=again)
            return spool
        return None


def random() -> float:
    """Give a number in [0, 1); the random module would cost the daemon half a megabyte."""
    return int.from_bytes(os.urandom(6), "big") / 2**48
