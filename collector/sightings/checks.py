"""What the single checks of the IPv6 catalogue say of an agent and its links, as facts that rules can ask for. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collector.sightings.picture import FACT
from rules.facts import AGENT_CHECKS, FactValue, check_fact
from wire.types import Outcome, TargetKind, Value

NO_IPV6_LINK = "no_ipv6_link"
"""The code of a check on a link where nobody speaks IPv6: it keeps the verdict of other links from nothing."""
MAX_SEEN = 20
_ABOUT_THE_AGENT = frozenset({TargetKind.AGENT.value, TargetKind.NETWORK.value})
_VERDICTS = {
    Outcome.FAIL.value: "fail",
    Outcome.WARN.value: "warn",
    Outcome.PASS.value: "pass",
    Outcome.SEEN.value: "info",
}
_WORST_FIRST = ("fail", "warn", "unknown", "info", "pass")


class Said(NamedTuple):
    """One check on one link: its id, its outcome as it travelled, and its values."""

    check: str
    outcome: str
    values: Mapping[str, Value]


def check_of(key: str) -> str:
    """Give the check that a sighting's key stands for, empty unless it is about the agent or one of its networks."""
    kind, _, rest = key.partition("|")
    if kind != FACT or rest.partition("|")[0] not in _ABOUT_THE_AGENT:
        return ""
    check = rest.rpartition("|")[2]
    return check if check in AGENT_CHECKS else ""


def of_checks(found: Iterable[Said]) -> dict[str, FactValue]:
    """Join what was said of several links: the worst verdict counts, with its code and all evidence of that verdict.

    Unknown on one link keeps a pass from another open (nothing resolves then), but for links without any IPv6.
    """
    facts: dict[str, FactValue] = {}
    by_check: dict[str, list[Said]] = {}
    for said in found:
        by_check.setdefault(said.check, []).append(said)
    for check, several in sorted(by_check.items()):
        telling = [said for said in several if said.values.get("code") != NO_IPV6_LINK] or several
        verdict = min((_verdict(said) for said in telling), key=_WORST_FIRST.index)
        worst = [said for said in telling if _verdict(said) == verdict]
        name = check_fact(check)
        facts[name] = verdict
        # A rule about one cause must not read "another cause" where the verdict itself is open.
        codes = worst if verdict in ("fail", "warn") else []
        facts[f"{name}_code"] = next(
            (text for said in codes if isinstance(text := said.values.get("code"), str) and text), None
        )
        lines = [line for said in worst for line in _lines(said.values.get("evidence"))]
        facts[f"{name}_seen"] = tuple(dict.fromkeys(lines))[:MAX_SEEN]
    return facts


def _verdict(said: Said) -> str:
    return _VERDICTS.get(said.outcome, "unknown")


def _lines(value: object) -> tuple[str, ...]:
    return tuple(str(line) for line in value) if isinstance(value, list | tuple) else ()
