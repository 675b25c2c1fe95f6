"""What tests of probes share: a Net with a scope, and a probe run to its end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from probes.kit.contract import Context, Progress, Silent, Words
from probes.kit.options import build
from probes.kit.registry import load
from probes.kit.scope.model import Scope
from probes.kit.sending.net import Net
from probes.kit.sending.pacing import Pace
from wire.coverage import joined
from wire.types import Coverage, Observation, Policy, ScopeEntry, Skipped, Target

LAB = ("198.18.0.0/15", "2001:db8::/32")
NO_POLICY = Policy("", "", "", 300)


def today() -> date:
    return datetime.now(UTC).date()


def entry(value: str, ports: str = "", days: int = 30) -> ScopeEntry:
    return ScopeEntry(value, "tester", "test", today() + timedelta(days), ports)


def net_of(*values: str | ScopeEntry, rate: float = 1e6, **caps: Any) -> Net:
    """A Net for these prefixes and domains, and this machine; fast unless told otherwise."""
    entries = [value if isinstance(value, ScopeEntry) else entry(value) for value in values]
    return Net(Scope(entries), pace=Pace(rate), **caps)


@dataclass
class Run:
    """All that a probe yielded: its last words, and its coverage in as few lines as it takes."""

    observations: list[Observation] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    silent: list[Coverage] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    def open(self) -> set[tuple[str, int]]:
        return {(item.target.name, item.target.port or 0) for item in self.observations if item.outcome == "open"}

    def of(self, name: str, method: str = "") -> Observation:
        found = [item for item in self.observations if item.target.name == name and method in ("", item.method)]
        assert len(found) == 1, (name, method, found)
        return found[0]

    def targets(self) -> list[Target]:
        return [item.target for item in self.observations]


def run(name: str, given: Mapping[str, Any], net: Net, *, policy: Policy = NO_POLICY, seconds: float = 60) -> Run:
    """Run a probe with options as a configuration gives them."""
    probe = load(name)
    words, covered, silent = Words(), list[Coverage](), list[Silent]()
    result = Run(words.all)
    places: dict[type, Callable[[Any], None]] = {
        Observation: words.add,
        Coverage: covered.append,
        Silent: silent.append,
        Skipped: result.skipped.append,
        Progress: result.progress.append,
    }
    for item in probe.run(build(probe, given), Context(net, policy, time.monotonic() + seconds)):
        places[type(item)](item)
    result.coverage, result.silent = list(joined(covered)), list(joined(item.area for item in silent))
    return result
