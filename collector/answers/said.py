"""What is said to people in many places of the collector, in both languages."""

from collections.abc import Iterable

from wire.text import Text


def one_of(name: str, words: Iterable[str]) -> Text:
    """Say that a parameter must be one of these words."""
    allowed = ", ".join(words)
    return Text(f"{name}：须为 {allowed} 之一", f"{name}: must be one of {allowed}")


def from_to(name: str, low: int, high: int) -> Text:
    """Say within which bounds a number must be."""
    return Text(f"{name}：须为 {low} 至 {high}", f"{name}: must be from {low} to {high}")


def out_of_reach(kind: Text, ident: str, person: str) -> Text:
    """Say that there is nothing of this name, or not for this person."""
    return Text(f"{person} 管辖范围内没有{kind.zh} {ident!r}", f"no {kind.en} {ident!r} within reach of {person}")
