"""What each agent found of each IPv6 check, run by run: a result stands only after some equal ones in a row.

A run that says the same again travels as its digest alone: it counts all the same, and costs little once all settled.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network

from collector.memory.registered import spelling
from collector.memory.sections import SectionState
from collector.store.contract import Statements
from probes.kit.ipv6.ladder import FORECAST, NETWORK, REQUIRED, Standing, holding, settle
from probes.kit.ipv6.model import VERDICTS, Verdict
from wire.types import Observation, Outcome, RunStatus, TargetKind

SITE, NETWORK_PART, SELF = "site", "network", "self"
"""What a result is about: a website, a network of the unit, the gateway itself."""
COVER = "LAN-COVER"
CHECKS = frozenset(name for names in (*REQUIRED.values(), *NETWORK.values(), *FORECAST) for name in names)
_UPSERT = (
    "INSERT INTO ipv6_result (county, section, kind, key, unit, checks, pending, taken) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (county, section, kind, key) DO UPDATE SET unit = excluded.unit, checks = excluded.checks, "
    "pending = excluded.pending, taken = excluded.taken"
)

Key = tuple[str, str]
Standings = dict[str, Standing]


@dataclass(slots=True)
class Results:
    """Takes the runs of one report in; `touched` holds what stands otherwise than before."""

    statements: Statements
    known: set[int]
    """Sections that ever had such results; one too many costs a look-up, one too few a result."""
    needed: int
    unit: str
    now: float
    touched: set[Key] = field(default_factory=set)

    def take(self, state: SectionState, before: SectionState | None, observations: Iterable[Observation]) -> None:
        """Take a covering run with its body."""
        found = results_of(observations)
        if not found and state.id not in self.known:
            return
        self.known.add(state.id)
        rows = self._rows(state)
        self._revive(before, rows)
        for key in dict.fromkeys((*found, *rows)):
            if key not in found and state.status == RunStatus.DONE:
                # The whole run was about other things: this is not looked at any more.
                self._run(
                    "DELETE FROM ipv6_result WHERE county = ? AND section = ? AND kind = ? AND key = ?", state, key
                )
                self.touched.add(key)
            else:
                self._put(state, key, rows.get(key, {}), found.get(key, {}))

    def again(self, state: SectionState, before: SectionState | None) -> None:
        """Take a covering run that found the same as the run before it."""
        if state.id not in self.known:
            return
        if before is not None and not before.fresh(self.now):
            self._revive(before, self._rows(state))
        for key, standings in self._rows(state, "AND pending > 0").items():
            self._put(state, key, standings, {name: standing.latest for name, standing in standings.items()})

    def _revive(self, before: SectionState | None, rows: Mapping[Key, Standings]) -> None:
        """What a section said counts again once it is fresh again."""
        if before is not None and not before.fresh(self.now):
            self.touched.update(rows)

    def _put(self, state: SectionState, key: Key, before: Standings, found: Mapping[str, Verdict]) -> None:
        after = {
            name: step(before.get(name, Standing()), found.get(name, Verdict.UNKNOWN), self.needed)
            for name in sorted({*before, *found})
        }
        if after == before:
            return
        pending = sum(standing.latest is not standing.state for standing in after.values())
        values = (state.county, state.id, *key, self.unit, write(after), pending, self.now)
        self.statements.run(_UPSERT, values)
        if states(before) != states(after):
            self.touched.add(key)

    def _rows(self, state: SectionState, more: str = "") -> dict[Key, Standings]:
        rows = self.statements.rows(
            f"SELECT kind, key, checks FROM ipv6_result WHERE county = ? AND section = ? {more}",  # noqa: S608 (our own)
            (state.county, state.id),
        )
        return {(kind, key): read(checks) for kind, key, checks in rows}

    def _run(self, sql: str, state: SectionState, key: Key) -> None:
        self.statements.run(sql, (state.county, state.id, *key))


def results_of(observations: Iterable[Observation]) -> dict[Key, dict[str, Verdict]]:
    """Give what a run found by what it is about; of two results of one check the failure counts."""
    found: dict[Key, dict[str, Verdict]] = {}
    for item in observations:
        if item.method not in CHECKS or item.outcome not in VERDICTS:
            continue
        verdict = holding(VERDICTS[item.outcome])
        if item.method == COVER and item.outcome is Outcome.WARN:
            verdict = Verdict.FAIL  # policies ask for nine clients of ten, and a warning means fewer
        for key in _about(item):
            checks = found.setdefault(key, {})
            if checks.get(item.method) is not Verdict.FAIL:
                checks[item.method] = verdict
    return found


def step(before: Standing, result: Verdict, needed: int) -> Standing:
    """Take one more result; what stands and comes again is written in one way, so that it need not be written again."""
    return Standing(result, result, needed) if result is before.state else settle(before, result, needed=needed)


def states(standings: Mapping[str, Standing]) -> dict[str, Verdict]:
    """Give what stands of each check, leaving out what is not known."""
    return {name: standing.state for name, standing in standings.items() if standing.state is not Verdict.UNKNOWN}


def write(standings: Mapping[str, Standing]) -> str:
    """Write standings as the store keeps them."""
    return json.dumps({name: (item.state, item.latest, item.count) for name, item in standings.items()})


def read(text: str) -> Standings:
    """Read standings back."""
    return {
        name: Standing(Verdict(state), Verdict(latest), count)
        for name, (state, latest, count) in json.loads(text).items()
    }


def _about(item: Observation) -> Iterator[Key]:
    kind, name = item.target.kind, item.target.name
    if kind is TargetKind.SITE:
        # Only a single check carries evidence; older probes sum a site up under the name of one.
        if "evidence" in item.values:
            yield SITE, spelling(name)
    elif kind is TargetKind.AGENT:
        yield SELF, ""
    elif kind is TargetKind.NETWORK:
        # What is said of a link names it by its interface, and beside it the prefixes that are on it.
        prefixes = item.values.get("prefixes")
        for prefix in prefixes if isinstance(prefixes, list | tuple) else (name,):
            with suppress(ValueError):
                yield NETWORK_PART, str(ip_network(str(prefix), strict=False))
