"""The loaded rules, by what they select."""

from collections.abc import Sequence
from pathlib import Path

from rules.facts import SubjectKind
from rules.loader import load_packs
from rules.model import Rule

MOST_DAYS = 3660
"""Beyond ten years a rule's number of days is no date to wait for."""


class Rules:
    """The loaded rules, by what they select."""

    def __init__(self, packs: Sequence[Path] = ()) -> None:
        """Load the shipped rules and further packs; raises RulesError with every fault."""
        self.all: tuple[Rule, ...] = load_packs(packs)
        self.of: dict[SubjectKind, tuple[Rule, ...]] = {
            kind: tuple(rule for rule in self.all if rule.select is kind) for kind in SubjectKind
        }
        self.by_id = {rule.id: rule for rule in self.all}
        self.certificate_days = frozenset(
            days
            for rule in self.all
            for part in (rule.given, rule.when)
            for days in (part.bounds("cert_days_left") if part else ())
            if abs(days) <= MOST_DAYS
        )
        """The numbers of days before (or after) the end of a certificate at which a rule may judge otherwise."""
