"""The life of an alert: pending while the hold time runs, firing, acknowledged, resolved, and firing again.

One alert stands for one rule and one subject. Its `first_seen` never moves. An unknown verdict changes nothing: it
neither raises nor resolves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from collector.clock import new_id
from collector.settings import Settings
from collector.store.contract import Turn
from rules.facts import FactValue, Subject
from rules.model import Colour, Judgement, Verdict

PENDING, FIRING, ACKNOWLEDGED, RESOLVED = "pending", "firing", "acknowledged", "resolved"
STATES = (PENDING, FIRING, ACKNOWLEDGED, RESOLVED)
STANDING = (FIRING, ACKNOWLEDGED)
OPEN = (PENDING, FIRING, ACKNOWLEDGED)
RETRY = 300.0
"""When a pending alert is due but its facts are not known, it is looked at again after this many seconds."""
BASELINE_SUBJECT = "unit"
MAX_EXAMPLES = 20

_COLOURS = tuple(Colour)
_COLUMNS = "id, rule, state, colour, severity, clause, label, evidence, first_seen, due, resolved, resolved_by, cleared"


class Alert(NamedTuple):
    """A stored alert, as far as its life depends on it."""

    id: str
    rule: str
    state: str
    colour: str
    severity: str
    clause: str
    label: str
    evidence: str
    first_seen: float
    due: float | None
    resolved: float | None
    resolved_by: str | None
    cleared: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict as it is stored."""

    rule: str
    kind: str
    subject: str
    unit: str
    label: str
    colour: str
    severity: str
    clause: str
    evidence: str
    hold: float = 0.0
    baseline: bool = False


