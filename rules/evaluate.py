"""From rules and facts to judgements and colours: pure functions."""

from collections.abc import Iterable, Mapping

from rules.data import audience_of, province_of
from rules.derive import complete
from rules.facts import COMMON, EXPOSURES, FactValue, Subject
from rules.model import Colour, Judgement, Rule, Severity, Verdict
from rules.predicates import holds

COLOURS = tuple(Colour)
"""The colours by score, 0 to 4."""

# Points beyond the rule's own severity, 0 where not known: an ungraded system counts as level 2.
LEVEL_POINTS: Mapping[int | None, int] = {None: 0, 1: -1, 2: 0, 3: 1, 4: 1, 5: 1}
EXPOSURE_POINTS: Mapping[str | None, int] = {
    None: 0,
    "isolated_or_source_limited": -1,
    "campus_lan": 0,
    "edu_private_net": 0,
    "internet": 1,
}
_USUAL_EXPOSURE = "campus_lan"
_UNGRADED_AS = 2


def judge(rules: Iterable[Rule], subject: Subject) -> tuple[Judgement, ...]:
    """Judge one subject by every rule that selects its kind, in the order of the rules.

    It raises nothing, whatever the facts: those of a wrong type count as not known.
    """
    chosen = [rule for rule in rules if rule.select is subject.kind]
    if not chosen:
        return ()
    facts = complete(subject)
    kind = facts.get("unit_kind")
    audience = audience_of(kind, subject.unit) if isinstance(kind, str) and kind in COMMON["unit_kind"].values else ""
    place = (_level(facts), province_of(subject.unit), audience)
    return tuple(_judge(rule, subject, facts, place) for rule in chosen)


def verdict_of(rule: Rule, facts: Mapping[str, FactValue]) -> Verdict:
    """Give a rule's verdict over completed facts."""
    if rule.given is not None and holds(rule.given, facts) is not True:
        return Verdict.UNKNOWN
    return {True: Verdict.MATCH, False: Verdict.NO_MATCH, None: Verdict.UNKNOWN}[holds(rule.when, facts)]


def colour_of(rule: Rule, facts: Mapping[str, FactValue]) -> Colour:
    """Give the colour that an alert of a rule has for a subject with these (completed) facts."""
    level, exposure = _level(facts), _exposure(facts)
    floors = [
        floor.colour
        for floor in rule.minimum
        if floor.from_level <= (_UNGRADED_AS if level is None else level)
        and (not floor.exposure or (exposure or _USUAL_EXPOSURE) in floor.exposure)
    ]
    return colour(
        rule.severity,
        level,
        exposure,
        minimum=max(floors, key=COLOURS.index, default=Colour.NONE),
        maximum=Colour.BLUE if facts.get("maintenance") is True else rule.maximum,
        children_data=facts.get("children_data") is True,
        mitigated=facts.get("mitigated") is True,
    )


def colour(
    severity: Severity,
    level: int | None = None,
    exposure: str | None = None,
    *,
    minimum: Colour = Colour.NONE,
    maximum: Colour = Colour.RED,
    children_data: bool = False,
    mitigated: bool = False,
) -> Colour:
    """Suggest a colour from severity x protection level (1-5, None: ungraded) x exposure (None: campus network).

    The score is their sum within 1-4; then come, in this order, the minimum, one more where personal data of children
    are involved, the maximum, and one less where a verified mitigation is recorded. A notice (INFO) is never raised.
    """
    if severity is Severity.INFO:
        return Colour.NONE
    score = _clamp(severity + LEVEL_POINTS[level] + EXPOSURE_POINTS[exposure])
    score = _clamp(max(score, COLOURS.index(minimum)) + children_data)
    return COLOURS[_clamp(min(score, COLOURS.index(maximum)) - mitigated)]


def _judge(
    rule: Rule, subject: Subject, facts: Mapping[str, FactValue], place: tuple[int | None, str, str]
) -> Judgement:
    verdict = verdict_of(rule, facts)
    return Judgement(
        rule=rule,
        subject=subject,
        verdict=verdict,
        colour=colour_of(rule, facts) if verdict is Verdict.MATCH else Colour.NONE,
        citation=rule.basis.cite(*place),
        evidence={name: facts.get(name) for name in rule.tells},
    )


def _level(facts: Mapping[str, FactValue]) -> int | None:
    level = facts.get("mlps_level")
    return level if type(level) is int and 1 <= level <= 5 else None


def _exposure(facts: Mapping[str, FactValue]) -> str | None:
    exposure = facts.get("exposure")
    return exposure if isinstance(exposure, str) and exposure in EXPOSURES else None


def _clamp(score: int) -> int:
    return max(1, min(score, 4))
