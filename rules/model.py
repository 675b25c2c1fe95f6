"""What rules and their verdicts are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

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
    """The suggested grade of an alert (建议级别), mildest first; NONE is a notice. A person sets the official level."""

    NONE = "none"
    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


class Confidence(StrEnum):
    """What a statement rests on: VERIFIED was read in its source; COMMON is common practice, for people to change."""

    VERIFIED = "verified"
    COMMON = "common"


class Verdict(StrEnum):
    """What a rule says of a subject. UNKNOWN: a fact it needs is not known; nothing is raised, nothing resolved."""

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

    def bounds(self, fact: str) -> tuple[float, ...]:
        """List the numbers that a fact is compared with."""
        own = self.value if isinstance(self.value, tuple) else (self.value,)
        numbers = own if self.fact == fact else ()
        return (
            *(number for number in numbers if isinstance(number, int | float) and not isinstance(number, bool)),
            *(number for part in self.parts for number in part.bounds(fact)),
        )

    def reads(self) -> tuple[str, ...]:
        """List the facts that it reads, in the order in which it is written."""
        own = (self.fact,) if self.fact else ()
        return (*own, *(name for part in self.parts for name in part.reads()))


@dataclass(frozen=True, slots=True)
class Example:
    """Facts and the verdict (and, if stated, the colour) that they must give; every example is a test."""

    facts: Mapping[str, FactValue]
    verdict: Verdict
    colour: Colour | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PolicyItem:
    """What a provincial plan says: an indicator (`op`, `value`, by the end of `year`) or a capability.

    `province` is the first two digits of its division codes. `audience` names the units it is about, empty for all.
    """

    id: str
    province: str
    document: str
    section: str
    metric: str
    meaning: Text
    confidence: Confidence
    audience: tuple[str, ...] = ()
    op: str = ""
    value: str | int | None = None
    year: int | None = None

    def cite(self) -> str:
        """Give document and section, as an official paper writes them."""
        return f"{self.document} {self.section}"


@dataclass(frozen=True, slots=True)
class Basis:
    """On what a rule rests: GB/T 22239-2019 clauses by protection level, and policy items.

    `clauses` maps a level (2 or 3) to the clause; a level without an entry has no such clause.
    """

    clauses: Mapping[int, str] = field(default_factory=dict)
    items: tuple[PolicyItem, ...] = ()

    @property
    def policy(self) -> str:
        """The ids of the policy items, for lists."""
        return ", ".join(item.id for item in self.items)

    def cite(self, level: int | None, province: str = "", audience: str = "") -> str:
        """Give what to cite for a system of this level: the clause if that level has one, else a policy item, else "".

        Ungraded systems are treated as level 2; levels 4 and 5 cite level 3. Of the policy items the first one counts
        that is of the unit's province and about its kind of unit: the plan of another province binds nobody here. Where
        province or kind of unit is not known (""), any will do.
        """
        wanted = 2 if level is None else min(level, 3)
        clause = self.clauses.get(wanted)
        if clause:
            return f"GB/T 22239-2019 {clause}"
        for item in self.items:
            if province in ("", item.province) and (not audience or not item.audience or audience in item.audience):
                return item.cite()
        return ""


@dataclass(frozen=True, slots=True)
class Minimum:
    """The mildest colour that an alert may have from a protection level on, at these exposures (empty: at all)."""

    colour: Colour
    from_level: int = 1
    exposure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as read from one file.

    `given` is what must hold for the rule to say anything: where it does not, the verdict is UNKNOWN. `hold` is for how
    many seconds it must match before an alert fires. `drift` rules may match many subjects on the first day: those that
    were so at the unit's first scan are told together, not one by one; it is the fact that says so, mostly `baseline`,
    "" for other rules. `shows` names facts that are told as evidence without being a condition.
    """

    id: str
    title: Text
    select: SubjectKind
    when: Condition
    severity: Severity
    basis: Basis
    remedy: Text
    given: Condition | None = None
    hold: float = 0.0
    minimum: tuple[Minimum, ...] = ()
    maximum: Colour = Colour.RED
    drift: str = ""
    shows: tuple[str, ...] = ()
    confidence: Confidence = Confidence.VERIFIED
    examples: tuple[Example, ...] = ()
    file: str = ""
    reads: tuple[str, ...] = field(init=False)
    """The facts that it reads, each once."""
    tells: tuple[str, ...] = field(init=False)
    """The facts that are the evidence of its judgements: what it reads and what it shows."""

    def __post_init__(self) -> None:
        """Note the facts once: every judgement needs them."""
        conditions = (self.given, self.when) if self.given else (self.when,)
        object.__setattr__(self, "reads", tuple(dict.fromkeys(name for part in conditions for name in part.reads())))
        object.__setattr__(self, "tells", tuple(dict.fromkeys((*self.reads, *self.shows))))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one rule says of one subject, with the facts that it looked at as evidence (None where not known).

    The colour is NONE unless the verdict is MATCH.
    """

    rule: Rule
    subject: Subject
    verdict: Verdict
    colour: Colour
    citation: str
    evidence: Mapping[str, FactValue]