@dataclass(slots=True)
class Life:
    """Applies verdicts inside one transaction; `now` is the collector's own time.

    What `drift` rules find of the baseline goes into one alert for each rule and unit; `finish` writes those.
    """

    turn: Turn
    settings: Settings
    now: float
    _summaries: set[tuple[str, str, str]] = field(default_factory=set)

    def apply(self, county: str, subject: Subject, judgements: Sequence[Judgement]) -> None:
        """Take in all verdicts about one subject."""
        known = self._known(county, subject.kind.value, subject.id)
        aside = self._set_aside(county, subject.unit, subject.kind.value, subject.id)
        for judgement in judgements:
            rule, verdict = judgement.rule, judgement.verdict
            current = known.get(rule.id)
            baseline = bool(rule.drift) and subject.facts.get(rule.drift) is True
            if rule.id in aside and (verdict is Verdict.NO_MATCH or not baseline):
                self._take_back(county, subject.unit, subject.kind.value, subject.id, rule.id)
            if baseline and verdict is Verdict.MATCH:
                if rule.id not in aside:
                    self._put_aside(county, judgement)
            elif verdict is Verdict.MATCH:
                self._match(county, _finding(judgement), current)
            elif verdict is Verdict.NO_MATCH and current is not None:
                self._no_match(county, current)
            elif current is not None and current.due is not None and current.due <= self.now:
                self._look_again(county, current)

    def forget(self, county: str, kind: str, subject: str) -> None:
        """Resolve everything about a subject that is gone: merged into another, or revoked."""
        for current in self._known(county, kind, subject).values():
            self._no_match(county, current)
        for unit, rule in self.turn.rows(
            "SELECT unit, rule FROM baseline_match WHERE county = ? AND kind = ? AND subject = ?",
            (county, kind, subject),
        ):
            self._take_back(county, unit, kind, subject, rule)

    def finish(self) -> None:
        """Bring the summary alerts of the baseline up to date."""
        for county, unit, rule in sorted(self._summaries):
            self.summarise(county, unit, rule)
        self._summaries.clear()

    def _known(self, county: str, kind: str, subject: str) -> dict[str, Alert]:
        """Give, by rule, the alert that is open, or else the one that was resolved last."""
        found: dict[str, Alert] = {}
        for row in self.turn.rows(
            f"SELECT {_COLUMNS} FROM alert WHERE county = ? AND kind = ? AND subject = ? ORDER BY first_seen",  # noqa: S608
            (county, kind, subject),
        ):
            alert = Alert(*row)
            if alert.rule not in found or found[alert.rule].state == RESOLVED:
                found[alert.rule] = alert
        return found

    def _match(self, county: str, finding: Finding, current: Alert | None) -> None:
        if current is None:
            self._open(county, finding, None)
        elif current.state in OPEN:
            fires = current.state == PENDING and current.due is not None and current.due <= self.now
            self._update(county, current, finding, state=FIRING if fires else current.state)
        elif current.resolved_by is not None and not current.cleared:
            # A person closed it and it never stopped matching: it comes back when their time is over.
            if current.due is not None and current.due <= self.now:
                self._reopen(county, current, finding, FIRING, None)
        elif current.resolved is not None and self.now - current.resolved <= self.settings.flap:
            hold = finding.hold > 0
            self._reopen(
                county, current, finding, PENDING if hold else FIRING, self.now + finding.hold if hold else None
            )
        else:
            self._open(county, finding, current.id)

    def _no_match(self, county: str, current: Alert) -> None:
        if current.state == PENDING and current.resolved is None:
            # It never fired, so nobody saw it.
            self.turn.run("DELETE FROM alert WHERE county = ? AND id = ?", (county, current.id))
        elif current.state == PENDING:
            self.turn.run(
                "UPDATE alert SET state = 'resolved', due = NULL WHERE county = ? AND id = ?", (county, current.id)
            )
        elif current.state != RESOLVED:
            self.turn.run(
                "UPDATE alert SET state = 'resolved', due = NULL, resolved = ?, resolved_by = NULL, cleared = ?, "
                "last_seen = ? WHERE county = ? AND id = ?",
                (self.now, True, self.now, county, current.id),
            )
        elif not current.cleared:
            self.turn.run(
                "UPDATE alert SET due = NULL, cleared = ? WHERE county = ? AND id = ?", (True, county, current.id)
            )

    def _look_again(self, county: str, current: Alert) -> None:
        self.turn.run("UPDATE alert SET due = ? WHERE county = ? AND id = ?", (self.now + RETRY, county, current.id))

    def _open(self, county: str, finding: Finding, previous: str | None) -> None:
        hold = finding.hold > 0
        self.turn.run(
            "INSERT INTO alert (county, id, unit, rule, kind, subject, label, state, colour, severity, clause, "
            "baseline, evidence, first_seen, last_seen, due, cleared, note, previous) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)",
            (
                county, new_id(self.now), finding.unit, finding.rule, finding.kind, finding.subject, finding.label,
                PENDING if hold else FIRING, finding.colour, finding.severity, finding.clause, finding.baseline,
                finding.evidence, self.now, self.now, self.now + finding.hold if hold else None, False, previous,
            ),
        )  # fmt: skip

    def _reopen(self, county: str, current: Alert, finding: Finding, state: str, due: float | None) -> None:
        """Let an alert live again as the same one; while its hold time runs anew, it stays marked as resolved."""
        resolved = current.resolved if state == PENDING else None
        self.turn.run(
            "UPDATE alert SET state = ?, due = ?, resolved = ?, resolved_by = NULL, cleared = ?, acknowledged = NULL, "
            "acknowledged_by = NULL WHERE county = ? AND id = ?",
            (state, due, resolved, False, county, current.id),
        )
        self._update(county, current._replace(state=state), finding, state=state)

    def _update(self, county: str, current: Alert, finding: Finding, *, state: str) -> None:
        now = (finding.colour, finding.severity, finding.clause, finding.label, finding.evidence)
        if state == current.state and now == (
            current.colour, current.severity, current.clause, current.label, current.evidence
        ):  # fmt: skip
            return
        self.turn.run(
            "UPDATE alert SET state = ?, colour = ?, severity = ?, clause = ?, label = ?, evidence = ?, last_seen = ?, "
            "due = CASE WHEN ? = 'pending' THEN due ELSE NULL END, "
            "resolved = CASE WHEN ? = 'pending' THEN resolved ELSE NULL END WHERE county = ? AND id = ?",
            (state, *now, self.now, state, state, county, current.id),
        )

    def _set_aside(self, county: str, unit: str, kind: str, subject: str) -> set[str]:
        """Give the drift rules that match this part of the baseline: one alert stands for all such parts."""
        return {
            row[0]
            for row in self.turn.rows(
                "SELECT rule FROM baseline_match WHERE county = ? AND unit = ? AND kind = ? AND subject = ?",
                (county, unit, kind, subject),
            )
        }

    def _put_aside(self, county: str, judgement: Judgement) -> None:
        subject, rule = judgement.subject, judgement.rule
        self.turn.run(
            "INSERT INTO baseline_match (county, unit, kind, subject, rule, label, severity, colour, clause, "
            "first_seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                county, subject.unit, subject.kind.value, subject.id, rule.id, subject.label,
                rule.severity.name.lower(), judgement.colour.value, judgement.citation, self.now,
            ),
        )  # fmt: skip
        self._summaries.add((county, subject.unit, rule.id))

    def _take_back(self, county: str, unit: str, kind: str, subject: str, rule: str) -> None:
        self.turn.run(
            "DELETE FROM baseline_match WHERE county = ? AND unit = ? AND kind = ? AND subject = ? AND rule = ?",
            (county, unit, kind, subject, rule),
        )
        self._summaries.add((county, unit, rule))

    def summarise(self, county: str, unit: str, rule: str) -> None:
        """Bring the one alert up to date that stands for all that a drift rule finds of a unit's baseline."""
        found = self.turn.rows(
            "SELECT label, severity, colour, clause FROM baseline_match WHERE county = ? AND unit = ? AND rule = ? "
            "ORDER BY first_seen, subject",
            (county, unit, rule),
        )
        current = self._known(county, BASELINE_SUBJECT, unit).get(rule)
        if not found:
            if current is not None:
                self._no_match(county, current)
            return
        worst = max(found, key=lambda row: _COLOURS.index(Colour(row[2])))
        evidence = {"count": len(found), "examples": [row[0] for row in found[:MAX_EXAMPLES]]}
        self._match(
            county,
            Finding(
                rule=rule,
                kind=BASELINE_SUBJECT,
                subject=unit,
                unit=unit,
                label=f"{unit} ({len(found)})",
                colour=worst[2],
                severity=worst[1],
                clause=worst[3],
                evidence=_json(evidence),
                baseline=True,
            ),
            current,
        )


