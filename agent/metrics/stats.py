"""The agent's own metrics: counters in memory, written in Prometheus' text format 0.0.4. Only about itself."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.spool.sections import Counts
from wire.types import RunStatus, Section
from wire.version import VERSION

Labels = Mapping[str, str]
Sample = tuple[Labels, float]

METRICS = (
    ("edusec_build_info", "gauge", "Release of this agent, always 1."),
    ("edusec_agent_start_timestamp_seconds", "gauge", "When this agent started, seconds since 1970."),
    ("edusec_agent_probe_runs_total", "counter", "Probe runs that ended, by how they ended."),
    ("edusec_agent_probe_duration_seconds", "gauge", "How long the last run of a task took."),
    ("edusec_agent_probe_last_success_timestamp_seconds", "gauge", "When a run of a task was last done or partial."),
    ("edusec_agent_spool_bytes", "gauge", "Bytes of sections that the collector has not acknowledged."),
    ("edusec_agent_spool_limit_bytes", "gauge", "Bytes that the spool may hold."),
    ("edusec_agent_spool_sections", "gauge", "Sections that the collector has not acknowledged."),
    ("edusec_agent_spool_aside_sections", "gauge", "Sections that the collector refuses, kept aside."),
    ("edusec_agent_spool_dropped_total", "counter", "Sections dropped because the spool was full."),
    ("edusec_agent_uplink_attempts_total", "counter", "Attempts to deliver a report, by result."),
    (
        "edusec_agent_uplink_last_success_timestamp_seconds",
        "gauge",
        "When a report was last acknowledged; 0 for never.",
    ),
    ("edusec_agent_clock_skew_seconds", "gauge", "The collector's clock minus this machine's, at the last report."),
    ("edusec_agent_policy_info", "gauge", "Digest of the policy in force, always 1."),
    (
        "edusec_agent_scope_refusals_total",
        "counter",
        "Targets that probes were refused, being outside the scope or quiet.",
    ),
)
_MOST_RUNS = 1024
"""Tasks, by status, that are counted apart; the collector may hand down ever new names."""
_OTHERS = "(others)"
_GOOD = (RunStatus.DONE, RunStatus.PARTIAL)


@dataclass(slots=True)
class Stats:
    """What the threads of the daemon count; every method may be called from any of them."""

    started: float = field(default_factory=time.time)
    policy: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _runs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _durations: dict[str, float] = field(default_factory=dict)
    _successes: dict[str, float] = field(default_factory=dict)
    _attempts: Counter[str] = field(default_factory=Counter)
    _refusals: int = 0
    _last_success: float = 0.0
    _skew: float | None = None

    def ran(self, section: Section, seconds: float, refusals: int) -> None:
        """Count a probe run by its section: how long it took, and how many targets the scope refused."""
        task, status = section.name, section.status
        with self._lock:
            key = (task, section.probe, status.value)
            if key not in self._runs and len(self._runs) >= _MOST_RUNS:
                key = (_OTHERS, _OTHERS, status.value)
            self._runs[key] += 1
            self._durations[task] = seconds
            self._refusals += refusals
            if status in _GOOD:
                self._successes[task] = section.finished

    def attempt(self, result: str) -> None:
        """Count an attempt of the uplink."""
        with self._lock:
            self._attempts[result] += 1

    def accepted(self, when: float, skew: float | None) -> None:
        """Note an acknowledged report."""
        with self._lock:
            self._last_success = when
            self._skew = skew

    def keep(self, tasks: Iterable[str]) -> None:
        """Forget the last runs of tasks that are gone; counters stay, as counters must."""
        wanted = set(tasks)
        with self._lock:
            for known in (self._durations, self._successes):
                for task in known.keys() - wanted:
                    del known[task]

    def samples(self, counts: Counts | None) -> dict[str, list[Sample]]:
        """Give every metric's samples; without `counts` those of the spool are left out."""
        with self._lock:
            found: dict[str, list[Sample]] = {
                "edusec_build_info": [({"version": VERSION}, 1)],
                "edusec_agent_start_timestamp_seconds": [({}, self.started)],
                "edusec_agent_probe_runs_total": [
                    ({"task": task, "probe": probe, "status": status}, number)
                    for (task, probe, status), number in sorted(self._runs.items())
                ],
                "edusec_agent_probe_duration_seconds": [({"task": t}, n) for t, n in sorted(self._durations.items())],
                "edusec_agent_probe_last_success_timestamp_seconds": [
                    ({"task": task}, number) for task, number in sorted(self._successes.items())
                ],
                "edusec_agent_uplink_attempts_total": [({"result": r}, n) for r, n in sorted(self._attempts.items())],
                "edusec_agent_uplink_last_success_timestamp_seconds": [({}, self._last_success)],
                "edusec_agent_clock_skew_seconds": [] if self._skew is None else [({}, self._skew)],
                "edusec_agent_policy_info": [({"digest": self.policy}, 1)],
                "edusec_agent_scope_refusals_total": [({}, self._refusals)],
            }
        if counts is not None:
            found["edusec_agent_spool_bytes"] = [({}, counts.bytes)]
            found["edusec_agent_spool_limit_bytes"] = [({}, counts.limit)]
            found["edusec_agent_spool_sections"] = [({}, counts.sections + counts.aside)]
            found["edusec_agent_spool_aside_sections"] = [({}, counts.aside)]
            found["edusec_agent_spool_dropped_total"] = [({}, counts.dropped)]
        return found


def exposition(samples: Mapping[str, Iterable[Sample]]) -> str:
    """Write samples as Prometheus reads them; a metric without samples is left out."""
    lines = []
    for name, kind, meaning in METRICS:
        found = list(samples.get(name, ()))
        if found:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(labels)} {value!r}" for labels, value in found]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
