"""What rules and their verdicts are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from rules.facts import FactValue, Subject, SubjectKind
from wire.text import Text


class Severity(IntEnum):
    """How bad a rule says it is, before protection level and exposure."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Colour(StrEnum):
    """The suggested grade of an alert (建议级别); NONE is a mere notice. A person sets the official event level."""

    NONE = "none"
    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


class Verdict(StrEnum):
    """What a rule says of a subject. UNKNOWN: a fact it needs is not known, so nothing is raised and nothing resolved."""

    MATCH = "match"
    NO_MATCH = "no_match"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one fact, or a combination (`op` all, any, not) of conditions in `parts`."""

    op: str
    fact: str = ""
    value: FactValue | tuple[FactValue, ...] = None
    parts: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """Facts and the verdict that they must give; every example is a test."""

    facts: Mapping[str, FactValue]
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class Basis:
    """On what a rule rests: GB/T 22239-2019 clauses by protection level, or a policy item (document and section).

    `clauses` maps a level (2 or 3) to the clause; a level without an entry has no such clause.
    """

    clauses: Mapping[int, str] = field(default_factory=dict)
    policy: str = ""

    def cite(self, level: int | None) -> str:
        """Give what to cite for a system of this level: the clause if that level has one, else the policy item, else "".

        Ungraded systems are treated as level 2; levels 4 and 5 cite level 3.
        """
        wanted = 2 if level is None else min(level, 3)
        clause = self.clauses.get(wanted)
        return f"GB/T 22239-2019 {clause}" if clause else self.policy


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as read from one file. `hold` is for how many seconds it must match before an alert fires."""

    id: str
    title: Text
    select: SubjectKind
    when: Condition
    severity: Severity
    basis: Basis
    remedy: Text
    hold: float = 0.0
    minimum: Mapping[int, int] = field(default_factory=dict)
    drift: bool = False
    examples: tuple[Example, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule says of one subject, with the facts that it looked at as evidence."""

    rule: Rule
    subject: Subject
    verdict: Verdict
    colour: Colour
    citation: str
    evidence: Mapping[str, Any]
