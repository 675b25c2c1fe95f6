"""Comparing colours: what `--fail-on` means."""

from collections.abc import Iterable

from edusec.exits import Stop
from edusec.lang import t

COLOURS = ("none", "blue", "yellow", "orange", "red")
"""Ascending; the first is a mere notice, and as a threshold it means that nothing fails."""
# Operators also know the names of severities; each stands for the colour that it gives at protection level 2.
_SEVERITIES = {"info": "none", "low": "blue", "medium": "yellow", "high": "orange", "critical": "red"}


def parse_fail_on(text: str) -> str:
    """Read the value of `--fail-on`: a colour, or a severity that stands for one. Raises Stop with what is allowed."""
    colour = _SEVERITIES.get(text.lower(), text.lower())
    if colour not in COLOURS:
        allowed = "none, blue(low), yellow(medium), orange(high), red(critical)"
        raise Stop(
            t(f"--fail-on 不认识 {text}；可用：{allowed}", f"--fail-on does not know {text}; allowed: {allowed}")
        )
    return colour


def rank(colour: str) -> int:
    """Give a colour's place in the order; one that is not known counts as the gravest, never as nothing."""
    return COLOURS.index(colour) if colour in COLOURS else len(COLOURS)


def at_or_above(colours: Iterable[str], threshold: str) -> bool:
    """Tell whether any colour reaches the threshold; `none` as the threshold is never reached."""
    return threshold != "none" and any(rank(colour) >= rank(threshold) for colour in colours)