def _finding(judgement: Judgement) -> Finding:
    subject, rule = judgement.subject, judgement.rule
    return Finding(
        rule=rule.id,
        kind=subject.kind.value,
        subject=subject.id,
        unit=subject.unit,
        label=subject.label,
        colour=judgement.colour.value,
        severity=rule.severity.name.lower(),
        clause=judgement.citation,
        evidence=_json(judgement.evidence) if judgement.verdict is Verdict.MATCH else "",
        hold=rule.hold,
    )


def _json(evidence: Mapping[str, FactValue] | Mapping[str, Any]) -> str:
    return json.dumps(evidence, ensure_ascii=False, separators=(",", ":"))


def resolve_removed(turn: Turn, rules: Iterable[str], now: float) -> None:
    """Resolve the open alerts of rules that are no longer loaded: nobody would ever judge them again."""
    names = tuple(rules)
    marks = ", ".join("?" for _ in names) or "''"
    turn.run(f"DELETE FROM alert WHERE state = 'pending' AND resolved IS NULL AND rule NOT IN ({marks})", names)  # noqa: S608
    turn.run(
        "UPDATE alert SET state = 'resolved', due = NULL, resolved = ?, cleared = ? "  # noqa: S608
        f"WHERE state <> 'resolved' AND rule NOT IN ({marks})",
        (now, True, *names),
    )
    turn.run(f"DELETE FROM baseline_match WHERE rule NOT IN ({marks})", names)  # noqa: S608
