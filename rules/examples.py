"""Running the examples of rules: each says which verdict its facts must give."""

from dataclasses import dataclass

from rules.derive import complete
from rules.evaluate import colour_of, verdict_of
from rules.facts import Subject
from rules.model import Colour, Example, Rule, Verdict
from wire.text import Text


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What came of one example (counted from 1); `colour` is None unless the verdict is MATCH."""

    rule: Rule
    number: int
    example: Example
    verdict: Verdict
    colour: Colour | None
    fault: Text | None

    @property
    def passed(self) -> bool:
        """Tell whether the example gave what it says."""
        return not self.fault


def run_examples(rule: Rule) -> tuple[ExampleResult, ...]:
    """Run every example of a rule."""
    return tuple(_run(rule, number, example) for number, example in enumerate(rule.examples, 1))


def _run(rule: Rule, number: int, example: Example) -> ExampleResult:
    facts = complete(Subject(rule.select, "example", "", "example", example.facts))
    verdict = verdict_of(rule, facts)
    colour = colour_of(rule, facts) if verdict is Verdict.MATCH else None
    fault = None
    if verdict is not example.verdict:
        shown = ", ".join(f"{name} = {facts.get(name, 'unknown')}" for name in rule.reads)
        fault = Text(
            f"得到 {verdict}，不是 {example.verdict}（{shown}）", f"gives {verdict}, not {example.verdict} ({shown})"
        )
    elif example.colour not in (None, colour):
        fault = Text(f"得到颜色 {colour}，不是 {example.colour}", f"gives the colour {colour}, not {example.colour}")
    return ExampleResult(rule, number, example, verdict, colour, fault)
